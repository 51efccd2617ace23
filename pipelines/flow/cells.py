"""The hashes that a task of a Hamming join holds: one range of the cells that some of its tables share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dedup.hamming import Hashes, Join, in_part
from shards.tables import iter_batches

HASH_BITS = 64
_PART_HASHES = 2**25
"""Hashes that a task holds: 256 MiB, and twice as much again while it sorts them."""


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
