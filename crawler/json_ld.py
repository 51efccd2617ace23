"""Images that a page describes in JSON-LD (schema.org), with captions, and the author and licence that it names."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_MAX_CHARS = 1_000_000
_MAX_NODES = 5_000
_URLS = ("contentUrl", "url", "@id")
_PLACES = ("image", "thumbnailUrl", "primaryImageOfPage", "photo", "logo")
_IMAGE_TYPES = {"ImageObject", "Photograph"}


@dataclass
class LinkedData:
    """`images` are (URL as written, [(kind, text)])."""

    images: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    author: str | None = None
    license: str | None = None


def read_linked_data(scripts: list[str]) -> LinkedData:
    """What the scripts say. Those that are no JSON, or longer than 1 MB, say nothing."""
    found = LinkedData()
    for script in scripts[:20]:
        if len(script) > _MAX_CHARS:
            continue
        try:
            _read(json.loads(script, strict=False), found)
        except (ValueError, RecursionError):
            continue
    return found


def _read(value: Any, found: LinkedData) -> None:
    pending, num_nodes = [value], 0
    while pending and num_nodes < _MAX_NODES:
        node = pending.pop()
        num_nodes += 1
        if isinstance(node, list):
            pending.extend(reversed(node[:_MAX_NODES]))
        elif isinstance(node, dict):
            if _types(node) & _IMAGE_TYPES:
                found.images += _image(node)
            for place in _PLACES:
                found.images += [(url, []) for url in _plain_urls(node.get(place))]
            found.author = found.author or _name(node.get("author"))
            found.license = found.license or next(iter(_plain_urls(node.get("license"))), None)
            pending.extend(reversed([child for child in node.values() if isinstance(child, dict | list)]))


def _types(node: dict[str, Any]) -> set[str]:
    kinds = node.get("@type")
    return {kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)}


def _image(node: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    url = next((node[key] for key in _URLS if isinstance(node.get(key), str)), None)
    if url is not None:
        said = (("caption", "caption"), ("title", "name"), ("description", "description"))
        yield url, [(kind, node[key]) for kind, key in said if isinstance(node.get(key), str)]


def _plain_urls(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values[:_MAX_NODES] if isinstance(text, str)]


def _name(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("name")
    return value if isinstance(value, str) and value.strip() else None
