"""All pairs of hashes within a Hamming distance, exactly: sorted by some of their bits, by tables planned by cost.

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
_ROW_S, _PAIR_S = 6.0e-8, 7.0e-10
"""What a table costs for each hash, and for each comparison: infra/bench/near_pairs.py measures both."""

_FEW_PAIRS = 2**24
"""Pairs that are all compared, without a compiler: 4,096 hashes with themselves, some 50 ms."""

_MAX_KEY_BITS = 32
"""Bits of a wide hash that tell cells apart, at most: a key and a row's number fit in 64 bits."""

_HOT_WORK = 2**30
"""Comparisons in one cell from which on its hashes are joined by their other bits instead: a tenth of a second."""

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

    @cached_property
    def families(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the tables, those together that want the same first block to agree."""
        numbered = range(len(self.tables))
        return tuple(tuple(family) for _, family in itertools.groupby(numbered, lambda number: self.tables[number][:1]))

    @property
    def seconds(self) -> float:
        """What it costs one core where hashes are spread out."""
        pairs = self.num * self.num / 2 if self.num_other is None else self.num * self.num_other
        compared = sum(pairs / 2.0 ** len(self.key(table)) for table in self.tables)
        return len(self.tables) * (self.num + (self.num_other or 0)) * _ROW_S + compared * _PAIR_S

    def key(self, table: tuple[int, ...]) -> list[int]:
        """The bits that tell a table's cells apart, the first of them the highest of a cell's number."""
        return [bit for block in table for bit in reversed(self.blocks[block])][:_MAX_KEY_BITS]


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
    one, other = np.split(_places(found.transpose(1, 0, 2).reshape(-1, len(words)), words), 2)
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
    return _in_order(_places(found[:, 0], words), _places(found[:, 1], their_words))


def in_part(plan: Join, family: int, words: "Words", part: tuple[int, int]) -> "Words":
    """Those of `words` (uint64 [words, n]) that all tables of a family need for one range: `part` (number, count).

    The range is one of the cells that the family's first block makes.
    """
    if part[1] == 1:
        return words
    from dedup import hamming_kernels as kernels

    key = plan.key(plan.tables[plan.families[family][0]][:1])
    edges = [2 ** len(key) * number // part[1] for number in (part[0], part[0] + 1)]
    if edges[0] == edges[1]:
        return words[:, :0]
    return kernels.in_cells(words, _pieces(key, len(key)), np.uint64(edges[0]), np.uint64(edges[1] - 1))


def pairs_in_table(plan: Join, table: int, words: "Words", others: "Words | None" = None) -> Iterator["Words"]:
    """Near pairs of `words` (uint64 [words, n]) that meet first in this table, as `uint64 [m, 2, words]` at a time.

    With `others`, pairs of one of `words` and one of `others`. Over all tables, and over all parts that `in_part` cuts
    their families into, each pair comes once.
    """
    if words.shape[1] < (2 if others is None else 1) or (others is not None and not others.shape[1]):
        return
    if plan.agreeing == 0 and _is_few(words.shape[1], None if others is None else others.shape[1]):
        yield _all_with_all(words, others, plan.distance)
    else:
        yield from _in_table(plan, plan.tables[table], words, others, ())


def pairs_in_tables(plan: Join, family: int, words: "Words", others: "Words | None" = None) -> Iterator["Words"]:
    """Near pairs that meet first in one of a family's tables, as `pairs_in_table` tells them."""
    for table in plan.families[family]:
        yield from pairs_in_table(plan, table, words, others)


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

    rules = (*outer, _Rule(plan, table))
    told = kernels.Rules(*_rule_arrays(rules, len(words)))
    key = plan.key(table)
    ours = _ordered(words, key)
    pairs = (
        _near_in(ours, plan.distance) if others is None else _near_between(ours, _ordered(others, key), plan.distance)
    )
    for found in pairs:
        if isinstance(found, _HotCell):
            yield from _in_hot_cell(found, rules)
        else:
            yield kernels.told_here(ours.restored(found), told)


@dataclass(frozen=True)
class _Ordered:
    """Hashes in the order of a table's key: `words` uint64 [words, n], `keys` [n] with the key in its highest bits.

    A hash of one word is its own key: its bits are moved about by `pieces`, and moved back when it is told.
    """

    words: "Words"
    keys: "Words"
    mask: np.uint64
    pieces: "Words | None"

    def restored(self, pairs: "Words") -> "Words":
        """Pairs (uint64 [m, 2, words]) with their bits in their places."""
        from dedup import hamming_kernels as kernels

        return pairs if self.pieces is None else kernels.put_back(pairs.ravel(), self.pieces).reshape(pairs.shape)

    def between(self, first: int, end: int) -> "Words":
        """The hashes of some rows, with their bits in their places."""
        rows = np.ascontiguousarray(self.words[:, first:end])
        return self.restored(rows.T[:, None, :])[:, 0].T.copy()


def _ordered(words: "Words", key: Sequence[int]) -> _Ordered:
    from dedup import hamming_kernels as kernels

    mask = np.uint64((2 ** len(key) - 1) << (_WORD_BITS - len(key)))
    if len(words) == 1:
        chosen = set(key)
        pieces = _pieces([*key, *(bit for bit in range(_WORD_BITS - 1, -1, -1) if bit not in chosen)], _WORD_BITS)
        moved = kernels.picked(words, pieces)
        moved.sort()
        return _Ordered(moved[None], moved, mask, pieces)
    keys = kernels.picked(words, _pieces(key, _WORD_BITS)) | np.arange(words.shape[1], dtype=np.uint64)
    keys.sort()
    rows = (keys & ~mask).astype(np.int64)
    return _Ordered(np.ascontiguousarray(words[:, rows]), keys, mask, None)


@dataclass(frozen=True)
class _HotCell:
    """Hashes of one cell, too many to be compared all with all."""

    words: "Words"
    others: "Words | None"


def _near_in(ours: _Ordered, distance: int) -> "Iterator[Words | _HotCell]":
    from dedup import hamming_kernels as kernels

    edge = 0
    for first, end in [*_hot_runs(ours), (len(ours.keys), len(ours.keys))]:
        while edge < first:
            edge, found = kernels.near_in_cells(ours.words, ours.keys, ours.mask, edge, first, distance, _ENOUGH_PAIRS)
            yield found
        if end > first:
            yield _HotCell(ours.between(first, end), None)
        edge = end


def _hot_runs(ours: _Ordered) -> list[tuple[int, int]]:
    """First row and end of each cell with more than `_HOT_WORK` comparisons."""
    most = math.isqrt(2 * _HOT_WORK)
    if not ours.mask or len(ours.keys) <= most:
        return []
    cells = ours.keys[:: max(1, most // 2)] & ours.mask
    found = []
    for cell in np.unique(cells[1:][cells[1:] == cells[:-1]]):
        first = int(np.searchsorted(ours.keys, cell))
        end = int(np.searchsorted(ours.keys, cell | ~ours.mask, side="right"))
        if end - first > most:
            found.append((first, end))
    return found


def _near_between(ours: _Ordered, theirs: _Ordered, distance: int) -> "Iterator[Words | _HotCell]":
    from dedup import hamming_kernels as kernels

    at, other, hot_work = 0, 0, _HOT_WORK if ours.mask else 2**62
    while at < len(ours.keys) and other < len(theirs.keys):
        at, other, found, hot = kernels.near_between(
            ours.words, ours.keys, theirs.words, theirs.keys, ours.mask, at, other, hot_work, distance, _ENOUGH_PAIRS
        )
        yield found
        for first, end, their_first, their_end in hot.tolist():
            yield _HotCell(ours.between(first, end), theirs.between(their_first, their_end))


def _in_hot_cell(cell: _HotCell, rules: tuple[_Rule, ...]) -> Iterator["Words"]:
    """Pairs among hashes that share the bits of all keys so far: they differ in the other bits alone."""
    shared = {bit for rule in rules for bit in rule.plan.key(rule.table)}
    free = [bit for bit in range(_WORD_BITS * len(cell.words)) if bit not in shared]
    num_other = None if cell.others is None else cell.others.shape[1]
    inner = _planned(free, rules[0].plan.distance, cell.words.shape[1], num_other)
    for table in inner.tables:
        yield from _in_table(inner, table, cell.words, cell.others, rules)


def _pieces(bits: Sequence[int], width: int) -> "Words":
    """Runs of `bits`, the first bit the highest of a number `width` bits wide: (word, first bit, mask, place)."""
    pieces: list[list[int]] = []
    for place, bit in zip(range(width - 1, -1, -1), bits, strict=False):
        word, inside = divmod(bit, _WORD_BITS)
        if pieces and pieces[-1][0] == word and pieces[-1][1] == inside + 1:
            pieces[-1][1], pieces[-1][3] = inside, place
            pieces[-1][2] = pieces[-1][2] << 1 | 1
        else:
            pieces.append([word, inside, 1, place])
    return np.array(pieces, np.uint64).reshape(-1, 4)


def _rule_arrays(rules: Sequence[_Rule], num_words: int) -> tuple["Words", Ints, Ints]:
    """The masks of all blocks [levels, blocks, words], the chosen blocks as bits [levels], how many [levels]."""
    masks = np.zeros((len(rules), max(1, *(len(rule.plan.blocks) for rule in rules)), num_words), np.uint64)
    for level, rule in enumerate(rules):
        for number, block in enumerate(rule.plan.blocks):
            for word, inside in (divmod(bit, _WORD_BITS) for bit in block):
                masks[level, number, word] |= np.uint64(1 << inside)
    chosen = [sum(1 << block for block in rule.table) for rule in rules]
    return masks, np.array(chosen, np.int64), np.array([rule.plan.agreeing for rule in rules], np.int64)


def _places(hashes: "Words", words: "Words") -> Ints:
    """The index of each of the hashes (uint64 [n, words]) among `words`."""
    from dedup import place_kernels

    return place_kernels.places_of(np.ascontiguousarray(hashes), words)


def _in_order(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Pairs of row numbers (below 2^32) in their order."""
    pairs = np.sort(one.astype(np.uint64) << np.uint64(32) | other.astype(np.uint64))
    return (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(2**32 - 1)).astype(np.int64)
