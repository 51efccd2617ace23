"""Texts as words with jieba's parts of speech, and the measures that count them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import Bools, Counts, TextColumn

_BATCH_CHARS = 1 << 20


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
    """As rjieba, jieba's port, cuts and tags each text: nouns as `jieba.posseg` counts them in 98 of 100 texts."""
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


def tagged(texts: list[str]) -> list[tuple[str, str]]:
    """Words and jieba's tags of the texts, joined by line breaks."""
    import rjieba

    found: list[tuple[str, str]] = rjieba.tag("\n".join(texts))
    return found


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
