"""Who is too near a sample to be trained on beside it: its near-duplicate groups, its bytes, and hashes close by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.hamming import near_matches
from dedup.hash_file import HASH_FILE
from shards.tables import fit

NEAR_COLUMNS = ("uid", "sha256", "dup_group")
_ROWS_AT_ONCE = 1 << 18

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Near:
    """Rows of HASH_FILE, and for each why: in the `sample`, or else of its `group`, its `bytes` or its `hash`."""

    rows: pa.Table
    why: list[str]


class Nearness:
    """A sample as others are compared with it. `hash_name` is a column of 64-bit hashes; null compares none."""

    def __init__(self, sample: pa.Table, hash_name: str | None, distance: int) -> None:
        self._uids, self._sha256s, self._groups = (sample[name].combine_chunks().drop_null() for name in NEAR_COLUMNS)
        self._hash_name, self._distance = hash_name, distance
        hashes = sample[hash_name].drop_null().to_numpy() if hash_name else np.zeros(0, np.uint64)
        self._hashes = np.unique(hashes)

    def among(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Near]:
        """What of these rows is in the sample or too near it: columns uid, sha256, dup_group and the hashes."""
        for table in _larger(batches):
            marks = {
                "sample": _is_among(table["uid"], self._uids),
                "bytes": _is_among(table["sha256"], self._sha256s),
                "group": _is_among(table["dup_group"], self._groups),
                "hash": self._is_near(table),
            }
            found = np.flatnonzero(np.any(list(marks.values()), axis=0))
            why = [next(name for name, mask in marks.items() if mask[row]) for row in found.tolist()]
            rows = table.take(pa.array(found))
            yield Near(fit(rows.append_column("name", rows["uid"]), HASH_FILE), why)

    def _is_near(self, table: pa.Table) -> Mask:
        if self._hash_name is None or not len(self._hashes):
            return np.zeros(table.num_rows, np.bool_)
        column = table[self._hash_name]
        distinct = np.unique(column.drop_null().to_numpy())
        near, _ = near_matches(distinct, self._hashes, self._distance)
        return _is_among(column, pa.array(distinct[np.unique(near)]))


def _is_among(column: pa.ChunkedArray, wanted: pa.Array) -> Mask:
    found: Mask = pc.and_(pc.is_valid(column), pc.is_in(column, value_set=wanted)).to_numpy()
    return found


def _larger(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Several batches at a time: a join with the sample's hashes costs the less for each row."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
