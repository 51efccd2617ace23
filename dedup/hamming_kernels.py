"""The inner loops of the Hamming join, compiled: hashes in the order of some of their bits, compared with those nearby.

Hashes are `uint64 [words, n]`: 1 word for 64 bits, 4 for 256. Nothing here knows why bits are chosen as they are: that
is `dedup.hamming`'s. `pieces` are runs of chosen bits, `uint64 [m, 4]`: (word, first bit, mask, place in the result).
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
Flags = npt.NDArray[np.uint8]

_BLOCK_ROWS = 1024
"""Hashes that are compared with their next, then with the one after: they stay in the processor's nearest cache."""

_STEPS = 16
"""So many nexts of all hashes of a block; in larger cells each hash goes on alone, as far as its cell goes."""

_FEW = 64
"""Comparisons that are made on the spot, without a call."""


class Rules(NamedTuple):
    """Which pairs a table tells. One rule for each level of tables within cells.

    `masks` [levels, blocks, words] are the blocks' bits, `chosen` (bits of block numbers) the table's, of which there
    are `agreeing`.
    """

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
def picked(words: Words, pieces: Words) -> Words:
    """The bits that `pieces` pick out of each hash: uint64 [n]."""
    found = np.zeros(words.shape[1], np.uint64)
    for start in range(0, len(found), _BLOCK_ROWS):
        some = found[start : start + _BLOCK_ROWS]
        for piece in range(pieces.shape[0]):
            line = words[pieces[piece, 0]]
            ours = line[start : start + _BLOCK_ROWS]
            first, mask, place = pieces[piece, 1], pieces[piece, 2], pieces[piece, 3]
            for row in range(len(some)):
                some[row] |= ((ours[row] >> first) & mask) << place
    return found


@compiled
def put_back(values: Words, pieces: Words) -> Words:
    """What `picked` made the values of, where `pieces` pick every bit of one word."""
    found = np.zeros_like(values)
    for piece in range(pieces.shape[0]):
        first, mask, place = pieces[piece, 1], pieces[piece, 2], pieces[piece, 3]
        for row in range(len(found)):
            found[row] |= ((values[row] >> place) & mask) << first
    return found


@compiled
def in_cells(words: Words, pieces: Words, first: np.uint64, last: np.uint64) -> Words:
    """The hashes whose picked bits are `first` to `last`, in their order."""
    cells = picked(words, pieces)
    num = 0
    for cell in cells:
        num += int(first <= cell) & int(cell <= last)
    found = np.empty((words.shape[0], num), np.uint64)
    num = 0
    for row in range(len(cells)):
        if first <= cells[row] and cells[row] <= last:
            for word in range(words.shape[0]):
                found[word, num] = words[word, row]
            num += 1
    return found


@compiled
def _count_ones(bits: Ints, ours: Words, theirs: Words) -> None:
    """Adds to `bits` [n] in how many bits the words [n] of two hashes differ, row by row."""
    for row in range(len(bits)):
        bits[row] += _num_ones(ours[row] ^ theirs[row])


@compiled
def _mark_near(words: Words, first: int, other: int, distance: int, bits: Ints, near: Flags) -> int:
    """Sets `near` [n] where a hash from `first` on is near the one as far behind `other`, and counts them.

    Loops without branches, so that the processor takes many hashes at a time. `bits` [n] is scratch.
    """
    num, rows = 0, len(near)
    if words.shape[0] == 1:
        line = words[0]
        ours, theirs = line[first : first + rows], line[other : other + rows]
        for row in range(rows):
            is_near = _num_ones(ours[row] ^ theirs[row]) <= distance
            near[row] = is_near
            num += int(is_near)
        return num
    bits[:] = 0
    for word in range(words.shape[0]):
        line = words[word]
        _count_ones(bits, line[first : first + rows], line[other : other + rows])
    for row in range(rows):
        near[row] = bits[row] <= distance
        num += int(bits[row] <= distance)
    return num


@compiled
def _share_a_cell(ours: Words, theirs: Words, mask: np.uint64) -> bool:
    """Whether any key is, by the bits of `mask`, equal to the one in the same row."""
    num = 0
    for row in range(len(ours)):
        num += int((ours[row] ^ theirs[row]) & mask == np.uint64(0))
    return num > 0


@compiled
def _grown(found: Words, num_found: int, num_more: int) -> Words:
    """`found` with room for more."""
    if num_found + num_more <= len(found):
        return found
    larger = np.empty((2 * (num_found + num_more), 2, found.shape[2]), np.uint64)
    larger[:num_found] = found[:num_found]
    return larger


@compiled
def _add_within(found: Words, num_found: int, words: Words, first: int, other: int, near: Flags, rows: Ints) -> int:
    """Adds the pairs of rows from `first` and from `other` on that are `near`; there is room. `rows` is scratch."""
    num = 0
    for row in range(len(near)):  # without a branch, which nobody could foretell
        rows[num] = row
        num += near[row]
    for place in range(num):
        row = rows[place]
        for word in range(words.shape[0]):
            found[num_found, 0, word] = words[word, first + row]
            found[num_found, 1, word] = words[word, other + row]
        num_found += 1
    return num_found


@compiled
def _count_near(ours: Words, theirs: Words, skipped: int, distance: int, nums: Ints) -> None:
    """Sets `nums` [n] to how many of theirs are near each of ours, each skipping one more of theirs than the last.

    Hashes of one word each. `skipped` is what the first skips; below 0, all are compared with all.
    """
    for row in range(len(nums)):
        num, one = 0, ours[row]
        others = theirs[skipped + row if skipped >= 0 else 0 :]
        for other in range(len(others)):
            num += int(_num_ones(one ^ others[other]) <= distance)
        nums[row] = num


@compiled
def _add_matches(
    found: Words,
    num_found: int,
    ours: Words,
    first: int,
    theirs: Words,
    begin: int,
    end: int,
    skipped: int,
    distance: int,
    nums: Ints,
) -> tuple[Words, int]:
    """Adds near pairs of ours from `first` on, as many as `nums` (scratch), and theirs from `begin` to `end` - 1."""
    line, other_line = ours[0], theirs[0]
    _count_near(line[first : first + len(nums)], other_line[begin:end], skipped, distance, nums)
    if not nums.any():
        return found, num_found
    near = np.empty(end - begin, np.uint8)
    rows = np.empty(end - begin, np.int64)
    for row in range(len(nums)):
        if nums[row] == 0:
            continue
        found = _grown(found, num_found, nums[row])
        start = begin + (skipped + row if skipped >= 0 else 0)
        num_found = _add_row(found, num_found, ours, first + row, theirs, start, distance, near[: end - start], rows)
    return found, num_found


@compiled
def _add_row(
    found: Words,
    num_found: int,
    ours: Words,
    row: int,
    theirs: Words,
    begin: int,
    distance: int,
    near: Flags,
    rows: Ints,
) -> int:
    """Adds the near pairs of `row` of ours and one of theirs from `begin` on; `near` [n] and `rows` are scratch."""
    one, line, num = ours[0, row], theirs[0], 0
    others = line[begin : begin + len(near)]
    for other in range(len(near)):
        near[other] = _num_ones(one ^ others[other]) <= distance
    for other in range(len(near)):  # without a branch, which nobody could foretell
        rows[num] = other
        num += near[other]
    for place in range(num):
        other = begin + rows[place]
        bits = 0
        for word in range(ours.shape[0]):
            bits += _num_ones(ours[word, row] ^ theirs[word, other])
        if bits <= distance:
            for word in range(ours.shape[0]):
                found[num_found, 0, word], found[num_found, 1, word] = ours[word, row], theirs[word, other]
            num_found += 1
    return num_found


@compiled
def _run_end(keys: Words, first: int, end: int, mask: np.uint64) -> int:
    """Behind the last key before `end` that equals the one at `first` by the bits of `mask`."""
    cell, at = keys[first] & mask, first + 1
    while at < end and keys[at] & mask == cell:
        at += 1
    return at


@compiled
def near_in_cells(
    words: Words, keys: Words, mask: np.uint64, first: int, end: int, distance: int, enough: int
) -> tuple[int, Words]:
    """Near pairs among the hashes `first` to `end` - 1 that share a cell, and perhaps some that do not.

    `words` lie in the order of `keys` [n], of which the bits of `mask`, the highest, tell cells apart. Stops behind the
    block with which there are `enough` pairs. Returns where to go on, and the pairs (`uint64 [n, 2, words]`).
    """
    found, num_found = np.empty((1024, 2, words.shape[0]), np.uint64), 0
    scratch, near = np.empty(_BLOCK_ROWS, np.int64), np.zeros(_BLOCK_ROWS, np.uint8)
    while first < end and num_found < enough:
        stop, step, has_more = min(first + _BLOCK_ROWS, end), 1, True
        while has_more:
            rows, other = max(0, min(stop, end - step) - first), first + step
            if step & (step - 1) == 0:
                has_more = _share_a_cell(keys[first : first + rows], keys[other : other + rows], mask)
            if step == _STEPS or not has_more:
                break
            num = _mark_near(words, first, other, distance, scratch[:rows], near[:rows])
            if num:
                found = _grown(found, num_found, num)
                num_found = _add_within(found, num_found, words, first, other, near[:rows], scratch)
            step += 1
        while has_more and first < stop:
            run_end = _run_end(keys, first, end, mask)
            own = min(stop, run_end)
            if run_end > first + _STEPS:
                found, num_found = _add_matches(
                    found, num_found, words, first, words, first, run_end, _STEPS, distance, scratch[: own - first]
                )
            first = own
        first = stop
    return first, found[:num_found]


@compiled
def near_between(
    ours: Words,
    our_keys: Words,
    theirs: Words,
    their_keys: Words,
    mask: np.uint64,
    first: int,
    other: int,
    hot_work: int,
    distance: int,
    enough: int,
) -> tuple[int, int, Words, Ints]:
    """Near pairs of one of `ours` with one of `theirs` that share a cell, from the rows `first` and `other` on.

    Both lie in the order of their keys. Returns where to go on, the pairs, and cells left undone since they take more
    than `hot_work` comparisons: `int64 [m, 4]`, first row and end of ours, first row and end of theirs.
    """
    found, num_found = np.empty((1024, 2, ours.shape[0]), np.uint64), 0
    hot, num_hot = np.empty((16, 4), np.int64), 0
    scratch = np.empty(_BLOCK_ROWS, np.int64)
    line, their_line = ours[0], theirs[0]
    while first < len(our_keys) and other < len(their_keys) and num_found < enough:
        cell = our_keys[first] & mask
        while other < len(their_keys) and their_keys[other] & mask < cell:
            other += 1
        if other == len(their_keys) or their_keys[other] & mask > cell:
            first += 1
        else:
            end = _run_end(our_keys, first, len(our_keys), mask)
            their_end = _run_end(their_keys, other, len(their_keys), mask)
            work, num = (end - first) * (their_end - other), 1
            if work < _FEW:
                num = 0
                for row in range(first, end):
                    for their_row in range(other, their_end):
                        num += int(_num_ones(line[row] ^ their_line[their_row]) <= distance)
            if work > hot_work:
                if num_hot == len(hot):
                    hot = np.concatenate((hot, np.empty_like(hot)))
                hot[num_hot, 0], hot[num_hot, 1], hot[num_hot, 2], hot[num_hot, 3] = first, end, other, their_end
                num_hot += 1
            elif num:
                while first < end:
                    nums = scratch[: min(len(scratch), end - first)]
                    found, num_found = _add_matches(
                        found, num_found, ours, first, theirs, other, their_end, -1, distance, nums
                    )
                    first += len(nums)
            first, other = end, their_end
    return first, other, found[:num_found], hot[:num_hot]


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
def told_here(pairs: Words, rules: Rules) -> Words:
    """Those of the pairs (`uint64 [n, 2, words]`) that meet first in this table."""
    found, num_found = np.empty_like(pairs), 0
    difference = np.empty(pairs.shape[2], np.uint64)
    for row in range(len(pairs)):
        for word in range(len(difference)):
            difference[word] = pairs[row, 0, word] ^ pairs[row, 1, word]
        if _is_first_table(difference, rules):
            found[num_found] = pairs[row]
            num_found += 1
    return found[:num_found]
