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

_SLICE_ROWS, _SLICE_ROWS_A_BUCKET = 65_536, 256
"""Rows that are dealt at once: few enough to lie in the processor's cache, but for very many buckets."""


def uid_words(uids: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """The upper and lower 64 bits of each uid, in the order of its hex digits: uint64 [n, 2]."""
    chunks = uids.chunks if isinstance(uids, pa.ChunkedArray) else [uids]
    digits = pa.concat_arrays(chunks).buffers()[2] if chunks else None
    if digits is None:
        return np.zeros((0, 2), np.uint64)
    words = np.frombuffer(bytes.fromhex(digits.to_pybytes()[: 32 * len(uids)].decode("ascii")), ">u8")
    return words.astype(np.uint64).reshape(-1, 2)


def bucket_of_uids(uids: pa.ChunkedArray | pa.Array, num_buckets: int) -> npt.NDArray[np.int64]:
    """Bucket of each uid, by its first 32 bits: bucket after bucket, uids rise. int64 [n]."""
    heads = uid_words(uids)[:, 0] >> np.uint64(32)
    return np.asarray((heads * np.uint64(num_buckets)) >> np.uint64(32), np.int64)


def write_buckets(path: Path, table: pa.Table, buckets: npt.NDArray[np.int64], num_buckets: int) -> None:
    """Write rows ordered by bucket, each bucket one row group, empty ones too; the order inside a bucket is kept."""
    pieces: list[list[pa.Table]] = [[table.schema.empty_table()] for _ in range(num_buckets)]
    slice_rows = max(_SLICE_ROWS, _SLICE_ROWS_A_BUCKET * num_buckets)
    for start in range(0, table.num_rows, slice_rows):
        dealt = buckets[start : start + slice_rows]
        rows = table.slice(start, slice_rows).combine_chunks().take(pa.array(np.argsort(dealt, kind="stable")))
        ends = np.cumsum(np.bincount(dealt, minlength=num_buckets))
        for bucket in np.unique(dealt).tolist():
            first = int(ends[bucket - 1]) if bucket else 0
            pieces[bucket].append(rows.slice(first, int(ends[bucket]) - first))
    with TableWriter(path, table.schema, read_once=True) as writer:
        for found in pieces:
            writer.write_row_group(pa.concat_tables(found))


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
