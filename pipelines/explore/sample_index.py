"""The narrow columns of all samples in an in-memory DuckDB that spills to disk and is locked once it is filled."""

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb

from pipelines.explore.conditions import Condition, RefusedQuestionError, first_line, in_quotes
from pipelines.explore.stored_copies import DIGEST_CHARS, Place
from shards.database import quoted

MEMORY_LIMIT = "1GB"
MAX_SECONDS = 10.0
_MOST_THREADS = 4

# Long and nearly distinct, or lists: read from the sample's own file when it is looked at.
_LEFT_OUT = frozenset(
    {
        *("texts", "failed_rules", "canonical_url", "page_url", "final_url", "content_type", "sha256"),
        *("stored_sha256", "tar_offset", "tar_bytes", "fetch_index", "fetch_fingerprint", "dup_of", "sem_dup_of"),
    }
)

# Columns for us alone, by names that no filter can say -> from which column, of which type.
_OURS = {
    "#failed": ("coalesce(len(failed_rules), 0)", "INTEGER", "failed_rules"),
    "#fetch": ("fetch_index", "INTEGER", "fetch_index"),
    "#mark": ("left(fetch_fingerprint, 8)", "VARCHAR", "fetch_fingerprint"),
    "#offset": ("tar_offset", "BIGINT", "tar_offset"),
    "#bytes": ("tar_bytes", "BIGINT", "tar_bytes"),
    "#digest": (f"left(stored_sha256, {DIGEST_CHARS})", "VARCHAR", "stored_sha256"),
}
_ALWAYS = {
    **dict.fromkeys(("uid", "url", "host", "text", "text_kind", "status", "drop_reason", "dropped_at"), "VARCHAR"),
    **dict.fromkeys(("stored_format", "shard", "dup_group"), "VARCHAR"),
}


class SampleIndex:
    """`samples`: a row a sample, in the order of the files. Closed by `close`, which gives back memory and disk."""

    def __init__(self, files: Sequence[Path], told: Callable[[int], None] = lambda done: None) -> None:
        self.files = tuple(files)
        self._spill = tempfile.TemporaryDirectory(prefix="curate-explore-")
        self._lock = threading.Lock()
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": min(_MOST_THREADS, os.cpu_count() or 1),
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": self._spill.name,
        }
        self._connection = duckdb.connect(":memory:", config=settings)
        with ExitStack() as undoing:
            undoing.callback(self.close)
            self.kinds = self._create()
            for number, path in enumerate(self.files):
                told(number)
                self._fill(number, path)
            self._lock_up()
            undoing.pop_all()

    def rows(self, sql: str, condition: Condition | None = None, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query in which `{where}` stands for the condition; its parameters stand behind the condition's.

        The condition goes without TRY first, since TRY costs five times the time; where a row cannot be computed, such
        as a text that is no number, all is asked again with it. Raises `RefusedQuestionError`.
        """
        asked = condition or Condition()
        both = [*asked.parameters, *parameters]
        try:
            try:
                return self._asked(sql.replace("{where}", asked.sql), both)
            except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException):
                return self._asked(sql.replace("{where}", asked.strict), both)
        except duckdb.InterruptException:
            raise RefusedQuestionError(
                f"stopped after {MAX_SECONDS:.0f} s; ask for less, and convert with try_cast where many rows cannot be"
            ) from None
        except (duckdb.Error, MemoryError) as error:
            raise RefusedQuestionError(f"cannot be answered: {first_line(error)}") from None

    def place(self, uid: str) -> Place | None:
        """Where a sample's stored copy lies; None for a uid that is not there."""
        columns = 'uid, stored_format, "#fetch", "#mark", "#offset", "#bytes", "#digest", shard'
        found = self.rows(f"SELECT {columns} FROM samples WHERE uid = ? LIMIT 1", parameters=[uid])
        return Place(*found[0]) if found else None

    def close(self) -> None:
        self._connection.close()
        self._spill.cleanup()

    def _lock_up(self) -> None:
        """No file, no network, no setting from now on."""
        for setting in ("python_enable_replacements", "enable_external_access"):
            self._connection.execute(f"SET {setting} = false")
        self._connection.execute("SET lock_configuration = true")

    def _create(self) -> dict[str, str]:
        """The table, and the kinds of its columns that a filter may name."""
        described = self._connection.sql(
            f"DESCRIBE SELECT * FROM read_parquet({quoted(list(self.files))}, union_by_name = true)"
        ).fetchall()
        there = {name: kind for name, kind, *_ in described if name not in _LEFT_OUT and not kind.endswith(("]", ")"))}
        kinds = _ALWAYS | there
        ours = {name: kind for name, (_, kind, _) in _OURS.items()}
        columns = ", ".join(f"{in_quotes(name)} {kind}" for name, kind in (kinds | ours).items())
        self._connection.execute(f'CREATE TABLE samples ("#file" INTEGER, {columns})')
        return kinds

    def _fill(self, number: int, path: Path) -> None:
        file = f"read_parquet({quoted([path])})"
        there = {row[0] for row in self._connection.sql(f"DESCRIBE SELECT * FROM {file}").fetchall()}
        items = [in_quotes(name) for name in self.kinds if name in there]
        items += [f"{sql} AS {in_quotes(name)}" for name, (sql, _, source) in _OURS.items() if source in there]
        select = f'SELECT {number} AS "#file", {", ".join(items)} FROM {file}'
        self._connection.execute(f"INSERT INTO samples BY NAME {select}")

    def _asked(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """In a cursor of its own, interrupted when its time is up."""
        with self._lock:
            cursor = self._connection.cursor()
        timer = threading.Timer(MAX_SECONDS, cursor.interrupt)
        timer.start()
        try:
            return list(cursor.execute(sql, parameters).fetchall())
        finally:
            timer.cancel()
            cursor.close()
