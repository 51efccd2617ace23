"""A page of samples: those that a filter finds, in an order, with how many they are and what they fell for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.explore.conditions import KEPT, Condition, ConditionReader, RefusedQuestionError
from pipelines.explore.sample_index import SampleIndex
from pipelines.explore.stored_copies import Place, StoredCopies

PAGE_ROWS = 24
MAX_PAGES = 200
MAX_TEXT_CHARS = 300
_REASON = f"CASE WHEN status = '{KEPT}' THEN '{KEPT}' ELSE coalesce(drop_reason, '?') END"
_CARD = "uid, text, text_kind, status, drop_reason, host"
_PLACE = 'stored_format, "#fetch", "#mark", "#offset", "#bytes", "#digest", shard'


@dataclass(frozen=True)
class Found:
    """How many samples a filter finds, by reason (`kept` among them), the most frequent first."""

    matched: int
    kept: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Order:
    """By which column, which way, and which page of it, from 0; without a column, in the order of the files."""

    sort: str = ""
    is_descending: bool = True
    page: int = 0

    def sql(self, reader: ConditionReader) -> tuple[str, str, str]:
        """The column, `ORDER BY` with nulls last in any order, and `LIMIT`. Raises `RefusedQuestionError`."""
        if not 0 <= self.page < MAX_PAGES:
            raise RefusedQuestionError(f"the first {MAX_PAGES} pages are shown; filter, or sort the other way round")
        limit = f"LIMIT {PAGE_ROWS} OFFSET {self.page * PAGE_ROWS}"
        if not self.sort:
            return "NULL", "ORDER BY rowid", limit
        column = reader.column(self.sort)
        return column, f"ORDER BY {column} {'DESC' if self.is_descending else 'ASC'} NULLS LAST, rowid", limit


def count_reasons(index: SampleIndex, condition: Condition) -> Found:
    """Counts of all samples under the condition."""
    return _found(
        index.rows(f"SELECT {_REASON} AS reason, count(*) FROM samples WHERE {{where}} GROUP BY reason", condition)
    )


def page_of_samples(
    index: SampleIndex, copies: StoredCopies, reader: ConditionReader, condition: Condition, order: Order
) -> list[dict[str, Any]]:
    """Cards of one page of the samples under the condition."""
    column, by, limit = order.sql(reader)
    query = f"""
        SELECT {_CARD}, {column} AS value, {_PLACE} FROM samples
        WHERE rowid IN (SELECT rowid FROM samples WHERE {{where}} {by} {limit}) {by}
    """
    return [card(row, copies) for row in index.rows(query, condition)]


def find_samples(
    index: SampleIndex, copies: StoredCopies, reader: ConditionReader, where: Condition, reason: str, order: Order
) -> tuple[Found, list[dict[str, Any]]]:
    """Both at once, so that a costly filter passes over the samples once: counts under it, and a page of one reason."""
    column, by, limit = order.sql(reader)
    within, parameters = ("WHERE reason = ?", (reason,)) if reason else ("", ())
    query = f"""
        WITH found AS MATERIALIZED (
            SELECT rowid AS place, {column} AS sorted, {_REASON} AS reason FROM samples WHERE {{where}}
        )
        SELECT reason, count(*), NULL::BIGINT FROM found GROUP BY reason UNION ALL
        SELECT NULL, NULL, place FROM (
            SELECT place FROM found {within} {by.replace(column, "sorted").replace("rowid", "place")} {limit}
        )
    """
    rows = index.rows(query, where, parameters)
    places = [place for _, _, place in rows if place is not None]
    page = cards(index, copies, by, Condition().and_also("rowid IN (SELECT unnest(?::BIGINT[]))", places), column)
    return _found([(name, number) for name, number, place in rows if place is None]), page


def _found(rows: Sequence[tuple[str, int]]) -> Found:
    in_order = tuple(sorted(((name, number) for name, number in rows), key=lambda row: (-row[1], row[0])))
    return Found(sum(number for _, number in rows), dict(in_order).get(KEPT, 0), in_order)


def cards(index: SampleIndex, copies: StoredCopies, tail: str, condition: Condition, value: str = "NULL") -> Any:
    """Cards of the samples under the condition, ordered and limited by `tail`, our own SQL."""
    query = f"SELECT {_CARD}, {value} AS value, {_PLACE} FROM samples WHERE {{where}} {tail}"
    return [card(row, copies) for row in index.rows(query, condition)]


def card(row: tuple[Any, ...], copies: StoredCopies) -> dict[str, Any]:
    """What is shown of a sample among others."""
    uid, text, kind, status, reason, host, value, *place = row
    return {
        "uid": uid,
        "text": clipped(text, MAX_TEXT_CHARS),
        "text_kind": kind,
        "status": status,
        "drop_reason": reason,
        "host": host,
        "value": clipped(value, MAX_TEXT_CHARS) if isinstance(value, str) else value,
        "has_image": copies.may_have(Place(uid, *place)),
    }


def clipped(text: str | None, most: int) -> str | None:
    """The text, or so much of it, with an ellipsis."""
    return text if text is None or len(text) <= most else f"{text[:most]}…"
