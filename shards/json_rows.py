"""Rows of a table as JSON objects, rendered column by column: the bytes of `json.dumps`, several times as fast."""

import json
from collections.abc import Iterator
from json.encoder import encode_basestring

import pyarrow as pa

_NULL = "null"


def json_rows(table: pa.Table) -> Iterator[bytes]:
    """One object a row in UTF-8, its keys sorted: `json.dumps(row, ensure_ascii=False, sort_keys=True)`."""
    names = sorted(table.column_names)
    keys = [encode_basestring(name).replace("%", "%%") for name in names]
    template = "{" + ", ".join(f"{key}: %s" for key in keys) + "}"
    for batch in table.to_batches(max_chunksize=10_000):
        for values in zip(*(_rendered(batch.column(name)) for name in names), strict=True):
            yield (template % values).encode()


def _rendered(column: pa.Array) -> list[str]:
    """Each value as JSON."""
    if column.null_count == len(column):
        return [_NULL] * len(column)
    kind = column.type
    if pa.types.is_string(kind):
        return [_NULL if value is None else encode_basestring(value) for value in column.to_pylist()]
    if pa.types.is_nested(kind):
        return [_dumped(value) for value in column.to_pylist()]
    return _dumped(column.to_pylist())[1:-1].split(", ")  # numbers and flags hold no comma


_dumped = json.JSONEncoder(ensure_ascii=False, sort_keys=True, check_circular=False).encode
