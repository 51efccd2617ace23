"""The order of a release: by uid, with kept near-duplicates moved apart so that no batch of a trainer holds both."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

GAP = 10_000
"""Samples that should lie between two of one group: BriVL's queue holds 9,600."""

ReadKept = Callable[[], Iterable[pa.RecordBatch]]

MOVED = pa.schema([("rank", pa.int64()), ("place", pa.int64()), ("split", pa.string())])
"""Both sides of each swap: the rank by uid, and the place in the release, each within its split."""

CLOSE = pa.schema(
    [
        ("dup_group", pa.string()),
        ("uid", pa.string()),
        ("next_uid", pa.string()),  # the group's next one in the order of the release
        ("distance", pa.int64()),  # places from the one to the other, fewer than there should be
        ("split", pa.string()),
    ]
)
"""The exceptions: neighbours of one group that no swap could bring far enough apart."""


@dataclass(frozen=True)
class Spread:
    """Rows of MOVED and of CLOSE, both without `split`."""

    moved: pa.Table
    close: pa.Table


def spread_apart(read_kept: ReadKept, gap: int = GAP) -> Spread:
    """Swaps that move near-duplicates apart, and who lies close all the same.

    `read_kept` gives (uid, dup_group) batches in order of uid, and is called two or three times. A sample changes
    places with one that lies at least `gap` from all others of its group; where the release is too short for that,
    it stays.
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
    columns = {"rank": moved, "place": [place_of[rank] for rank in moved]}
    return Spread(pa.table(columns, _without_split(MOVED)), _close(groups, place_of, gap, read_kept))


def _without_split(schema: pa.Schema) -> pa.Schema:
    return schema.remove(schema.get_field_index("split"))


def _close(groups: dict[str, list[int]], place_of: dict[int, int], gap: int, read_kept: ReadKept) -> pa.Table:
    """Neighbours of a group with fewer than `gap` places from one to the next, in the order of the release."""
    found = []
    for name, ranks in groups.items():
        for one, other in pairwise(sorted(ranks, key=lambda rank: place_of.get(rank, rank))):
            start, end = place_of.get(one, one), place_of.get(other, other)
            if end - start < gap:
                found.append((start, name, one, other, end - start))
    uids = dict(_uids(read_kept, {rank for row in found for rank in row[2:4]})) if found else {}
    rows = [(name, uids[one], uids[other], distance) for _, name, one, other, distance in sorted(found)]
    schema = _without_split(CLOSE)
    columns = zip(*rows, strict=True) if rows else [[] for _ in schema]
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)


def _uids(read_kept: ReadKept, ranks: set[int]) -> Iterator[tuple[int, str]]:
    """The uid at each of the ranks."""
    start = 0
    for batch in read_kept():
        inside = sorted(rank for rank in range(start, start + batch.num_rows) if rank in ranks)
        taken = batch.column("uid").take(pa.array([rank - start for rank in inside], pa.int64()))
        yield from zip(inside, taken.to_pylist(), strict=True)
        start += batch.num_rows


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
