"""Records that hold several texts, each of a kind of its own: Zero's by their columns, WenLan's by their types."""

from typing import Any

from shards.layouts import Layout

MAX_TEXTS = 1000
MAX_TYPE_CHARS = 40


def fault_of_texts(record: dict[str, Any], layout: Layout) -> str:
    """What keeps the record's texts from being read; empty where they can be."""
    for column in layout.kinds:
        if not isinstance(record.get(column), str | None):
            return f"{column!r} is {type(record[column]).__name__}, not text"
    pairs = _pairs(record, layout)
    if not isinstance(pairs, list):
        return f"{layout.sentences!r} is {type(pairs).__name__}, not a list of [type, text]"
    if len(pairs) > MAX_TEXTS:
        return f"{len(pairs)} texts; at most {MAX_TEXTS}"
    odd = next((place for place, pair in enumerate(pairs) if not _is_typed_text(pair)), None)
    return "" if odd is None else f"{layout.sentences}[{odd}] is not [type, text]"


def typed_texts(record: dict[str, Any], layout: Layout) -> list[tuple[str, str]]:
    """(kind, text) of each text that is not empty, in the record's order; types that are not known are kinds."""
    found = [(kind, record.get(column)) for column, kind in layout.kinds.items()]
    found += [(layout.types.get(kind, kind), text) for kind, text in _pairs(record, layout)]
    return [(kind, text) for kind, text in found if text]


def _pairs(record: dict[str, Any], layout: Layout) -> Any:
    return (record.get(layout.sentences) if layout.sentences else None) or []


def _is_typed_text(pair: object) -> bool:
    if not (isinstance(pair, list) and len(pair) == 2):
        return False
    kind, text = pair
    return isinstance(kind, str) and 0 < len(kind) <= MAX_TYPE_CHARS and kind.isprintable() and isinstance(text, str)
