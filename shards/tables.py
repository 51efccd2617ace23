"""Parquet as this house writes it: pinned options, a row group a slice, nothing of the machine or moment inside."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_PLAIN_COLUMNS = frozenset(
    {
        "uid",
        "url",
        "canonical_url",
        "final_url",
        "sha256",
        "stored_sha256",
        "text",
        "origin",
        "tar_offset",
        "text_key",
        "embedding",
        "bytes",
        "phash",
        "entropy",
        "dup_group",
        "dup_of",
    }
)
"""Columns of nearly distinct values: a dictionary would only be built and thrown away."""

ROW_GROUP_ROWS = 65_536


class TableWriter:
    """Streams tables of one schema into a Parquet file: page checksums, dictionaries only where they pay.

    zstd for what is kept and searched; lz4 without statistics and dictionaries for what is `read_once`, since writing
    it costs little more than half.
    """

    def __init__(self, path: Path, schema: pa.Schema, read_once: bool = False) -> None:
        encoded = [] if read_once else [field.name for field in schema if field.name not in _PLAIN_COLUMNS]
        self.schema = schema
        self.num_rows = 0
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="lz4" if read_once else "zstd",
            compression_level=None if read_once else 1,
            write_statistics=not read_once,
            use_dictionary=encoded,
            write_page_checksum=True,
            store_schema=True,
        )

    def write(self, table: pa.Table, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        """Append rows, cast to the file's schema."""
        self._writer.write_table(fit(table, self.schema), row_group_size=max(1, row_group_rows))
        self.num_rows += table.num_rows

    def write_row_group(self, table: pa.Table) -> None:
        """Append rows as exactly one row group, even if there are none."""
        self.write(table, max(1, table.num_rows))

    def close(self) -> None:
        self._writer.close()

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def write_table(path: Path, table: pa.Table, read_once: bool = False) -> None:
    """Write one table whole."""
    with TableWriter(path, table.schema, read_once) as writer:
        writer.write(table)


def fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the columns of `schema`, in its order; missing ones are null."""
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of one file; for files that are one part, never for a stage."""
    with pq.ParquetFile(path, memory_map=True) as file:
        return file.read(columns=list(columns) if columns is not None else None, use_threads=False)


def read_names(path: Path) -> list[str]:
    """The names of a file's columns."""
    return list(pq.read_schema(path, memory_map=True).names)


def read_row_groups(path: Path, groups: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
    """Some row groups of one file, in the order given."""
    with pq.ParquetFile(path, memory_map=True) as file:
        return file.read_row_groups(
            list(groups), columns=list(columns) if columns is not None else None, use_threads=False
        )


def iter_batches(paths: Iterable[Path], columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Record batches of several files one after another, at most a row group in memory."""
    for path in paths:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield from file.iter_batches(columns=list(columns) if columns is not None else None, use_threads=False)


def iter_tables(
    path: Path, columns: Sequence[str] | None = None, rows_at_once: int = 2 * ROW_GROUP_ROWS
) -> Iterator[pa.Table]:
    """Tables of whole row groups, of at most `rows_at_once` rows or one group; at least one table, be it empty."""
    names = list(columns) if columns is not None else None
    with pq.ParquetFile(path, memory_map=True) as file:
        sizes = _row_group_sizes(file.metadata)
        for groups in row_group_runs(sizes, rows_at_once):
            yield file.read_row_groups(list(groups), columns=names, use_threads=False)
        if not sizes:
            yield file.read(columns=names, use_threads=False)


def row_group_runs(sizes: Sequence[int], rows_at_once: int = 2 * ROW_GROUP_ROWS) -> Iterator[range]:
    """Consecutive row groups of these sizes that hold at most `rows_at_once` rows together, or single ones."""
    start = 0
    while start < len(sizes):
        stop = start + 1
        while stop < len(sizes) and sum(sizes[start : stop + 1]) <= rows_at_once:
            stop += 1
        yield range(start, stop)
        start = stop


def row_group_sizes(path: Path) -> list[int]:
    """The rows of each row group of a file."""
    return _row_group_sizes(pq.read_metadata(path, memory_map=True))


def _row_group_sizes(metadata: pq.FileMetaData) -> list[int]:
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]


def read_slice(path: Path, rows: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
    """Some rows of one file by their sorted numbers, reading only the row groups that hold them."""
    wanted = np.asarray(rows, np.int64)
    names = list(columns) if columns is not None else None
    with pq.ParquetFile(path, memory_map=True) as file:
        tables = [file.read_row_groups([], columns=names)]
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            inside = wanted[(wanted >= first) & (wanted < first + count)] - first
            if len(inside):
                table = file.read_row_group(group, columns=names, use_threads=False)
                tables.append(table if len(inside) == count else table.take(pa.array(inside)))
            first += count
    return pa.concat_tables(tables)
