"""Tokens of captions as BERT's basic tokenizer cuts them: how many a text holds, and how many different ones there are.

A Han character or a sign is a token of its own; so is a run of anything else between spaces (Devlin et al. 2018,
`BasicTokenizer`, without its lower case and its WordPiece). Wukong's and Zero's tables count much the same.
"""

import hashlib
import heapq

import numpy as np
import numpy.typing as npt

from filters.characters import HAN, SPACE, SPECIAL, Bools, Codes, Counts, TextColumn, character_kinds

MOST_HASHES = 65_536
_HASH_BITS = 64
_NUM_CODES = 0x110000


def tokens_of(column: TextColumn) -> Counts:
    """Per text, how many tokens it holds."""
    return column.count_of(_single(column.kinds) | column.shared("run starts", _run_starts))


def characters_of(column: TextColumn) -> Counts:
    """Per text, how many characters it holds but spaces."""
    return column.lengths - column.count(SPACE)


class DifferentTokens:
    """How many different tokens texts hold, in memory that does not grow with them, whatever their order.

    Exact for single characters, and for up to `most_hashes` runs; beyond, runs are estimated from their smallest
    hashes (k minimum values, Bar-Yossef et al. 2002: a standard error of 0.4 % for 65,536).
    """

    def __init__(self, most_hashes: int = MOST_HASHES) -> None:
        self._most = most_hashes
        self._seen = np.zeros(_NUM_CODES, np.bool_)
        self._hashes = set[int]()
        self._is_full = False

    def add(self, column: TextColumn) -> None:
        """Count these texts in."""
        self._seen[column.codes] = True
        for run in _runs(column):
            self._add_hash(int.from_bytes(hashlib.blake2b(run.encode(), digest_size=_HASH_BITS // 8).digest()))

    @property
    def characters(self) -> int:
        """Different characters but spaces."""
        return int((self._seen & (character_kinds() & SPACE == 0)).sum())

    @property
    def tokens(self) -> int:
        """Different tokens, estimated where `is_exact` is false."""
        return int((self._seen & _single(character_kinds())).sum()) + self._num_runs()

    @property
    def is_exact(self) -> bool:
        return not self._is_full

    def _add_hash(self, value: int) -> None:
        self._hashes.add(value)
        if len(self._hashes) >= 2 * self._most:
            self._shrink()

    def _shrink(self) -> None:
        if len(self._hashes) > self._most:
            self._hashes = set(heapq.nsmallest(self._most, self._hashes))
            self._is_full = True

    def _num_runs(self) -> int:
        self._shrink()
        if not self._is_full:
            return len(self._hashes)
        return ((self._most - 1) << _HASH_BITS) // max(self._hashes)


def _single(kinds: npt.NDArray[np.uint16]) -> Bools:
    """Which characters are tokens of their own."""
    return np.asarray((kinds & (HAN | SPECIAL) != 0) & (kinds & SPACE == 0))


def _in_run(column: TextColumn) -> Bools:
    return np.asarray(column.kinds & (HAN | SPECIAL | SPACE) == 0)


def _run_starts(column: TextColumn) -> Bools:
    inside = column.shared("in runs", _in_run)
    before = np.concatenate([[False], inside[:-1]]) if len(inside) else inside
    before[_first_places(column)] = False
    return np.asarray(inside & ~before)


def _first_places(column: TextColumn) -> Counts:
    """Where each text that is not empty starts."""
    return column.starts[:-1][column.lengths > 0]


def _runs(column: TextColumn) -> set[str]:
    """The different runs of the texts."""
    places = np.flatnonzero(column.shared("in runs", _in_run))
    starts = column.shared("run starts", _run_starts)[places]
    apart: Codes = np.full(len(places) + np.count_nonzero(starts), 0x20, np.uint32)
    apart[np.arange(len(places)) + np.cumsum(starts)] = column.codes[places]
    # str.split() alone would also cut at what is no space of ours.
    return set(apart.astype("<u4").tobytes().decode("utf-32-le").split(" ")) - {""}
