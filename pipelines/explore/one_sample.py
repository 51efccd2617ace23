"""Everything about one sample: its texts, every measure, the rules that it failed, and the others of its group."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from filters.measures import MEASURES
from filters.rules import PlacedRule
from pipelines.explore.conditions import Condition, RefusedQuestionError, checked_uid
from pipelines.explore.pages import cards, clipped
from pipelines.explore.sample_index import SampleIndex
from pipelines.explore.stored_copies import StoredCopies

MAX_TEXT_CHARS = 4000
MOST_OF_A_GROUP = 24
_WHO = ("uid", "url", "page_url", "status", "drop_reason", "dropped_at", "detail", "failed_rules", "shard")
_APART = {*_WHO, "text", "text_kind", "texts", "canonical_url", "tar_offset", "tar_bytes"}
_NOT_SHOWN = {"fetch_index", "fetch_fingerprint"}
_HASHES = frozenset({"phash", "dhash"})


def tell_sample(
    index: SampleIndex, copies: StoredCopies, rules: Sequence[PlacedRule], uid: str
) -> dict[str, Any] | None:
    """One sample as its own file says it, null for a uid that is not there. Raises `RefusedQuestionError`."""
    found = index.rows('SELECT "#file" FROM samples WHERE uid = ? LIMIT 1', parameters=[checked_uid(uid)])
    if not found:
        return None
    row = _wide_row(index, found[0][0], uid)
    place = index.place(uid)
    expressions = {rule.name: rule.expression for rule in rules}
    failed = row.get("failed_rules") or ([row["drop_reason"]] if row.get("drop_reason") in expressions else [])
    return {
        **{name: _shown(name, row.get(name)) for name in _WHO},
        "text": clipped(row.get("text"), MAX_TEXT_CHARS),
        "text_kind": row.get("text_kind"),
        "has_image": place is not None and copies.may_have(place),
        "texts": [_text(text) for text in row.get("texts") or []],
        "failed": [{"rule": name, "expression": expressions.get(name)} for name in failed],
        "measures": [_fact(name, row[name]) for name in MEASURES if row.get(name) is not None],
        "facts": [
            _fact(name, value)
            for name, value in row.items()
            if value is not None and name not in MEASURES and name not in _APART | _NOT_SHOWN
        ],
        "group": _group(index, copies, row),
    }


def _wide_row(index: SampleIndex, number: int, uid: str) -> dict[str, Any]:
    """All columns of the sample, read from its own file anew."""
    path = index.files[number]
    try:
        with duckdb.connect(":memory:", config={"threads": 1}) as connection:
            query = "SELECT * FROM read_parquet($path) WHERE uid = $uid LIMIT 1"
            rows = connection.sql(query, params={"path": str(path), "uid": uid}).to_arrow_table().to_pylist()
    except duckdb.Error:
        rows = []
    if not rows:
        raise RefusedQuestionError(f"{path.name} is not as it was: the run was changed meanwhile; explore it anew")
    row: dict[str, Any] = rows[0]
    return row


def _text(text: Mapping[str, Any]) -> dict[str, Any]:
    """A text with whatever was measured of it."""
    measures = [_fact(name, text[name]) for name in text if name in MEASURES and text[name] is not None]
    return {
        "kind": text["kind"],
        "text": clipped(text["text"], MAX_TEXT_CHARS),
        "drop_reason": text.get("drop_reason"),
        "measures": measures,
    }


def _fact(name: str, value: Any) -> dict[str, Any]:
    unit = MEASURES[name].unit if name in MEASURES else None
    return {"name": name, "value": _shown(name, value), "unit": unit}


def _shown(name: str, value: Any) -> Any:
    """Hashes as digits, long texts in part; numbers, flags and lists of words as themselves."""
    if name in _HASHES and isinstance(value, int):
        return f"{value:016x}"
    return clipped(value, MAX_TEXT_CHARS) if isinstance(value, str) else value


def _group(index: SampleIndex, copies: StoredCopies, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The near-duplicates of its group, who stayed first; and what it looks like, where that was asked."""
    condition = Condition().and_also("uid <> ?", row["uid"])
    alike = [row[name] for name in ("dup_of", "sem_dup_of") if row.get(name)]
    if row.get("dup_group"):
        condition = condition.and_also("dup_group = ? OR list_contains(?, uid)", row["dup_group"], alike)
    elif alike:
        condition = condition.and_also("list_contains(?, uid)", alike)
    else:
        return []
    group: list[dict[str, Any]] = cards(
        index, copies, f"ORDER BY status = 'kept' DESC, rowid LIMIT {MOST_OF_A_GROUP}", condition
    )
    return group


def column_kinds(index: SampleIndex) -> list[dict[str, Any]]:
    """The columns that a filter may name, with kind and unit: measures first, as their table has them."""
    order = {name: number for number, name in enumerate(MEASURES)}
    names = sorted(index.kinds, key=lambda name: order.get(name, len(order)))
    units = {name: MEASURES[name].unit if name in MEASURES else None for name in names}
    return [{"name": name, "kind": index.kinds[name], "unit": units[name]} for name in names]
