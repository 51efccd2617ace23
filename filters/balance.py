"""Balance as MetaCLIP has it: the entries of a list that captions hold, how often each may be, and who is drawn.

Xu et al. 2023, arXiv 2309.16671, and MetaCLIP 2 for the share of the tail and for languages without spaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TEXTS_AT_ONCE = 4096
_BREAK = "\n"


@dataclass(frozen=True)
class Matches:
    """Which text holds which entry, each pair once, by text and then by entry: two int64 arrays of one length."""

    texts: Counts
    entries: Counts


class EntryMatcher:
    """Finds entries inside texts, wherever they stand and however they overlap, without regard to case.

    An entry that begins or ends with a Latin letter or a digit does not match inside a longer run of them: `art` is
    not in `party`, and 手机 is in 一部手机壳. Entries are distinct, not empty, and hold no line breaks.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._entries = [entry.lower() for entry in entries]
        self._is_latin = np.array([_is_latin(entry[0]) or _is_latin(entry[-1]) for entry in self._entries], np.bool_)

    def matches(self, texts: pa.Array | pa.ChunkedArray) -> Matches:
        """Of each text, by its place; a null text holds nothing."""
        found = [self._matches_of(texts, start) for start in range(0, len(texts), _TEXTS_AT_ONCE)]
        pairs = np.concatenate([np.zeros(0, np.int64), *found])
        return Matches(pairs // max(1, len(self._entries)), pairs % max(1, len(self._entries)))

    def _matches_of(self, texts: pa.Array | pa.ChunkedArray, first: int) -> Counts:
        """Distinct text * number of entries + entry, of some texts from `first` on, searched as one string."""
        lines = [text.lower() for text in pc.fill_null(texts.slice(first, _TEXTS_AT_ONCE), "").to_pylist()]
        joined = _BREAK.join(lines)
        hits = np.array(self._automaton.find_matches_as_indexes(joined, overlapping=True), np.int64).reshape(-1, 3)
        doubtful = np.flatnonzero(self._is_latin[hits[:, 0]])
        inside = [not _stands_alone(joined, start, end) for start, end in hits[doubtful, 1:].tolist()]
        hits = np.delete(hits, doubtful[np.array(inside, np.bool_)], axis=0)
        starts = np.concatenate([[0], np.cumsum([len(line) + 1 for line in lines])[:-1]])
        owners = np.searchsorted(starts, hits[:, 1], side="right") - 1 + first
        return np.unique(owners * len(self._entries) + hits[:, 0])

    @cached_property
    def _automaton(self) -> Any:
        import ahocorasick_rs

        return ahocorasick_rs.AhoCorasick(self._entries)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether no Latin letter or digit goes on at either end."""
    opens = start == 0 or not (_is_latin(text[start]) and _is_latin(text[start - 1]))
    closes = end == len(text) or not (_is_latin(text[end - 1]) and _is_latin(text[end]))
    return opens and closes


def _is_latin(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()


def tail_threshold(counts: Counts, tail_share: float) -> int:
    """The largest t for which entries rarer than t hold at most `tail_share` (0.0-1.0) of all matches; at least 1.

    MetaCLIP 2 carries one language's t over to another by this share, since a corpus of another size or a list of
    another length has other counts.
    """
    seen = np.sort(counts[counts > 0])
    if not len(seen):
        return 1
    share = np.cumsum(seen) / seen.sum()
    first_of_head = int(np.searchsorted(share, tail_share, side="right"))
    return int(seen[min(first_of_head, len(seen) - 1)])


def entry_probabilities(counts: Counts, t: int) -> Floats:
    """With which probability an entry keeps a pair that holds it: 1 up to `t` pairs, beyond that t of them remain."""
    return np.asarray(np.minimum(1.0, t / np.maximum(counts, 1)))


def keep_probabilities(matches: Matches, probabilities: Floats, num_texts: int) -> Floats:
    """With which probability each text stays: 1 less the chance that every entry in it lets it go; 0 without any."""
    kept = np.zeros(num_texts)
    if len(matches.texts):
        holders, first = np.unique(matches.texts, return_index=True)
        kept[holders] = 1.0 - np.multiply.reduceat(1.0 - probabilities[matches.entries], first)
    return kept
