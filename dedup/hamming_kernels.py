"""The inner loops of the Hamming join, compiled: cut hashes into cells of equal bits, compare all with all in a cell.

Hashes are `uint64 [words, n]`: 1 word for 64 bits, 4 for 256. Nothing here knows why cells are chosen as they are:
that is `dedup.hamming`'s.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic

from shards.compiled import compiled

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


class Cells(NamedTuple):
    """Hashes ordered by cell, and where each cell starts: uint64 [words, n], int64 [cells + 1]."""

    words: Words
    starts: Ints


class Rules(NamedTuple):
    """What makes a pair near, and told here. One rule for each level of tables within cells.

    `masks` [levels, blocks, words] are the blocks' bits, `chosen` (bits of block numbers) the table's, of which there
    are `agreeing`.
    """

    distance: int
    masks: Words
    chosen: Ints
    agreeing: Ints


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
def by_cell(words: Words, pieces: Ints, num_cells: int) -> Cells:
    """The hashes ordered by the cells that `pieces` tell apart."""
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
    return Cells(ordered, starts)


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
def _is_first_table(difference: Words, rules: Rules) -> bool:
    """Whether this is the first table in which the pair meets, so that it is told once."""
    for level in range(rules.masks.shape[0]):
        seen, num = 0, 0
        for block in range(rules.masks.shape[1]):
            if num == rules.agreeing[level]:
                break
            agrees = True
            for word in range(rules.masks.shape[2]):
                agrees = agrees and difference[word] & rules.masks[level, block, word] == 0
            if agrees:
                seen |= 1 << block
                num += 1
        if seen != rules.chosen[level]:
            return False
    return True


@compiled
def _add_near(
    found: Words, num_found: int, hash_: Words, others: Words, first: int, end: int, rules: Rules
) -> tuple[Words, int]:
    """Adds the pairs of `hash_` with the hashes `first` to `end` - 1 that are near and meet here first."""
    difference = np.empty_like(hash_)
    for other in range(first, end):
        bits = 0
        for word in range(len(hash_)):
            difference[word] = others[word, other] ^ hash_[word]
            bits += _num_ones(difference[word])
        if bits > rules.distance or not _is_first_table(difference, rules):
            continue
        if num_found == len(found):
            found = np.concatenate((found, np.empty_like(found)))
        for word in range(len(hash_)):
            found[num_found, 0, word] = hash_[word]
            found[num_found, 1, word] = others[word, other]
        num_found += 1
    return found, num_found


@compiled
def _add_near_in_cell(
    found: Words, num_found: int, ours: Cells, theirs: Cells, cell: int, is_self: bool, rules: Rules, hash_: Words
) -> tuple[Words, int]:
    """Adds the near pairs of one cell: of its hashes with each other, or of ours with theirs. `hash_` is scratch."""
    begin, end = theirs.starts[cell], theirs.starts[cell + 1]
    for row in range(ours.starts[cell], ours.starts[cell + 1]):
        for word in range(len(hash_)):
            hash_[word] = ours.words[word, row]
        if is_self:
            begin = row + 1
        if _has_near(theirs.words, hash_, begin, end, rules.distance):
            found, num_found = _add_near(found, num_found, hash_, theirs.words, begin, end, rules)
    return found, num_found


@compiled
def near_in_cells(
    left: Cells,
    right: Cells,
    is_self: bool,
    first: int,
    pieces: Ints,
    num_fine: int,
    rules: Rules,
    hot_work: int,
    enough: int,
) -> tuple[int, Words, Ints]:
    """Near pairs inside the coarse cells from `first` on, each cut into `num_fine` fine ones by `pieces` before.

    Stops behind the coarse cell with which there are `enough` pairs. Returns where to go on, the pairs
    (`uint64 [n, 2, words]`), and the fine cells with more than `hot_work` comparisons, left undone:
    `int64 [m, 2]` of coarse and fine numbers.
    """
    found, num_found = np.empty((1024, 2, left.words.shape[0]), np.uint64), 0
    hot, num_hot = np.empty((16, 2), np.int64), 0
    hash_ = np.empty(left.words.shape[0], np.uint64)
    coarse = first
    while coarse < len(left.starts) - 1 and num_found < enough:
        ours = by_cell(left.words[:, left.starts[coarse] : left.starts[coarse + 1]], pieces, num_fine)
        theirs = ours
        if not is_self:
            theirs = by_cell(right.words[:, right.starts[coarse] : right.starts[coarse + 1]], pieces, num_fine)
        for fine in range(num_fine):
            work = (ours.starts[fine + 1] - ours.starts[fine]) * (theirs.starts[fine + 1] - theirs.starts[fine])
            if work <= hot_work:
                if work > int(is_self):  # a hash alone in its cell has nobody to be near
                    found, num_found = _add_near_in_cell(found, num_found, ours, theirs, fine, is_self, rules, hash_)
                continue
            if num_hot == len(hot):
                hot = np.concatenate((hot, np.empty_like(hot)))
            hot[num_hot, 0], hot[num_hot, 1] = coarse, fine
            num_hot += 1
        coarse += 1
    return coarse, found[:num_found], hot[:num_hot]
