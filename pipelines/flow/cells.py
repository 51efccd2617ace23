"""How hashes are cut up: into ranges for what is known of each, and into the cells that tables of the join share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dedup.groups import Ints
from dedup.hamming import Hashes, Join, in_part
from shards.tables import iter_batches

HASH_BITS = 64
_PART_HASHES = 2**25
"""Hashes that a task holds: 256 MiB, and twice as much again while it sorts them."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / the golden ratio: multiplied by it, numbers spread over their highest bits (Knuth, TAOCP 3, 6.4)."""


def range_of_hashes(hashes: Hashes, num_ranges: int) -> Ints:
    """The range of each hash, int64 [n]: by the hash mixed, since many begin alike."""
    mixed = hashes * _GOLDEN
    return np.asarray(((mixed >> np.uint64(32)) * np.uint64(num_ranges)) >> np.uint64(32), np.int64)


def num_parts(num_hashes: int) -> int:
    """Into how many ranges the cells of each family of tables are cut."""
    return -(-num_hashes // _PART_HASHES) or 1


def read_cells(plan: Join, family: int, part: tuple[int, int], paths: Sequence[Path]) -> Hashes:
    """The hashes in some files' column `hash` whose cells lie in the range `part` (number, count): uint64 [1, n]."""
    pieces = [np.zeros((1, 0), np.uint64)]
    for batch in iter_batches(paths, ["hash"]):
        hashes = np.asarray(batch["hash"].to_numpy(), np.uint64).reshape(1, -1)
        pieces.append(in_part(plan, family, hashes, part))
    return np.concatenate(pieces, axis=1)
