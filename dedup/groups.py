"""Groups of near-duplicates: each image joins one leader, so that groups never drift along chains."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.hamming import Hashes, near_pairs

Column: TypeAlias = "pa.Array | pa.ChunkedArray"
Ints = npt.NDArray[np.int64]


def assign_groups(uid: Column, phash: Column, stored_sha256: Column, pixels: Column, distance: int) -> Ints:
    """Per row, the row that leads its group. Which rows those are does not depend on the order of rows.

    Images with equal hashes are one. Hashes are taken by their largest original (`pixels`; ties by uid): each joins
    the first leader within `distance` bits, or leads a group of its own; so every member is near its leader.
    Images without a hash group only by equal stored bytes; with neither they stand alone.
    """
    rows = pa.table({"uid": uid, "phash": phash, "bytes": stored_sha256, "pixels": pixels})
    leader = np.arange(rows.num_rows)
    rank = _ranks(rows)
    hashed = np.flatnonzero(pc.is_valid(rows["phash"]).to_numpy())
    hashes = rows["phash"].take(pa.array(hashed)).to_numpy()
    leader[hashed] = hashed[_lead_by_hash(hashes, rank[hashed], distance)]
    known = pc.and_(pc.is_null(rows["phash"]), pc.is_valid(rows["bytes"])).to_numpy()
    alike = np.flatnonzero(known)
    codes = pc.rank(rows["bytes"].take(pa.array(alike)), tiebreaker="dense").to_numpy().astype(np.int64)
    leader[alike] = alike[_best_of_each(codes, rank[alike])]
    return leader


def _ranks(rows: pa.Table) -> Ints:
    """Place of each row, largest original first, then by uid; unknown sizes last."""
    order = pc.sort_indices(rows, sort_keys=[("pixels", "descending"), ("uid", "ascending")]).to_numpy()
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _lead_by_hash(hashes: Hashes, rank: Ints, distance: int) -> Ints:
    distinct, inverse = np.unique(hashes, return_inverse=True)
    best = np.zeros(len(distinct), dtype=np.int64)
    best[inverse] = _best_of_each(inverse, rank)
    leaders = _leaders(distinct, rank[best], distance)
    return np.asarray(best[leaders[inverse]])


def _best_of_each(codes: Ints, rank: Ints) -> Ints:
    """Per row, the row of lowest rank with the same code."""
    order = np.lexsort((rank, codes))
    opens = np.ones(len(order), dtype=np.bool_)
    opens[1:] = codes[order][1:] != codes[order][:-1]
    best = np.empty(len(order), dtype=np.int64)
    best[order] = order[opens][np.cumsum(opens) - 1]
    return best


def _leaders(hashes: Hashes, rank: Ints, distance: int) -> Ints:
    """Per distinct hash its leader: when its turn comes by rank, the first leader near it, else itself."""
    left, right = near_pairs(hashes, distance)
    left_first = rank[left] < rank[right]
    earlier, later = np.where(left_first, left, right), np.where(left_first, right, left)
    by_turn = np.lexsort((rank[earlier], rank[later]))
    leader = np.arange(len(hashes)).tolist()
    # A turn depends on the turns before it, so this one loop stays; it runs over near pairs only.
    for one, other in zip(later[by_turn].tolist(), earlier[by_turn].tolist(), strict=True):
        if leader[one] == one and leader[other] == other:
            leader[one] = other
    return np.asarray(leader, dtype=np.int64)
