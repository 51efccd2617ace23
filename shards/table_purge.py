"""Rows of Parquet files emptied: of a sample that was taken down its uid stays, and nothing that tells what it was."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards.tables import TableWriter

REMOVED = "removed"
_STAGE = "collect"
"""Where a removed sample falls: before anything else is asked of it, as it would in a later run."""

_STAYS = frozenset(
    {
        *("uid", "dup_group"),  # uids are hashes
        *("place", "part", "range", "cluster", "fetch_index", "fetch_fingerprint"),  # where rows lie in other files
        *("depth", "round", "num_pages"),
    }
)
_SAYS = {"drop_reason": REMOVED, "dropped_at": _STAGE, "status": "dropped"}
_Flags = npt.NDArray[np.bool_]


def blanked(table: pa.Table, rows: _Flags) -> pa.Table:
    """The table with some rows emptied: null, lists without entries, and `removed` where a row says why it fell.

    In a table without `drop_reason` whole and small numbers stay: they say where rows lie, and not what was there.
    """
    places = np.flatnonzero(rows)
    if not len(places):
        return table
    order = np.arange(table.num_rows)
    order[places] = table.num_rows + np.arange(len(places))
    empty = _emptied(table.take(pa.array(places)))
    return pa.concat_tables([table, empty]).take(pa.array(order))


def _emptied(rows: pa.Table) -> pa.Table:
    tells = "drop_reason" in rows.column_names
    columns = [_emptied_column(rows[field.name], field, tells) for field in rows.schema]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _emptied_column(column: pa.ChunkedArray, field: pa.Field, tells: bool) -> pa.Array | pa.ChunkedArray:
    kind, size = field.type, len(column)
    if field.name in _STAYS:
        return column
    if field.name in _SAYS and tells and pa.types.is_string(kind):  # a page's status is a number
        return pa.array([_SAYS[field.name]] * size, pa.string())
    if pa.types.is_list(kind):
        return pa.array([[]] * size, kind)
    if pa.types.is_fixed_size_binary(kind):  # vectors of a shuffle are read without asking which are null
        return pa.array([bytes(kind.byte_width)] * size, kind)
    if not tells and (pa.types.is_signed_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)):
        return column
    return pa.nulls(size, kind)


def empty_rows(schema: pa.Schema, uids: pa.Array) -> pa.Table:
    """A row of nothing but its uid, and that it is removed, for each of `uids`."""
    columns = [uids if field.name == "uid" else pa.nulls(len(uids), field.type) for field in schema]
    return _emptied(pa.Table.from_arrays(columns, schema=schema))


def holds_samples(schema: pa.Schema) -> bool:
    """Whether a file has a row a sample; one that has a row a perceptual hash begins with it."""
    return "uid" in schema.names and schema.names[0] != "hash"


def num_to_blank(path: Path, uids: pa.Array) -> int:
    """How many rows of a file are of `uids` and not yet empty; reads the column `uid`, and more where they are."""
    with pq.ParquetFile(path, memory_map=True) as file:
        if not len(uids) or not holds_samples(file.schema_arrow):
            return 0
        return sum(_num_in_group(file, group, uids) for group in range(file.num_row_groups))


def _num_in_group(file: pq.ParquetFile, group: int, uids: pa.Array) -> int:
    mask = rows_of(file.read_row_group(group, ["uid"], use_threads=False), uids)
    if not mask.any():
        return 0
    return num_full(file.read_row_group(group, use_threads=False).take(pa.array(np.flatnonzero(mask))))


def num_full(rows: pa.Table) -> int:
    """How many rows are not yet empty."""
    empty = _emptied(rows)
    return 0 if empty.equals(rows) else sum(not empty.slice(n, 1).equals(rows.slice(n, 1)) for n in range(len(rows)))


def blank_rows(path: Path, target: Path, uids: pa.Array) -> None:
    """Write a file again, row group by row group, with the rows of `uids` emptied; other rows keep their places."""
    with pq.ParquetFile(path, memory_map=True) as file:
        schema, is_read_once = file.schema_arrow, is_written_once(file)
        with TableWriter(target, schema, is_read_once) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                writer.write_row_group(blanked(table, rows_of(table, uids)))


def is_written_once(file: pq.ParquetFile) -> bool:
    """Whether a file was written as one that is read once (`TableWriter`)."""
    if not file.num_row_groups or not file.metadata.num_columns:
        return False
    return str(file.metadata.row_group(0).column(0).compression).startswith("LZ4")


def rows_of(table: pa.Table, uids: pa.Array) -> _Flags:
    """Which rows are of `uids`."""
    mask = pc.is_in(table["uid"], value_set=uids)
    return np.asarray(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy(), np.bool_)
