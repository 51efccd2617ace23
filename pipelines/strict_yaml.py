"""YAML as recipes are allowed to use it: safe, small, no duplicate keys, few aliases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from shards.errors import UsageError

MAX_BYTES = 1_000_000
MAX_ALIASES = 50


class _AliasError(yaml.MarkedYAMLError):
    """An alias that a recipe may not use."""

    def __init__(self, problem: str, event: yaml.AliasEvent) -> None:
        super().__init__(None, None, problem, event.start_mark)  # type: ignore[arg-type]  # the stubs add C's marks


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses duplicate keys, many aliases, and aliases inside of what others stand for."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._num_aliases = 0
        self._num_anchors_around = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
        if isinstance(event, yaml.AliasEvent):
            self._check_alias(event)
            return super().compose_node(parent, index)
        is_anchored = getattr(event, "anchor", None) is not None
        self._num_anchors_around += is_anchored
        node = super().compose_node(parent, index)
        self._num_anchors_around -= is_anchored
        return node

    def _check_alias(self, event: yaml.AliasEvent) -> None:
        """Aliases of aliases grow exponentially: a few lines would stand for gigabytes."""
        self._num_aliases += 1
        if self._num_aliases > MAX_ALIASES:
            raise _AliasError(f"more than {MAX_ALIASES} aliases", event)
        if self._num_anchors_around:
            raise _AliasError(f"alias *{event.anchor} stands inside an anchored value; write it out there", event)

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
    return _parse(source, what)[0] if isinstance(source, str) else load_with_lines(source)[0]


def load_with_lines(source: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """A file's mapping, and the line from 1 of each dotted place in it. Raises `UsageError` naming line and column."""
    value, lines = _parse(_read(source), f"recipe {source}")
    if not isinstance(value, dict):
        found = "nothing" if value is None else "a list" if isinstance(value, list) else f"only {value!r:.80}"
        raise UsageError(f"recipe {source}: expected sections such as `name:` and `source:`, found {found}")
    return value, lines


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"recipe {path}: larger than {MAX_BYTES} bytes; a recipe is a page, not a data file")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"recipe {path}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"recipe {path}: {error.strerror}") from error


def _parse(text: str, what: str) -> tuple[Any, dict[str, int]]:
    try:
        loader = _StrictLoader(text)
        node = loader.get_single_node()
        return (None, {}) if node is None else (loader.construct_document(node), dict(_lines(node)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        told = ", ".join(part for part in (error.context, error.problem) if part)
        raise UsageError(f"{what}: not a readable YAML{place}: {told}") from error
    except RecursionError as error:
        raise UsageError(f"{what}: not a readable YAML: nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the 45th of May, or a number of 5,000 digits
        raise UsageError(f"{what}: not a readable YAML: {' '.join(str(error).split())}") from error


def _lines(node: yaml.Node, place: str = "") -> Iterator[tuple[str, int]]:
    """The dotted places below a node with the lines of their keys, or of their values in a list."""
    if isinstance(node, yaml.MappingNode):
        below = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        below = [(str(number), value, value) for number, value in enumerate(node.value)]
    else:
        return
    for name, mark, value in below:
        inner = f"{place}.{name}" if place else name
        yield inner, mark.start_mark.line + 1
        yield from _lines(value, inner)
