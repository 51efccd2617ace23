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


def distinct_hashes(rows: pa.Table) -> pa.Table:
    """The hashes of HASHED rows, as DISTINCT, by hash."""
    hashed = rows.filter(pc.is_valid(rows["hash"]))
    keys = [("hash", "ascending"), ("pixels", "descending"), ("uid", "ascending")]
    ordered = hashed.take(pc.sort_indices(hashed, sort_keys=keys))
    hashes = ordered["hash"].to_numpy()
    firsts = np.flatnonzero(run_starts(hashes))
    best = ordered.select(["hash", "uid", "pixels"]).take(pa.array(firsts))
    return best.append_column("num_images", pa.array(np.diff(np.append(firsts, len(hashes))), pa.int64()))


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
    led_place, is_led = places_among(led["hash"].to_numpy(), hashes)
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
    order = np.lexsort((turn_ranks(rows)[alike], codes))
    opens = run_starts(codes[order])
    firsts = np.flatnonzero(opens)
    number = np.cumsum(opens) - 1
    group[alike[order]] = group[alike[order[firsts]]][number]
    is_shared[alike[order]] = np.diff(np.append(firsts, len(order)))[number] > 1
    return group, is_shared


def turn_ranks(rows: pa.Table) -> Ints:
    """The turn of each row, int64 [n]: largest original first, then by uid; unknown sizes last."""
    last = np.iinfo(np.int64).max
    sizes = pc.fill_null(pc.negate(rows["pixels"]), last).to_numpy()
    order = np.lexsort((*reversed(_words(rows["uid"])), sizes))
    turns = np.empty(len(order), dtype=np.int64)
    turns[order] = np.arange(len(order))
    return turns


def _words(names: pa.ChunkedArray) -> list[npt.NDArray[np.uint64]]:
    """Names as numbers that sort as they do, eight bytes each, the first first. Names are ASCII."""
    width = max(8, -(-(pc.max(pc.binary_length(names)).as_py() or 0) // 8) * 8)
    padded = pc.ascii_rpad(names, width, "\0").chunks
    pieces = [np.frombuffer(piece.buffers()[2], ">u8", len(piece) * width // 8) for piece in padded if len(piece)]
    words = np.concatenate([np.zeros(0, ">u8"), *pieces]).reshape(-1, width // 8)
    return [column.astype(np.uint64) for column in words.T]


def run_starts(ordered: npt.NDArray[Any]) -> Flags:
    """Where a run of equal values begins."""
    opens = np.ones(len(ordered), np.bool_)
    opens[1:] = ordered[1:] != ordered[:-1]
    return opens


def places_among(ordered: Hashes, wanted: Hashes) -> tuple[Ints, Flags]:
    """Where each wanted hash stands among the ordered ones, and whether it does."""
    if not len(ordered):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted
