"""YAML as recipes are allowed to use it: safe, small, no duplicate keys, few aliases."""

from pathlib import Path
from typing import Any

import yaml

from shards.errors import UsageError

MAX_BYTES = 1_000_000
MAX_ALIASES = 50


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses duplicate keys and alias bombs."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._num_aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self._num_aliases += 1
            if self._num_aliases > MAX_ALIASES:
                raise yaml.constructor.ConstructorError(None, None, f"more than {MAX_ALIASES} aliases")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not a text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_yaml(source: Path | str, what: str = "") -> Any:
    """Parse a file (which must hold a mapping) or a value given as text. Raises `UsageError` naming line and column."""
    if isinstance(source, str):
        return _parse(source, what)
    text = _read(source)
    value = _parse(text, f"recipe {source}")
    if not isinstance(value, dict):
        raise UsageError(f"recipe {source}: expected a mapping of sections, got {type(value).__name__}")
    return value


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"recipe {path}: larger than {MAX_BYTES} bytes; a recipe is a page, not a data file")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"recipe {path}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"recipe {path}: {error.strerror}") from error


def _parse(text: str, what: str) -> Any:
    loader = _StrictLoader(text)
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{what}: not a readable YAML{place}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{what}: not a readable YAML: {error}") from error
    finally:
        loader.dispose()
