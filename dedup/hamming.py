"""All pairs of 64-bit hashes within a Hamming distance, exactly, by sorting on permuted blocks of bits."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_BITS = 64
_MAX_AGREEING_BLOCKS = 4


def near_pairs(hashes: Hashes, distance: int) -> tuple[Ints, Ints]:
    """Index pairs (i < j, sorted) of the distinct `hashes` that differ in at most `distance` bits.

    Manku, Jain and Das Sarma 2007: cut the bits into `distance + agreeing` blocks; a near pair agrees in
    `agreeing` of them, so for each choice of those only hashes that share the chosen bits are compared.
    """
    if distance < 0 or distance >= _BITS:
        raise ValueError(f"distance must lie in 0-{_BITS - 1}, got {distance}")
    num = len(hashes)
    if num < 2 or distance == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    codes = [np.zeros(0, dtype=np.int64)]
    for mask in _masks(distance, _agreeing_blocks(num, distance)):
        for left, right in _sharing(hashes & mask):
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
            first, second = np.minimum(left[near], right[near]), np.maximum(left[near], right[near])
            codes.append(first * num + second)
    found = np.unique(np.concatenate(codes))
    return found // num, found % num


def _agreeing_blocks(num: int, distance: int) -> int:
    """The choice with the least expected work, for hashes that are spread out."""

    def work(agreeing: int) -> float:
        blocks = distance + agreeing
        pairs = num * num / 2 ** (_BITS * agreeing // blocks + 1)
        return float(math.comb(blocks, agreeing) * (num * math.log2(num) + 4 * pairs))

    return min(range(1, min(_MAX_AGREEING_BLOCKS, _BITS - distance) + 1), key=work)


def _masks(distance: int, agreeing: int) -> Iterator[np.uint64]:
    """The bits of every choice of `agreeing` blocks out of `distance + agreeing`."""
    edges = np.linspace(0, _BITS, distance + agreeing + 1).round().astype(int).tolist()
    blocks = [((1 << (end - start)) - 1) << start for start, end in itertools.pairwise(edges)]
    for chosen in itertools.combinations(blocks, agreeing):
        yield np.uint64(sum(chosen))


def _sharing(keys: Hashes) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of indices with equal keys, as arrays of at most `len(keys)` pairs."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, len(keys))
    run_end = np.repeat(ends, np.diff(np.append(0, ends)))
    places = np.arange(len(keys))
    step = 1
    while len(places := places[places + step < run_end[places]]):
        yield order[places], order[places + step]
        step += 1
