"""All pairs of hashes within a Hamming distance, exactly: by cells of equal bits, tables planned by their cost.

Manku, Jain and Das Sarma 2007: cut the bits into `distance + agreeing` blocks. Hashes within the distance agree in at
least `agreeing` of the blocks, so in one table for each choice of that many, only hashes that share the chosen bits
are compared. More agreeing blocks are more tables, with fewer comparisons each.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dedup.hamming_kernels import Words

Hashes = npt.NDArray[np.uint64]
"""uint64 [n], or [n, words] where a hash has more than 64 bits."""

Ints = npt.NDArray[np.int64]

_WORD_BITS = 64
_MAX_AGREEING = 5
_ROW_S, _PAIR_S = 2.0e-8, 2.0e-10
"""What a table costs for each hash, and for each comparison: infra/bench/near_pairs.py measures both."""

_FEW_PAIRS = 2**24
"""Pairs that are all compared, without a compiler: 4,096 hashes with themselves, some 50 ms."""

_CELL_ROWS = 4
"""Hashes that a cell shall hold in the mean, where its table has bits enough."""

_FINE_BITS = 11
"""Cells are cut in two steps, so that the second works in the processor's cache."""

_HOT_WORK = 2**32
"""Comparisons in one cell from which on its hashes are joined by their other bits instead: a second's work."""

_ENOUGH_PAIRS = 2**22
"""Pairs that are handed out at a time: 64 MiB of 64-bit hashes."""


@dataclass(frozen=True)
class Join:
    """How near pairs among `num` hashes, or between these and `num_other`, are found. Bit 0 is the lowest of word 0."""

    distance: int
    agreeing: int
    blocks: tuple[tuple[int, ...], ...]
    num: int
    num_other: int | None = None

    @cached_property
    def tables(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the blocks that must agree, for each table."""
        return tuple(itertools.combinations(range(len(self.blocks)), self.agreeing))

    @property
    def seconds(self) -> float:
        """What it costs one core where hashes are spread out."""
        pairs = self.num * self.num / 2 if self.num_other is None else self.num * self.num_other
        compared = sum(pairs / 2.0 ** len(self.key(table)) for table in self.tables)
        return len(self.tables) * (self.num + (self.num_other or 0)) * _ROW_S + compared * _PAIR_S

    def key(self, table: tuple[int, ...]) -> list[int]:
        """The bits that tell a table's cells apart: of its blocks, no more than its hashes can fill."""
        rows = max(self.num, self.num_other or 0)
        most = max(0, math.ceil(math.log2(max(1, rows) / _CELL_ROWS)))
        return [bit for block in table for bit in self.blocks[block]][:most]


@dataclass(frozen=True)
class _Rule:
    """Which pairs a table tells: those whose first agreeing blocks are the table's."""

    plan: Join
    table: tuple[int, ...]


def plan_join(bits: int, distance: int, num: int, num_other: int | None = None) -> Join:
    """The cheapest way to find near pairs of hashes `bits` wide: among `num`, or between `num` and `num_other`."""
    return _planned(range(bits), distance, num, num_other)


def near_pairs(hashes: Hashes, distance: int, threads: int = 1) -> tuple[Ints, Ints]:
    """Index pairs (i < j, sorted) of the distinct `hashes` that differ in at most `distance` bits."""
    words = as_words(hashes)
    _check_distance(distance, words)
    if words.shape[1] < 2 or distance == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    found = _all_tables(words, None, distance, threads)
    places = _Places(words)
    one, other = places.of(found[:, 0]), places.of(found[:, 1])
    return _in_order(np.minimum(one, other), np.maximum(one, other))


def near_matches(hashes: Hashes, others: Hashes, distance: int, threads: int = 1) -> tuple[Ints, Ints]:
    """Index pairs (i of the distinct `hashes`, j of the distinct `others`; sorted) at most `distance` bits apart."""
    words, their_words = as_words(hashes), as_words(others)
    _check_distance(distance, words)
    if len(words) != len(their_words):
        raise ValueError(f"hashes of {len(words)} and of {len(their_words)} words have no distance")
    if not words.shape[1] or not their_words.shape[1]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    found = _all_tables(words, their_words, distance, threads)
    return _in_order(_Places(words).of(found[:, 0]), _Places(their_words).of(found[:, 1]))


def in_part(plan: Join, table: int, words: "Words", part: tuple[int, int]) -> "Words":
    """Those of `words` (uint64 [words, n]) whose cells lie in one range of a table's cells: `part` (number, count)."""
    if part[1] == 1:
        return words
    from dedup import hamming_kernels as kernels

    key = plan.key(plan.tables[table])
    first, end = (2 ** len(key) * number // part[1] for number in (part[0], part[0] + 1))
    return kernels.in_cells(words, _pieces(key), first, end)


def pairs_in_table(plan: Join, table: int, words: "Words", others: "Words | None" = None) -> Iterator["Words"]:
    """Near pairs of `words` (uint64 [words, n]) that meet first in this table, as `uint64 [m, 2, words]` at a time.

    With `others`, pairs of one of `words` and one of `others`. Over all tables, and over all parts that `in_part` cuts
    them into, each pair comes once.
    """
    if plan.agreeing == 0 and _is_few(words.shape[1], None if others is None else others.shape[1]):
        yield _all_with_all(words, others, plan.distance)
    else:
        yield from _in_table(plan, plan.tables[table], words, others, ())


def as_words(hashes: Hashes) -> "Words":
    """uint64 [words, n]."""
    return np.ascontiguousarray(hashes.T if hashes.ndim == 2 else hashes[None])


def _check_distance(distance: int, words: "Words") -> None:
    bits = _WORD_BITS * len(words)
    if not 0 <= distance < bits:
        raise ValueError(f"distance must lie in 0-{bits - 1}, got {distance}")


def _planned(free: Sequence[int], distance: int, num: int, num_other: int | None) -> Join:
    """The cheapest join by these bits alone: any others are known to agree."""
    most = 0 if _is_few(num, num_other) else min(_MAX_AGREEING, len(free) - distance)
    plans = [Join(distance, 0, (), num, num_other)]
    for agreeing in range(1, most + 1):
        plans.append(Join(distance, agreeing, _cut(free, distance + agreeing), num, num_other))
    return min(plans, key=lambda plan: plan.seconds)


def _is_few(num: int, num_other: int | None) -> bool:
    return num * (num if num_other is None else num_other) <= _FEW_PAIRS


def _cut(bits: Sequence[int], num_blocks: int) -> tuple[tuple[int, ...], ...]:
    edges = [len(bits) * number // num_blocks for number in range(num_blocks + 1)]
    return tuple(tuple(bits[start:end]) for start, end in itertools.pairwise(edges))


def _all_tables(words: "Words", others: "Words | None", distance: int, threads: int) -> "Words":
    num_other = None if others is None else others.shape[1]
    plan = plan_join(_WORD_BITS * len(words), distance, words.shape[1], num_other)

    def found(table: int) -> list["Words"]:
        return list(pairs_in_table(plan, table, words, others))

    with ThreadPoolExecutor(threads) as pool:
        pieces = list(itertools.chain.from_iterable(pool.map(found, range(len(plan.tables)))))
    return np.concatenate([np.zeros((0, 2, len(words)), np.uint64), *pieces])


def _all_with_all(words: "Words", others: "Words | None", distance: int) -> "Words":
    theirs = words if others is None else others
    step = max(1, 2**20 // max(1, theirs.shape[1]))
    found = [np.zeros((0, 2, len(words)), np.uint64)]
    for start in range(0, words.shape[1], step):
        ours = words[:, start : start + step]
        differing = np.bitwise_count(ours[:, :, None] ^ theirs[:, None, :]).sum(axis=0, dtype=np.int64)
        row, other = np.nonzero(differing <= distance)
        if others is None:
            row, other = row[row + start < other], other[row + start < other]
        found.append(np.stack([ours[:, row].T, theirs[:, other].T], axis=1))
    return np.concatenate(found)


def _in_table(
    plan: Join,
    table: tuple[int, ...],
    words: "Words",
    others: "Words | None",
    outer: tuple[_Rule, ...],
) -> Iterator["Words"]:
    from dedup import hamming_kernels as kernels

    key = plan.key(table)
    fine_bits, coarse_bits = key[:_FINE_BITS], key[_FINE_BITS:]
    coarse, fine = _pieces(coarse_bits), _pieces(fine_bits)
    rules = (*outer, _Rule(plan, table))
    sides = [words] if others is None else [words, others]
    cells = [kernels.by_cell(side, coarse, 2 ** len(coarse_bits)) for side in sides]
    told = kernels.Rules(plan.distance, *_rule_arrays(rules, len(words)))
    at, hot_work = 0, _HOT_WORK if key else 2**62
    while at < 2 ** len(coarse_bits):
        at, found, hot = kernels.near_in_cells(
            cells[0], cells[-1], others is None, at, fine, 2 ** len(fine_bits), told, hot_work, _ENOUGH_PAIRS
        )
        yield found
        for big, small in hot.tolist():
            inside = [np.ascontiguousarray(side.words[:, side.starts[big] : side.starts[big + 1]]) for side in cells]
            crowded = [kernels.in_cells(side, fine, small, small + 1) for side in inside]
            yield from _in_hot_cell(crowded[0], None if others is None else crowded[1], rules)


def _in_hot_cell(words: "Words", others: "Words | None", rules: tuple[_Rule, ...]) -> Iterator["Words"]:
    """Pairs among hashes that share the bits of all keys so far: they differ in the other bits alone."""
    shared = {bit for rule in rules for bit in rule.plan.key(rule.table)}
    free = [bit for bit in range(_WORD_BITS * len(words)) if bit not in shared]
    inner = _planned(free, rules[0].plan.distance, words.shape[1], None if others is None else others.shape[1])
    for table in inner.tables:
        yield from _in_table(inner, table, words, others, rules)


def _pieces(bits: Sequence[int]) -> Ints:
    """Runs of `bits`, bit by bit from a cell's lowest: (word, first bit, mask, place in the cell's number)."""
    pieces: list[list[int]] = []
    for place, bit in enumerate(bits):
        word, inside = divmod(bit, _WORD_BITS)
        if pieces and pieces[-1][0] == word and pieces[-1][1] + pieces[-1][2].bit_length() == inside:
            pieces[-1][2] = pieces[-1][2] << 1 | 1
        else:
            pieces.append([word, inside, 1, place])
    return np.array(pieces, np.int64).reshape(-1, 4)


def _rule_arrays(rules: Sequence[_Rule], num_words: int) -> tuple["Words", Ints, Ints]:
    """The masks of all blocks [levels, blocks, words], the chosen blocks as bits [levels], how many [levels]."""
    masks = np.zeros((len(rules), max(1, *(len(rule.plan.blocks) for rule in rules)), num_words), np.uint64)
    for level, rule in enumerate(rules):
        for number, block in enumerate(rule.plan.blocks):
            for word, inside in (divmod(bit, _WORD_BITS) for bit in block):
                masks[level, number, word] |= np.uint64(1 << inside)
    chosen = [sum(1 << block for block in rule.table) for rule in rules]
    return masks, np.array(chosen, np.int64), np.array([rule.plan.agreeing for rule in rules], np.int64)


class _Places:
    """Where distinct hashes stand among `words`."""

    def __init__(self, words: "Words") -> None:
        keys = _sortable(words.T)
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def of(self, hashes: Hashes) -> Ints:
        """The index of each of the hashes, uint64 [n, words]."""
        return np.asarray(self._order[np.searchsorted(self._keys, _sortable(hashes))], np.int64)


def _sortable(hashes: Hashes) -> npt.NDArray[np.generic]:
    """[n, words] as one value each that numpy can order."""
    if hashes.shape[1] == 1:
        return np.ascontiguousarray(hashes[:, 0])
    return np.ascontiguousarray(hashes.astype(">u8")).view(f"S{8 * hashes.shape[1]}").ravel()


def _in_order(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    order = np.lexsort((other, one))
    return one[order], other[order]
