"""Contact sheets: which samples the report shows, always the same ones, with what is known of each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from filters.measures import MEASURES
from filters.rules import PlacedRule
from pipelines.report.charts import comparisons
from pipelines.report.pictures import Picture, Pictures
from shards.database import quoted, scratch_database
from shards.schema import STAGES

NUM_KEPT, NUM_FALLEN, NUM_NEAR = 12, 6, 6
_MOST_SHEETS = 12
_MOST_LETTERS = 90
_NUMBERS = ("INTEGER", "BIGINT", "DOUBLE")
_NOT_PICTURED = "filters.safety"
"""Measures of this module find what nobody should have to see: what a rule drops for them is shown without pictures."""


@dataclass(frozen=True)
class Card:
    """One sample: its caption (of a dropped one, its first text), the measure that it is here for, its picture."""

    uid: str
    caption: str
    note: str
    picture: Picture | None


@dataclass(frozen=True)
class Sheet:
    """Samples that fell for one reason; `expression` is empty where the reason is no rule."""

    reason: str
    expression: str
    samples: int
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Border:
    """A rule's threshold, with the samples nearest to it on either side: what it rejected, and what was kept."""

    rule: str
    expression: str
    rejected: tuple[Card, ...]
    kept: tuple[Card, ...]


@dataclass(frozen=True)
class Sheets:
    """All samples that a report shows. `told` says what pictures it lacks and why; empty where it lacks none."""

    kept: tuple[Card, ...]
    fallen: tuple[Sheet, ...]
    borders: tuple[Border, ...]
    told: str


@dataclass(frozen=True)
class _Cut:
    """A comparison of a measure with a number, within a rule of stored measures."""

    rule: PlacedRule
    column: str
    operator: str
    threshold: float


_Row = dict[str, Any]


def choose_sheets(
    files: Sequence[Path],
    rules: Sequence[PlacedRule],
    drops: Sequence[Mapping[str, Any]],
    pictures: Pictures,
    spill_beside: Path,
) -> Sheets:
    """The samples to show of some Parquet files: those with the smallest uids of each kind, or nearest to a cut.

    Memory does not grow with rows: two passes, one for the uids, one for the rows that have them.
    """
    fallen = _sheets_wanted(rules, drops)
    with scratch_database(spill_beside) as database:
        database.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({quoted(list(files))}, union_by_name = true)")
        kinds = {name: kind for name, kind, *_ in database.sql("DESCRIBE rows").fetchall()}
        cuts = [cut for cut in _cuts(rules) if kinds.get(cut.column) in _NUMBERS]
        has_copy = f"{pictures.column} IS NOT NULL" if pictures.column in kinds else "false"
        chosen = _chosen(database, [drop["reason"] for drop in fallen], cuts, has_copy)
        cards = _Cards(_rows(database, sorted({uid for uids in chosen for uid in uids}), kinds), pictures)
    unseen = {rule.name for rule in rules if any(_is_unseen(column) for column in rule.columns)}
    expressions = {rule.name: rule.expression for rule in rules}
    of_fallen, of_cuts = chosen[1 : 1 + len(fallen)], chosen[1 + len(fallen) :]
    return Sheets(
        cards.of(chosen[0]),
        tuple(
            Sheet(
                drop["reason"],
                expressions.get(drop["reason"], ""),
                drop["samples"],
                cards.of(uids, is_pictured=drop["reason"] not in unseen),
            )
            for drop, uids in zip(fallen, of_fallen, strict=True)
        ),
        tuple(
            border
            for cut, rejected, kept in zip(cuts, of_cuts[::2], of_cuts[1::2], strict=True)
            if (border := _border(cut, cards, rejected, kept, cut.rule.name not in unseen)).rejected
        ),
        pictures.told,
    )


def _sheets_wanted(rules: Sequence[PlacedRule], drops: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rules that most samples fell for. What the web did left no copy and says nothing of the sample."""
    named = {rule.name for rule in rules}
    wanted = [drop for drop in drops if drop["reason"] in named]
    return sorted(wanted, key=lambda drop: (-drop["samples"], drop["reason"]))[:_MOST_SHEETS]


def _cuts(rules: Sequence[PlacedRule]) -> list[_Cut]:
    """One-sided thresholds of rules that judge what was fetched; equalities and places in a group have no near side."""
    found = []
    for rule in rules:
        if STAGES.index(rule.stage) < STAGES.index("fetch"):
            continue
        for column in rule.columns:
            of_column = comparisons(column, rule.expression)
            is_ranged = len({threshold for _, threshold in of_column}) == len(of_column)
            if is_ranged and not column.endswith("_rank"):
                found += [_Cut(rule, column, *comparison) for comparison in of_column]
    return found[:_MOST_SHEETS]


def _chosen(
    database: duckdb.DuckDBPyConnection, reasons: Sequence[str], cuts: Sequence[_Cut], has_copy: str
) -> list[list[str]]:
    """Uids: of kept samples, of each reason (those with a copy first), and below and above each cut."""
    copies_first = f"{{first: NOT ({has_copy}), uid: uid}}"
    wanted = [f"min({copies_first}, {NUM_KEPT}) FILTER (status = 'kept')"]
    wanted += [
        f"min({copies_first}, {NUM_FALLEN}) FILTER (status = 'dropped' AND drop_reason = {_literal(reason)})"
        for reason in reasons
    ]
    for cut in cuts:
        nearest = f"min({{first: abs({cut.column} - {cut.threshold!r}), uid: uid}}, {NUM_NEAR})"
        passes = f"{cut.column} {cut.operator} {cut.threshold!r}"
        wanted += [
            f"{nearest} FILTER (drop_reason = {_literal(cut.rule.name)} AND NOT ({passes}))",
            f"{nearest} FILTER (status = 'kept' AND {passes})",
        ]
    (found,) = database.sql(f"SELECT {', '.join(wanted)} FROM rows").fetchall()
    return [[entry["uid"] for entry in entries or []] for entries in found]


def _literal(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _rows(database: duckdb.DuckDBPyConnection, uids: Sequence[str], kinds: Mapping[str, str]) -> list[_Row]:
    """The rows of some uids, sorted, with their texts' words alone."""
    if not uids:
        return []
    texts = ", [t.text FOR t IN texts] AS texts" if "texts" in kinds else ""
    listed = ", ".join(_literal(uid) for uid in uids)
    rows: list[_Row] = (
        database.sql(
            f"SELECT * EXCLUDE ({'texts' if texts else 'uid'}){texts or ', uid'} FROM rows "
            f"WHERE uid IN ({listed}) ORDER BY uid"
        )
        .to_arrow_table()
        .to_pylist()
    )
    return rows


class _Cards:
    """Cards of rows that were read; a sample that is shown twice has its picture read once."""

    def __init__(self, rows: Sequence[_Row], pictures: Pictures) -> None:
        self._rows = {row["uid"]: row for row in rows}
        self._pictures = dict(_with_pictures(rows, pictures))

    def of(self, uids: Sequence[str], column: str | None = None, is_pictured: bool = True) -> tuple[Card, ...]:
        return tuple(self._card(self._rows[uid], column, is_pictured) for uid in uids)

    def _card(self, row: _Row, column: str | None, is_pictured: bool) -> Card:
        caption = row.get("text") or next((text for text in row.get("texts") or [] if text), "")
        short = caption if len(caption) <= _MOST_LETTERS else caption[:_MOST_LETTERS] + "…"
        note = f"{column} {row[column]:.4g}" if column is not None else _size(row)
        return Card(row["uid"], short, note, self._pictures.get(row["uid"]) if is_pictured else None)


def _with_pictures(rows: Sequence[_Row], pictures: Pictures) -> Iterator[tuple[str, Picture]]:
    for row, picture in zip(rows, pictures.of(rows), strict=True):
        if picture is not None:
            yield row["uid"], picture


def _size(row: _Row) -> str:
    """Of the original, in px."""
    width, height = row.get("original_width"), row.get("original_height")
    return f"{width} x {height}" if width and height else ""


def _border(cut: _Cut, cards: _Cards, rejected: Sequence[str], kept: Sequence[str], is_pictured: bool) -> Border:
    sides = (cards.of(uids, cut.column, is_pictured) for uids in (rejected, kept))
    return Border(cut.rule.name, cut.rule.expression, *sides)


def _is_unseen(column: str) -> bool:
    return column in MEASURES and MEASURES[column].compute.startswith(_NOT_PICTURED)
