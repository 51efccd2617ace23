"""Groups of near-duplicates: each image joins one leader, so that groups never drift along chains.

Images with equal hashes are one. Hashes are taken by their largest original (ties by uid): each joins the first leader
within the distance, or leads a group of its own, so every member is near its leader. Nothing here depends on the order
of rows, nor on which parts they came in.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.hamming import Hashes

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Column: TypeAlias = "pa.Array | pa.ChunkedArray"

HASHED = pa.schema(
    [("uid", pa.string()), ("hash", pa.uint64()), ("stored_sha256", pa.string()), ("pixels", pa.int64())]
)
"""What is asked of an image: a hash that can be trusted, or none; the stored bytes; pixels of the original."""

DISTINCT = pa.schema([("hash", pa.uint64()), ("uid", pa.string()), ("pixels", pa.int64()), ("num_images", pa.int64())])
"""A hash with the best of its images, and how many have it."""

LED = pa.schema([("hash", pa.uint64()), ("dup_group", pa.string())])
"""A hash in a group of several, and the uid of the group's leader."""

_FEW_TURNS = 1_000_000
"""Near pairs that are gone through without a compiler, in a second."""


def distinct_hashes(rows: pa.Table) -> pa.Table:
    """The hashes of HASHED rows, as DISTINCT, by hash."""
    hashed = rows.filter(pc.is_valid(rows["hash"]))
    keys = [("hash", "ascending"), ("pixels", "descending"), ("uid", "ascending")]
    ordered = hashed.take(pc.sort_indices(hashed, sort_keys=keys))
    hashes = ordered["hash"].to_numpy()
    firsts = np.flatnonzero(_opens(hashes))
    best = ordered.select(["hash", "uid", "pixels"]).take(pa.array(firsts))
    return best.append_column("num_images", pa.array(np.diff(np.append(firsts, len(hashes))), pa.int64()))


def led_hashes(one: Hashes, other: Hashes, known: pa.Table) -> pa.Table:
    """Who leads, from the near pairs of hashes and the DISTINCT rows (in any order) of all that occur in them.

    LED rows of the hashes in groups of more than one hash, by hash.
    """
    known = known.sort_by("hash")
    hashes, rank = known["hash"].to_numpy(), _ranks(known)
    left, right = np.searchsorted(hashes, one), np.searchsorted(hashes, other)
    left_first = rank[left] < rank[right]
    earlier, later = np.where(left_first, left, right), np.where(left_first, right, left)
    turns = np.lexsort((rank[earlier], rank[later]))
    leader = np.arange(len(hashes))
    _take_turns(later[turns], earlier[turns], leader)
    joined = leader != np.arange(len(hashes))
    joined[leader[joined]] = True  # and their leaders
    return pa.table(
        {"hash": known["hash"].filter(pa.array(joined)), "dup_group": known["uid"].take(pa.array(leader[joined]))}
    ).cast(LED)


def groups_of(rows: pa.Table, distinct: pa.Table, led: pa.Table) -> tuple[pa.Array, Flags]:
    """`dup_group` of HASHED rows, the uid of the image that leads; and which rows are not alone in their group.

    `distinct` and `led` hold at least these rows' hashes, by hash. Images without a hash group by equal stored bytes
    alone; with neither they stand alone.
    """
    group, is_shared = _groups_by_bytes(rows)
    hashed = np.flatnonzero(pc.is_valid(rows["hash"]).to_numpy())
    hashes = rows["hash"].take(pa.array(hashed)).to_numpy()
    place = np.searchsorted(distinct["hash"].to_numpy(), hashes)
    names = distinct["uid"].take(pa.array(place)).to_numpy(zero_copy_only=False)
    shared = distinct["num_images"].to_numpy()[place] > 1
    led_place, is_led = _found(led["hash"].to_numpy(), hashes)
    names[is_led] = led["dup_group"].take(pa.array(led_place[is_led])).to_numpy(zero_copy_only=False)
    group[hashed] = names
    is_shared[hashed] = shared | is_led
    return pa.array(group, pa.string()), is_shared


def _groups_by_bytes(rows: pa.Table) -> tuple[npt.NDArray[np.object_], Flags]:
    """Groups of the rows without a hash; the others stand alone here."""
    group = rows["uid"].to_numpy(zero_copy_only=False).copy()
    is_shared = np.zeros(rows.num_rows, np.bool_)
    alike = np.flatnonzero(pc.and_(pc.is_null(rows["hash"]), pc.is_valid(rows["stored_sha256"])).to_numpy())
    codes = pc.rank(rows["stored_sha256"].take(pa.array(alike)), tiebreaker="dense").to_numpy().astype(np.int64)
    order = np.lexsort((_ranks(rows)[alike], codes))
    opens = _opens(codes[order])
    firsts = np.flatnonzero(opens)
    number = np.cumsum(opens) - 1
    group[alike[order]] = group[alike[order[firsts]]][number]
    is_shared[alike[order]] = np.diff(np.append(firsts, len(order)))[number] > 1
    return group, is_shared


def _ranks(rows: pa.Table) -> Ints:
    """Place of each row, largest original first, then by uid; unknown sizes last."""
    order = pc.sort_indices(rows, sort_keys=[("pixels", "descending"), ("uid", "ascending")]).to_numpy()
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _opens(ordered: npt.NDArray[Any]) -> Flags:
    """Where a run of equal values begins."""
    opens = np.ones(len(ordered), np.bool_)
    opens[1:] = ordered[1:] != ordered[:-1]
    return opens


def _found(ordered: Hashes, wanted: Hashes) -> tuple[Ints, Flags]:
    """Where each wanted hash stands among the ordered ones, and whether it does."""
    if not len(ordered):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted


def _take_turns(later: Ints, earlier: Ints, leader: Ints) -> None:
    """Each hash in its turn joins the first of those before it that leads; it leads itself until then."""
    if len(later) > _FEW_TURNS:
        from dedup import group_kernels

        group_kernels.take_turns(later, earlier, leader)
        return
    for one, other in zip(later.tolist(), earlier.tolist(), strict=True):
        if leader[one] == one and leader[other] == other:
            leader[one] = other
