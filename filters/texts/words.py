"""Texts as words with jieba's parts of speech, and the measures that count them."""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import Bools, Counts, TextColumn
from filters.texts.unknown_words import Word, words_in

_BATCH_CHARS = 1 << 20
# Of a character: a letter or digit of ASCII, one of those that jieba reads together, a word of its dictionary.
_ASCII, _JOINS, _KNOWN = 1, 2, 4


@dataclass(frozen=True)
class Words:
    """The words of a column of texts in order, without signs and spaces."""

    rows: Counts
    words: pa.Array
    tags: pa.Array

    def count(self, num_texts: int, chosen: Bools | None = None) -> Counts:
        """Per text, how many words it holds, or how many of the `chosen`."""
        rows = self.rows if chosen is None else self.rows[chosen]
        return np.bincount(rows, minlength=num_texts)


def words_of(column: TextColumn) -> Words:
    """As `jieba.posseg` cuts and tags each text."""
    return column.shared("words", _tagged)


def num_nouns(column: TextColumn) -> pa.Array:
    """Words with a tag that begins with n: nouns, and names of people, places and things."""
    return column.column(_nouns(column), pa.int32())


def noun_ratio(column: TextColumn) -> pa.Array:
    """Nouns among all words; 0.0 where there is no word."""
    words = words_of(column).count(len(column.texts))
    return column.column(_nouns(column) / np.maximum(words, 1), pa.float64())


def _nouns(column: TextColumn) -> Counts:
    words = words_of(column)
    is_noun = pc.starts_with(words.tags, "n").to_numpy(zero_copy_only=False)
    return words.count(len(column.texts), is_noun)


def tagged(texts: list[str]) -> list[Word]:
    """(word, tag) of the texts, joined by line breaks, as `jieba.posseg` cuts and tags them.

    rjieba, a port in Rust, finds the words of the dictionary; runs of what stands alone go through jieba's model.
    """
    import rjieba

    text = "\n".join(texts)
    found: list[Word] = rjieba.tag(text, hmm=False)
    if not found:
        return []
    lengths = np.array([len(word) for word, _ in found])
    ends = np.cumsum(lengths)
    codes = np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), 0xFFFF)
    kinds = _single_kinds()[codes]
    letters = np.concatenate([[0], np.cumsum(kinds & _ASCII != 0, dtype=np.int64)])
    is_single = (lengths == 1) | (letters[ends] - letters[ends - lengths] == lengths)
    first = kinds[ends - lengths]
    for place in np.flatnonzero(is_single & (first & _KNOWN == 0)).tolist():
        found[place] = (found[place][0], "x")
    edges = np.flatnonzero(np.diff(is_single & (first & _JOINS != 0), prepend=False, append=False))
    begins, stops = edges[::2], edges[1::2]
    starts, halts = (ends - lengths)[begins], ends[stops - 1]
    long = halts - starts > 1
    runs = [text[start:halt] for start, halt in zip(starts[long].tolist(), halts[long].tolist(), strict=True)]
    return _with_words_of_runs(found, begins[long].tolist(), stops[long].tolist(), runs)


def _with_words_of_runs(found: list[Word], begins: list[int], stops: list[int], runs: list[str]) -> list[Word]:
    """A run that is a word of the dictionary was cut on purpose and stays; each other is read once."""
    unknown = [run for run in dict.fromkeys(runs) if not is_in_dictionary(run)]
    read = dict(zip(unknown, words_in(unknown), strict=True))
    words: list[Word] = []
    done = 0
    for begin, stop, run in zip(begins, stops, runs, strict=True):
        words += found[done:begin]
        words += read[run] if run in read else found[begin:stop]
        done = stop
    return words + found[done:]


@functools.cache
def _single_kinds() -> npt.NDArray[np.uint8]:
    """For each code point below 0x10000 what it is where it stands alone; all beyond are as the last."""
    kinds = np.zeros(0x10000, np.uint8)
    kinds[0x4E00:0x9FD6] = _JOINS
    for character in map(chr, range(0x80)):
        if character.isalnum() or character in "+#&._":
            kinds[ord(character)] = _JOINS | (_ASCII if character.isalnum() else 0)
    for code in range(0x80, 0x10000):
        if not 0xD800 <= code < 0xE000 and is_in_dictionary(chr(code)):
            kinds[code] |= _KNOWN
    return kinds


def is_in_dictionary(word: str) -> bool:
    """Whether jieba's dictionary has the word."""
    import rjieba

    return bool(rjieba.has_word(word))


def _tagged(column: TextColumn) -> Words:
    pieces = []
    for first, texts in _batches(column):
        found = tagged(texts)
        if found:
            words, tags = zip(*found, strict=True)
            pieces.append(_words_of_batch(first, texts, pa.array(words, pa.string()), pa.array(tags, pa.string())))
    if not pieces:
        return Words(np.zeros(0, np.int64), pa.array([], pa.string()), pa.array([], pa.string()))
    return Words(
        np.concatenate([piece.rows for piece in pieces]),
        pa.concat_arrays([piece.words for piece in pieces]),
        pa.concat_arrays([piece.tags for piece in pieces]),
    )


def _batches(column: TextColumn) -> Iterator[tuple[int, list[str]]]:
    """Runs of texts for one call of rjieba each, with the number of the first: a call costs more than a caption."""
    texts = pc.fill_null(column.texts, "").to_pylist()
    ends = np.cumsum(column.lengths + 1) // _BATCH_CHARS
    for _, run in itertools.groupby(enumerate(texts), key=lambda pair: int(ends[pair[0]])):
        numbered = list(run)
        yield numbered[0][0], [text for _, text in numbered]


def _words_of_batch(first: int, texts: list[str], words: pa.Array, tags: pa.Array) -> Words:
    """Whose each word is follows from where it lies: a text ends one character before the next begins."""
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])
    lengths = pc.utf8_length(words).to_numpy(zero_copy_only=False)
    rows = np.searchsorted(begins, np.cumsum(lengths) - lengths, side="right") - 1 + first
    is_word = pc.invert(pc.or_(pc.equal(tags, "x"), pc.utf8_is_space(words)))
    return Words(rows[is_word.to_numpy(zero_copy_only=False)], words.filter(is_word), tags.filter(is_word))
