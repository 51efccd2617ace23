"""Drawing a sample: of each stratum the lowest draws, one of each group of near-duplicates, in one pass."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.evaluation_sets.strata import stratum_of
from shards.draws import Draws, draws_of, group_keys

Ints = npt.NDArray[np.int64]

_LEAST_SPARE = 4
_BATCH_ROWS = 65_536


@dataclass
class _Lowest:
    """Candidates of each stratum: the lowest draws, a few more of them than its quota, each draw once."""

    limits: Ints
    thresholds: Draws
    strata: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    draws: Draws = field(default_factory=lambda: np.zeros(0, np.uint64))
    uids: npt.NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, "U32"))

    def add(self, strata: Ints, draws: Draws, uids: pa.Array) -> None:
        wanted = draws <= self.thresholds[strata]
        names = np.array(uids.filter(pa.array(wanted)).to_pylist(), "U32")
        self.strata = np.concatenate([self.strata, strata[wanted]])
        self.draws = np.concatenate([self.draws, draws[wanted]])
        self.uids = np.concatenate([self.uids, names])
        if len(self.draws) > 2 * int(self.limits.sum()) + _BATCH_ROWS:
            self.prune()

    def prune(self) -> None:
        """Of equal draws, which are of one group, the first uid stays; then only as many as the limits say."""
        self._take(np.lexsort((self.uids, self.draws, self.strata)))
        same = (self.strata[1:] == self.strata[:-1]) & (self.draws[1:] == self.draws[:-1])
        self._take(np.flatnonzero(np.concatenate([[True], ~same])) if len(self.draws) else np.zeros(0, np.int64))
        starts = np.searchsorted(self.strata, np.arange(len(self.limits)))
        ranks = np.arange(len(self.strata)) - starts[self.strata]
        last = ranks == self.limits[self.strata] - 1
        self.thresholds[self.strata[last]] = self.draws[last]
        self._take(np.flatnonzero(ranks < self.limits[self.strata]))

    def _take(self, rows: Ints) -> None:
        self.strata, self.draws, self.uids = self.strata[rows], self.draws[rows], self.uids[rows]


def drawn_uids(batches: Iterable[pa.RecordBatch], by: str | None, quota: Mapping[str, int], seed: int) -> list[str]:
    """The uids of the sample, sorted: of each stratum its quota, as far as it has groups of its own.

    Columns uid, sha256, dup_group and `by`. A group of near-duplicates gives one sample at most; what a stratum lacks
    for that is taken from the others. Holds some more candidates than samples.
    """
    names = sorted(quota)
    limits = np.array([quota[name] + _LEAST_SPARE + quota[name] // 8 for name in names], np.int64)
    lowest = _Lowest(limits, np.full(len(names), np.iinfo(np.uint64).max, np.uint64))
    known = pa.array(names, pa.string())
    for batch in batches:
        places = pc.index_in(stratum_of(batch, by), value_set=known)
        batch = batch.filter(pc.is_valid(places))
        strata = places.drop_null().to_numpy().astype(np.int64)
        lowest.add(strata, draws_of(group_keys(batch), f"sample/{seed}"), batch.column("uid"))
    lowest.prune()
    return _chosen(lowest, [quota[name] for name in names])


def _chosen(lowest: _Lowest, left: list[int]) -> list[str]:
    """The lowest draws of each stratum; then, where some strata have too few, the lowest of what others have more."""
    order = np.lexsort((lowest.uids, lowest.draws)).tolist()
    size = sum(left)
    taken: dict[int, str] = {}
    for row in order:
        draw, stratum = int(lowest.draws[row]), int(lowest.strata[row])
        if left[stratum] and draw not in taken:
            taken[draw] = str(lowest.uids[row])
            left[stratum] -= 1
    for row in order:
        if len(taken) < size:
            taken.setdefault(int(lowest.draws[row]), str(lowest.uids[row]))
    return sorted(taken.values())
