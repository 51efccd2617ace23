"""What the user may ask for: a filter as a rule would say it, a reason, a column to sort by, all checked."""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from filters.expressions import ExpressionReader, RefusedExpressionError, locked_connection
from shards.errors import CurateError

KEPT = "kept"
_UID = re.compile(r"[0-9a-f]{32}")
_MAX_REASON_CHARS = 63


class RefusedQuestionError(CurateError):
    """A question that is not answered, with the reason in words for who asked."""


@dataclass(frozen=True)
class Condition:
    """An SQL condition over the index and its parameters; `strict` is the same where a row may fail to be computed."""

    sql: str = "true"
    strict: str = "true"
    parameters: tuple[Any, ...] = ()

    def and_also(self, sql: str, *parameters: Any) -> "Condition":
        """Both; `sql` is ours and cannot fail."""
        return Condition(f"{self.sql} AND ({sql})", f"{self.strict} AND ({sql})", (*self.parameters, *parameters))


class ConditionReader:
    """Reads filters against the columns of an index."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._connection = locked_connection()
        self._reader = ExpressionReader(self._connection)
        self._lock = threading.Lock()
        columns = ", ".join(f"{in_quotes(name)} {kind}" for name, kind in kinds.items())
        self._connection.execute(f"CREATE TABLE samples ({columns})")

    def read(self, where: str, reason: str) -> Condition:
        """A row-wise BOOLEAN expression and a reason, `kept` or empty. Raises `RefusedQuestionError`."""
        condition = Condition()
        if where.strip():
            self._check(where)
            condition = Condition(f"({where})", f"TRY(({where}))")
        if reason == KEPT:
            return condition.and_also("status = 'kept'")
        if len(reason) > _MAX_REASON_CHARS:
            raise RefusedQuestionError(f"a reason has at most {_MAX_REASON_CHARS} characters")
        return condition.and_also("drop_reason = ?", reason) if reason else condition

    def column(self, name: str) -> str:
        """The column's name in quotes. Raises `RefusedQuestionError` where there is none."""
        if name not in self._kinds:
            raise RefusedQuestionError(f"no column is called {name!r}; known are {', '.join(self._kinds)}")
        return in_quotes(name)

    def _check(self, where: str) -> None:
        """As a rule is checked: row-wise, repeatable, of known columns, and a BOOLEAN."""
        import duckdb

        with self._lock:
            try:
                self._reader.columns_of(where, self._kinds.keys())
                found = self._connection.execute(f"DESCRIBE SELECT ({where}) AS verdict FROM samples").fetchall()[0][1]
            except RefusedExpressionError as refusal:
                raise RefusedQuestionError(f"the filter {refusal}") from None
            except duckdb.Error as error:
                raise RefusedQuestionError(f"the filter cannot be evaluated: {first_line(error)}") from None
        if found != "BOOLEAN":
            raise RefusedQuestionError(f"the filter is {found}, expected a condition such as clip_score >= 0.3")


def checked_uid(uid: str) -> str:
    """Raises `RefusedQuestionError` for what is no uid."""
    if not _UID.fullmatch(uid):
        raise RefusedQuestionError("expected a uid of 32 hexadecimal digits")
    return uid


def in_quotes(name: str) -> str:
    """An SQL identifier, whatever the name."""
    return '"' + name.replace('"', '""') + '"'


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
