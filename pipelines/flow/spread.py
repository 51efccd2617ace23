"""The order of a release: by uid, with kept near-duplicates moved apart so that no batch of a trainer holds both."""

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

GAP = 10_000
"""Samples that should lie between two of one group: BriVL's queue holds 9,600."""

ReadKept = Callable[[], Iterable[pa.RecordBatch]]


def spread_apart(read_kept: ReadKept, gap: int = GAP) -> pa.Table:
    """Swaps that move near-duplicates apart: rows of (rank by uid, place in the release), both sides of each swap.

    `read_kept` gives (uid, dup_group) batches in order of uid, and is called twice. A sample changes places with
    one that lies at least `gap` from all others of its group; where the release is too short for that, it stays.
    """
    groups, total = _crowded(read_kept)
    crowded_ranks = {rank for ranks in groups.values() for rank in ranks}
    place_of: dict[int, int] = {}
    rank_at: dict[int, int] = {}
    for name in sorted(groups):
        ranks = groups[name]
        placed = [place_of.get(ranks[0], ranks[0])]
        for rank in ranks[1:]:
            here = place_of.get(rank, rank)
            there = _free_place(placed, here, gap, total, crowded_ranks, rank_at)
            if there != here:
                other = rank_at.get(there, there)
                place_of[rank], place_of[other] = there, here
                rank_at[there], rank_at[here] = rank, other
            placed.append(there)
    moved = sorted(rank for rank, place in place_of.items() if rank != place)
    return pa.table({"rank": pa.array(moved, pa.int64()), "place": pa.array([place_of[r] for r in moved], pa.int64())})


def _crowded(read_kept: ReadKept) -> tuple[dict[str, list[int]], int]:
    """Ranks of the members of each group that keeps several samples, and the number of kept samples."""
    followed = {name for batch in read_kept() for name in _led_by_another(batch)}
    groups: dict[str, list[int]] = {}
    start = 0
    for batch in read_kept():
        names = batch.column("dup_group")
        inside = pc.is_in(names, value_set=pa.array(sorted(followed), pa.string()))
        for rank in pc.indices_nonzero(inside).to_pylist():
            groups.setdefault(names[rank].as_py(), []).append(start + rank)
        start += batch.num_rows
    return {name: ranks for name, ranks in groups.items() if len(ranks) > 1}, start


def _led_by_another(batch: pa.RecordBatch) -> list[str]:
    """Groups of the samples that do not lead their own: few, where near-duplicates are dropped."""
    names: list[str] = batch.filter(pc.not_equal(batch.column("uid"), batch.column("dup_group")))[
        "dup_group"
    ].to_pylist()
    return names


def _free_place(placed: list[int], here: int, gap: int, total: int, crowded: set[int], rank_at: dict[int, int]) -> int:
    """`here` if it lies far enough from the group's other samples, else the first far place with a lone sample.

    Far places lie in runs that begin at 0 or just `gap` behind one of the others.
    """
    if _distance(here, placed) >= gap:
        return here
    for start in (max(placed) + gap, 0, *(place + gap for place in sorted(placed))):
        for place in range(start, min(start + gap, total)):
            if _distance(place, placed) < gap:
                break
            if rank_at.get(place, place) not in crowded:
                return place
    return here


def _distance(place: int, placed: list[int]) -> int:
    return min(abs(place - other) for other in placed)
