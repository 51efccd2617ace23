"""The shuffle of global stages: rows cut by key range into buckets, one row group a bucket, and read back by bucket."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shards.tables import TableWriter, read_row_groups

_Item = TypeVar("_Item")

SHUFFLE_ROWS = 1_000_000
"""Rows that one shuffle task sorts in memory."""

_HEX_VALUES = np.zeros(256, np.uint64)
_HEX_VALUES[[ord(digit) for digit in "0123456789abcdef"]] = np.arange(16, dtype=np.uint64)


def bucket_of_uids(uids: pa.ChunkedArray | pa.Array, num_buckets: int) -> npt.NDArray[np.int64]:
    """Bucket of each uid, by its first 32 bits: bucket after bucket, uids rise. int64 [n]."""
    array = uids.combine_chunks() if isinstance(uids, pa.ChunkedArray) else uids
    fixed = pa.concat_arrays([array]).cast(pa.binary()).cast(pa.binary(32))
    digits = np.frombuffer(fixed.buffers()[1], np.uint8)[fixed.offset * 32 :].reshape(-1, 32)[: len(fixed), :8]
    weights = np.array([16**power for power in range(7, -1, -1)], np.uint64)
    heads = _HEX_VALUES[digits] @ weights
    return np.asarray((heads * np.uint64(num_buckets)) >> np.uint64(32), np.int64)


def write_buckets(path: Path, table: pa.Table, buckets: npt.NDArray[np.int64], num_buckets: int) -> None:
    """Write rows ordered by bucket, each bucket one row group, empty ones too; the order inside a bucket is kept."""
    if num_buckets > 1:
        table = table.take(pa.array(np.argsort(buckets, kind="stable")))
    ends = np.cumsum(np.bincount(buckets, minlength=num_buckets)).tolist()
    with TableWriter(path, table.schema) as writer:
        start = 0
        for end in ends:
            writer.write_row_group(table.slice(start, end - start))
            start = end


def read_bucket(paths: Sequence[Path], bucket: int, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of one bucket, file after file."""
    return pa.concat_tables([read_row_groups(path, [bucket], columns) for path in paths])


def grouped_by_rows(items: Sequence[_Item], rows: Sequence[int], limit: int = SHUFFLE_ROWS) -> Iterator[list[_Item]]:
    """Consecutive items in groups of at most `limit` rows (or of one item)."""
    group: list[_Item] = []
    total = 0
    for item, count in zip(items, rows, strict=True):
        if group and total + count > limit:
            yield group
            group, total = [], 0
        group.append(item)
        total += count
    if group:
        yield group
