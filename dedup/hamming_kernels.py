"""The inner loops of the Hamming join, compiled: cut hashes into cells of equal bits, compare all with all in a cell.

Hashes are `uint64 [words, n]`: 1 word for 64 bits, 4 for 256. Nothing here knows why cells are chosen as they are:
that is `dedup.hamming`'s.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic

from shards.compiled import compiled

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


@intrinsic
def _ctpop(typing_context: Any, value: Any) -> Any:
    """The processor's own count of ones, many at a time where the loop allows it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


_num_ones = cast(Callable[[np.uint64], int], _ctpop)


@compiled
def _cell(words: Words, row: int, pieces: Ints) -> int:
    """The bits that `pieces` (word, first bit, mask, place in the cell's number) pick out of a hash."""
    cell = np.uint64(0)
    for piece in range(pieces.shape[0]):
        bits = words[pieces[piece, 0], row] >> np.uint64(pieces[piece, 1])
        cell |= (bits & np.uint64(pieces[piece, 2])) << np.uint64(pieces[piece, 3])
    return int(cell)


@compiled
def in_cells(words: Words, pieces: Ints, first: int, end: int) -> Words:
    """The hashes whose cell lies in `first` to `end` - 1, in their order."""
    num = 0
    for row in range(words.shape[1]):
        num += first <= _cell(words, row, pieces) < end
    found = np.empty((words.shape[0], num), np.uint64)
    num = 0
    for row in range(words.shape[1]):
        if first <= _cell(words, row, pieces) < end:
            for word in range(words.shape[0]):
                found[word, num] = words[word, row]
            num += 1
    return found


@compiled
def by_cell(words: Words, pieces: Ints, num_cells: int) -> tuple[Words, Ints]:
    """The hashes ordered by cell, and where each cell starts: int64 [num_cells + 1]."""
    num = words.shape[1]
    cells = np.empty(num, np.uint32)
    starts = np.zeros(num_cells + 1, np.int64)
    for row in range(num):
        cell = _cell(words, row, pieces)
        cells[row] = cell
        starts[cell + 1] += 1
    for cell in range(num_cells):
        starts[cell + 1] += starts[cell]
    ordered = np.empty_like(words)
    places = starts[:-1].copy()
    for row in range(num):
        place = places[cells[row]]
        places[cells[row]] += 1
        for word in range(words.shape[0]):
            ordered[word, place] = words[word, row]
    return ordered, starts


@compiled
def _has_near(words: Words, hash_: Words, first: int, end: int, distance: int) -> bool:
    """Whether any of the hashes `first` to `end` - 1 is near `hash_`: a loop without branches."""
    num = 0
    if words.shape[0] == 1:
        one = hash_[0]
        for row in range(first, end):
            num += _num_ones(words[0, row] ^ one) <= distance
        return num > 0
    for row in range(first, end):
        bits = 0
        for word in range(words.shape[0]):
            bits += _num_ones(words[word, row] ^ hash_[word])
        num += bits <= distance
    return num > 0


@compiled
def _is_first_table(difference: Words, masks: Words, chosen: Ints, agreeing: Ints) -> bool:
    """Whether this is the first table in which the pair meets, so that it is told once. One rule for each level.

    `masks` [levels, blocks, words] are the blocks' bits, `chosen` (bits of block numbers) the table's, of which there
    are `agreeing`.
    """
    for level in range(masks.shape[0]):
        seen, num = 0, 0
        for block in range(masks.shape[1]):
            if num == agreeing[level]:
                break
            agrees = True
            for word in range(masks.shape[2]):
                agrees = agrees and difference[word] & masks[level, block, word] == 0
            if agrees:
                seen |= 1 << block
                num += 1
        if seen != chosen[level]:
            return False
    return True


@compiled
def _add_near(
    found: Words,
    num_found: int,
    hash_: Words,
    others: Words,
    first: int,
    end: int,
    masks: Words,
    chosen: Ints,
    agreeing: Ints,
    distance: int,
) -> tuple[Words, int]:
    """Adds the pairs of `hash_` with the hashes `first` to `end` - 1 that are near and meet here first."""
    difference = np.empty_like(hash_)
    for other in range(first, end):
        bits = 0
        for word in range(len(hash_)):
            difference[word] = others[word, other] ^ hash_[word]
            bits += _num_ones(difference[word])
        if bits > distance or not _is_first_table(difference, masks, chosen, agreeing):
            continue
        if num_found == len(found):
            found = np.concatenate((found, np.empty_like(found)))
        for word in range(len(hash_)):
            found[num_found, 0, word] = hash_[word]
            found[num_found, 1, word] = others[word, other]
        num_found += 1
    return found, num_found


@compiled
def near_in_cells(
    left: Words,
    left_starts: Ints,
    right: Words,
    right_starts: Ints,
    is_self: bool,
    first: int,
    pieces: Ints,
    num_cells: int,
    masks: Words,
    chosen: Ints,
    agreeing: Ints,
    distance: int,
    hot_work: int,
    enough: int,
) -> tuple[int, Words, Ints]:
    """Near pairs inside the coarse cells from `first` on, each cut into `num_cells` fine ones by `pieces` before.

    Stops behind the coarse cell with which there are `enough` pairs. Returns where to go on, the pairs
    (`uint64 [n, 2, words]`), and the fine cells with more than `hot_work` comparisons, left undone:
    `int64 [m, 2]` of coarse and fine numbers.
    """
    found, num_found = np.empty((1024, 2, left.shape[0]), np.uint64), 0
    hot, num_hot = np.empty((16, 2), np.int64), 0
    hash_ = np.empty(left.shape[0], np.uint64)
    coarse = first
    while coarse < len(left_starts) - 1 and num_found < enough:
        ours, starts = by_cell(left[:, left_starts[coarse] : left_starts[coarse + 1]], pieces, num_cells)
        theirs, their_starts = ours, starts
        if not is_self:
            theirs, their_starts = by_cell(right[:, right_starts[coarse] : right_starts[coarse + 1]], pieces, num_cells)
        for fine in range(num_cells):
            begin, end = their_starts[fine], their_starts[fine + 1]
            if (starts[fine + 1] - starts[fine]) * (end - begin) > hot_work:
                if num_hot == len(hot):
                    hot = np.concatenate((hot, np.empty_like(hot)))
                hot[num_hot, 0], hot[num_hot, 1] = coarse, fine
                num_hot += 1
                continue
            for row in range(starts[fine], starts[fine + 1]):
                for word in range(len(hash_)):
                    hash_[word] = ours[word, row]
                if is_self:
                    begin = row + 1
                if _has_near(theirs, hash_, begin, end, distance):
                    found, num_found = _add_near(
                        found, num_found, hash_, theirs, begin, end, masks, chosen, agreeing, distance
                    )
        coarse += 1
    return coarse, found[:num_found], hot[:num_hot]
