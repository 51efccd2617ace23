"""A dataset card that says how its folder is loaded: the front matter that Hugging Face's `datasets` reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_BEGIN = "---\n"
_LANGUAGE = {"language": ["zh"], "task_categories": ["image-to-text", "text-to-image"]}


def card(front: Mapping[str, Any], files: Mapping[str, str], features: Sequence[Mapping[str, Any]], body: str) -> str:
    """Markdown under YAML: what `front` says, and the files (split -> pattern) and features of the one configuration.

    Without `features`, what the files themselves say counts.
    """
    matter: dict[str, Any] = {**_LANGUAGE, **front}
    data_files = [{"split": split, "path": pattern} for split, pattern in files.items()]
    matter["configs"] = [{"config_name": "default", "data_files": data_files}]
    if features:
        matter["dataset_info"] = {"features": list(features)}
    text = yaml.safe_dump(matter, allow_unicode=True, sort_keys=False, width=120)
    return f"{_BEGIN}{text}{_BEGIN}\n{body}"


def front_matter(readme: Path) -> dict[str, Any]:
    """What the card of a release says above its text, but for how that is loaded; nothing where there is no card."""
    try:
        text = readme.read_text(encoding="utf-8")
        _, begin, rest = text.partition(_BEGIN)
        found = yaml.safe_load(rest.partition(f"\n{_BEGIN}")[0]) if begin else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    known = found if isinstance(found, dict) else {}
    return {name: value for name, value in known.items() if name not in ("configs", "dataset_info")}


def shard_features(formats: Sequence[str]) -> list[dict[str, str]]:
    """The columns of shards as `datasets` 5 names their types; the image is in that of its form, null in the others.

    Left to itself it infers them from the first samples, where a column may be null throughout, and gives up at
    hashes above 2^63.
    """
    texts = {"txt": "string", "json": "json", "__key__": "string", "__url__": "string"}
    return [{"name": name, "dtype": dtype} for name, dtype in (dict.fromkeys(formats, "image") | texts).items()]
