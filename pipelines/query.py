"""`curate sql`: one query over a run's views, as a table, CSV, JSON or Parquet."""

import csv
import json
import sys
from pathlib import Path
from typing import Any, TextIO

import duckdb
import pyarrow as pa

from shards.catalog import VIEWS, open_catalog
from shards.errors import UsageError
from shards.tables import TableWriter

FORMATS = ("table", "csv", "json", "parquet")
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def run_query(run: Path, query: str, format_: str, output: Path | None) -> None:
    """Print or write what a query finds. Raises `UsageError` for a query, a format or a file that does not work."""
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: expected one of {', '.join(FORMATS)}")
    if format_ == "parquet" and output is None:
        raise UsageError("--format parquet needs --output FILE")
    if format_ == "table" and output is not None:
        raise UsageError("--output needs --format csv, json or parquet; a table goes to the terminal")
    with open_catalog(run, query) as connection:
        try:
            _answer(connection, query, format_, output)
        except duckdb.Error as error:  # some come only as rows are read, such as a text that is no number
            raise UsageError(f"the query failed: {error}\n{_known_views(connection)}") from None


def _answer(connection: duckdb.DuckDBPyConnection, query: str, format_: str, output: Path | None) -> None:
    if any(statement.type not in _READING for statement in connection.extract_statements(query)):
        raise UsageError("the query would change something: only SELECT, EXPLAIN and the like are answered")
    relation = connection.sql(query)
    if relation is None:
        return
    if format_ == "table":
        relation.show(max_rows=200)
        return
    try:
        _write(relation.to_arrow_reader(10_000), format_, output)
    except OSError as error:
        if output is None:
            raise
        raise UsageError(f"--output {output}: {error.strerror or error}") from error


def _known_views(connection: duckdb.DuckDBPyConnection) -> str:
    there = [row[0] for row in connection.sql("SHOW TABLES").fetchall()]
    missing = [view for view in (*VIEWS, "manifest", "funnel") if view not in there]
    later = f"; not there yet: {', '.join(missing)}" if missing else ""
    return f"views of this run: {', '.join(there)}{later}"


def _write(batches: pa.RecordBatchReader, format_: str, output: Path | None) -> None:
    if format_ == "parquet" and output is not None:
        with TableWriter(output, batches.schema) as writer:
            for batch in batches:
                writer.write(pa.Table.from_batches([batch]))
        return
    if output is None:
        _write_text(batches, format_, sys.stdout)
        return
    with output.open("w", encoding="utf-8", newline="") as stream:
        _write_text(batches, format_, stream)


def _write_text(batches: pa.RecordBatchReader, format_: str, stream: TextIO) -> None:
    names = batches.schema.names
    if format_ == "json":
        for batch in batches:
            for row in batch.to_pylist():
                stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        return
    writer = csv.writer(stream)
    writer.writerow(names)
    for batch in batches:
        writer.writerows([_csv_cell(row[name]) for name in names] for row in batch.to_pylist())


def _csv_cell(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets a `'` before it (OWASP, CSV injection)."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
