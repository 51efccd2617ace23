"""Rows of a table as JSON objects, rendered column by column: the bytes of `json.dumps`, many times as fast."""

import json
from collections.abc import Iterator
from json.encoder import encode_basestring

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_ROWS_AT_ONCE = 2_000
_NULL = "null"
_ESCAPED = np.zeros(256, np.bool_)
_ESCAPED[[*range(0x20), ord('"'), ord("\\")]] = True
_SAME_FORM = (1e-3, 1e9)
"""Magnitudes of floats that Arrow and Python write alike but for whole numbers: in digits, without an exponent."""


def json_rows(table: pa.Table) -> Iterator[bytes]:
    """One object a row in UTF-8, its keys sorted: `json.dumps(row, ensure_ascii=False, sort_keys=True)`."""
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from json_objects(batch).cast(pa.binary()).to_pylist()


def json_objects(batch: pa.RecordBatch) -> pa.Array:
    """The same rows as one column of strings, which is never null."""
    return _objects({name: batch.column(name) for name in batch.schema.names}, batch.num_rows)


def _objects(columns: dict[str, pa.Array], num_rows: int) -> pa.Array:
    """What is the same in all rows, keys above all, stands between columns as one piece."""
    pieces: list[pa.Array | str] = []
    before = "{"
    for number, name in enumerate(sorted(columns)):
        before += (", " if number else "") + f"{encode_basestring(name)}: "
        column, behind = columns[name], ""
        if column.null_count == num_rows:
            before += _NULL
            continue
        if pa.types.is_string(column.type) and not column.null_count:
            before, column, behind = before + '"', _escaped(column), '"'
        else:
            column = _rendered(column)
        pieces += [before, column]
        before = behind
    if not pieces:
        return pa.repeat(before + "}", num_rows)
    return pc.binary_join_element_wise(*pieces, before + "}", "")


def _rendered(column: pa.Array) -> pa.Array:
    """Each value as JSON, null as `null`."""
    kind = column.type
    if pa.types.is_string(kind):
        rendered = pc.binary_join_element_wise('"', _escaped(column), '"', "")
    elif pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        rendered = column.cast(pa.string())
    elif pa.types.is_float64(kind):
        rendered = _floats(column)
    elif pa.types.is_list(kind):
        rendered = _lists(column)
    elif pa.types.is_struct(kind):
        rendered = _structs(column)
    else:
        rendered = pa.array([_dumped(value) for value in column.to_pylist()], pa.string())
    return pc.fill_null(rendered, _NULL)


def _escaped(column: pa.Array) -> pa.Array:
    """What stands between the quotes. Values that JSON escapes are few: the others are taken as they are."""
    rows = _rows_with_escapes(column)
    return _replaced(column, rows, [encode_basestring(text)[1:-1] for text in column.take(pa.array(rows)).to_pylist()])


def _rows_with_escapes(column: pa.Array) -> npt.NDArray[np.int64]:
    _, offsets, data = column.buffers()
    if data is None:
        return np.empty(0, np.int64)
    ends = np.frombuffer(offsets, np.int32)[column.offset :][: len(column) + 1]
    places = np.flatnonzero(_ESCAPED[np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]]) + ends[0]
    rows = np.unique(np.searchsorted(ends, places, side="right") - 1)
    is_value: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return np.asarray(rows[is_value[rows]], np.int64)


def _floats(column: pa.Array) -> pa.Array:
    values = column.fill_null(_SAME_FORM[0]).to_numpy()
    size = np.abs(values)
    is_alike = (size >= _SAME_FORM[0]) & (size < _SAME_FORM[1]) & (values != np.floor(values))
    rows = np.flatnonzero(~is_alike)
    return _replaced(column.cast(pa.string()), rows, [_dumped(value) for value in values[rows].tolist()])


def _replaced(column: pa.Array, rows: npt.NDArray[np.int64], values: list[str]) -> pa.Array:
    """The column with other values in the rows of these sorted numbers."""
    if not len(rows):
        return column
    mask = np.zeros(len(column), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array(values, pa.string()))


def _lists(column: pa.Array) -> pa.Array:
    """Each list's values are rendered as one column, then joined list by list."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), _rendered(column.flatten()))
    joined = pc.binary_join_element_wise("[", pc.binary_join(lists, ", "), "]", "")
    return pc.if_else(column.is_valid(), joined, pa.scalar(None, pa.string()))


def _structs(column: pa.Array) -> pa.Array:
    names = [field.name for field in column.type]
    rendered = _objects(dict(zip(names, column.flatten(), strict=True)), len(column))
    return pc.if_else(column.is_valid(), rendered, pa.scalar(None, pa.string()))


_dumped = json.JSONEncoder(ensure_ascii=False, sort_keys=True, check_circular=False).encode
