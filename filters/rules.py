"""Rules: which stage and level each recipe rule belongs to, and which rows of a table satisfy it."""

import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from filters.closed_words import CLOSED_WORDS
from filters.expressions import ExpressionReader, RefusedExpressionError, locked_connection
from filters.measures import MEASURES, RANGES, TEXT_LEVEL, columns_at
from shards.errors import BrokenRunError
from shards.schema import REASONS

JUDGING_STAGES = ("collect", "admit", "fetch", "measure", "dedup", "score", "select")
MAX_NAME_CHARS = 63

_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME_CHARS - 1}}}")
_TABLE = "rows_to_judge"


@dataclass(frozen=True)
class PlacedRule:
    """A rule and where it runs. Its name is the drop reason of what it rejects.

    `level` is `text` where it names any text measure: then it judges each text. `relative` lists the measures
    among `columns` that must be recomputed over the rows standing when its turn comes.
    """

    name: str
    expression: str
    stage: str
    level: Literal["text", "sample"]
    columns: tuple[str, ...]
    relative: tuple[str, ...]


@dataclass(frozen=True)
class RuleProblem:
    """A rule that cannot be placed, with the reason in words for its author."""

    name: str
    message: str


class RuleEngine:
    """Places and evaluates rules in a locked DuckDB connection, one for all engines of a thread."""

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return _connection_of(threading.get_ident())

    @cached_property
    def _reader(self) -> ExpressionReader:
        return _reader_of(threading.get_ident())

    def place(
        self, rules: Mapping[str, str], dup_rank_stage: str = "dedup"
    ) -> tuple[list[PlacedRule], list[RuleProblem]]:
        """The rules in order of judgement (stage, then recipe order), and what is wrong with the others."""
        placed: list[PlacedRule] = []
        problems: list[RuleProblem] = []
        for name, expression in rules.items():
            try:
                _check_name(name)
                placed.append(self._place_one(name, expression, dup_rank_stage))
            except RefusedExpressionError as refusal:
                problems.append(RuleProblem(name, str(refusal)))
        placed.sort(key=lambda rule: JUDGING_STAGES.index(rule.stage))
        return placed, problems

    def evaluate(self, table: pa.Table, rules: Sequence[PlacedRule]) -> pa.Table:
        """One non-null boolean column per rule, rows as in `table`: true only where the rule is TRUE."""
        if not rules:
            return table.select([])
        inputs = _finite(_pick(table, {column for rule in rules for column in rule.columns}))
        self._connection.register(_TABLE, inputs)
        try:
            # Aliases that no rule can name, since DuckDB lets one item of a SELECT refer to an earlier one.
            items = ", ".join(f'TRY(({rule.expression})) IS TRUE AS "#{n}"' for n, rule in enumerate(rules))
            verdicts = self._connection.sql(f"SELECT {items} FROM {_TABLE}").to_arrow_table()
        finally:
            self._connection.unregister(_TABLE)
        return verdicts.rename_columns([rule.name for rule in rules])

    def _place_one(self, name: str, expression: str, dup_rank_stage: str) -> PlacedRule:
        known = columns_at(JUDGING_STAGES[-1], dup_rank_stage)
        columns = self._reader.columns_of(expression, known)
        numbers = [name for name in columns if _is_number(known[name])]
        self._reader.check_comparisons(expression, numbers, RANGES, CLOSED_WORDS)
        stage = next(s for s in JUDGING_STAGES if set(columns) <= columns_at(s, dup_rank_stage).keys())
        self._check_type(expression, {column: known[column] for column in columns})
        return PlacedRule(
            name=name,
            expression=expression,
            stage=stage,
            level="text" if TEXT_LEVEL.intersection(columns) else "sample",
            columns=columns,
            relative=tuple(c for c in columns if c in MEASURES and MEASURES[c].relative),
        )

    def _check_type(self, expression: str, columns: Mapping[str, pa.DataType]) -> None:
        """Binds against the empty typed table, which finds wrong types and wrong arguments too."""
        self._connection.register(_TABLE, _pick(pa.schema(list(columns.items())).empty_table(), columns))
        try:
            query = f"DESCRIBE SELECT TRY(({expression})) AS verdict FROM {_TABLE}"
            found = self._connection.execute(query).fetchall()[0][1]
        except duckdb.Error as error:
            message = str(error).strip().splitlines()[0]
            raise RefusedExpressionError(f"cannot be evaluated: {message}") from None
        finally:
            self._connection.unregister(_TABLE)
        if found != "BOOLEAN":
            raise RefusedExpressionError(f"is {found}, expected a BOOLEAN condition such as zh_chars >= 1")


@lru_cache(maxsize=16)
def _connection_of(thread: int) -> duckdb.DuckDBPyConnection:
    """Opening one takes 30 ms, as long as judging 10,000 rows; a worker judges parts by the hundred."""
    return locked_connection()


@lru_cache(maxsize=16)
def _reader_of(thread: int) -> ExpressionReader:
    """Listing DuckDB's functions takes 100 ms, and a recipe is placed beside its run's own."""
    return ExpressionReader(_connection_of(thread))


def place_rules(rules: Mapping[str, str], dup_rank_stage: str = "dedup") -> tuple[list[PlacedRule], list[RuleProblem]]:
    """`RuleEngine.place` for callers who place once."""
    return RuleEngine().place(rules, dup_rank_stage)


def split_at_relative(rules: Sequence[PlacedRule]) -> list[list[PlacedRule]]:
    """Runs of rules that may be judged together: a relative rule opens a run, before which its measure is redone."""
    runs: list[list[PlacedRule]] = []
    for rule in rules:
        if rule.relative or not runs:
            runs.append([])
        runs[-1].append(rule)
    return runs


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RefusedExpressionError(
            f"is no name for a rule: expected a-z, 0-9 and _, a letter first, at most {MAX_NAME_CHARS}"
        )
    if name in REASONS:
        raise RefusedExpressionError("is the web's own drop reason; choose another name")


def _pick(table: pa.Table, columns: Collection[str]) -> pa.Table:
    """The columns that rules name; a column of its own holds the number of rows where they name none."""
    missing = sorted(set(columns) - set(table.column_names))
    if missing:
        raise BrokenRunError(
            f"rules need the columns {', '.join(missing)}, which the table lacks; "
            f"it has {', '.join(table.column_names)}"
        )
    picked = table.select(sorted(columns))
    return picked if columns else picked.append_column("#", pa.nulls(table.num_rows, pa.bool_()))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _finite(table: pa.Table) -> pa.Table:
    """NaN and infinity as null: no measure stores them, and `'nan' >= 0.3` is TRUE in DuckDB."""
    for n, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(n)
            finite = pc.is_finite(column)
            if pc.all(finite).as_py() is False:
                table = table.set_column(n, field, pc.if_else(finite, column, pa.scalar(None, field.type)))
    return table
