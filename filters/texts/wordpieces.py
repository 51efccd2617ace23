"""How many tokens a text has for BERT: words uncut, or in the pieces of a vocabulary."""

import functools
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa

from filters.characters import HAN, SPACE, SPECIAL, Codes, Counts, TextColumn, texts_of
from filters.texts.beside import beside_of
from filters.tokens import tokens_of

_LONGEST_WORD = 100


def num_tokens(column: TextColumn) -> pa.Array:
    """Tokens without [CLS] and [SEP]: a Chinese character or a sign is one; so is each piece of a run of others.

    `text.vocabulary` says the pieces (WordPiece, longest first, without case and accents, as the Chinese BERT has it);
    without it a run is one token.
    """
    path = beside_of(column).settings.vocabulary
    counts = tokens_of(column)
    if path is not None:
        counts = counts + _extra_pieces(column, _vocabulary(path))
    return column.column(counts, pa.int32())


def _extra_pieces(column: TextColumn, vocabulary: frozenset[str]) -> Counts:
    """How many pieces more than one the runs of each text have. Each distinct run is cut once."""
    starts, ends = _runs(column)
    lengths = ends - starts
    places = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    codes: Codes = column.codes[places]
    runs = texts_of(codes, np.concatenate([[0], np.cumsum(lengths)])).dictionary_encode()
    pieces = np.array([num_pieces(run, vocabulary) - 1 for run in runs.dictionary.to_pylist()], np.int64)
    rows = np.searchsorted(column.starts, starts, side="right") - 1
    extra = pieces[runs.indices.to_numpy(zero_copy_only=False)] if len(pieces) else np.zeros(0, np.int64)
    return np.bincount(rows, extra, minlength=len(column.texts)).astype(np.int64)


def _runs(column: TextColumn) -> tuple[Counts, Counts]:
    """Where each run of characters between spaces, signs and Chinese characters begins and ends."""
    inside = column.kinds & (HAN | SPECIAL | SPACE) == 0
    first = np.zeros(len(inside) + 1, np.bool_)
    first[column.starts] = True
    begins = inside & (first[:-1] | ~np.concatenate([[False], inside[:-1]]))
    ends = inside & (first[1:] | ~np.concatenate([inside[1:], [False]]))
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1


def num_pieces(word: str, vocabulary: frozenset[str]) -> int:
    """Pieces of a word, longest first from the left; 1 where some part has none, which makes it [UNK].

    >>> num_pieces("Playing", frozenset({"play", "##ing"}))
    2
    """
    plain = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")
    if len(plain) > _LONGEST_WORD:
        return 1
    start = count = 0
    while start < len(plain):
        mark = "##" if start else ""
        end = next((e for e in range(len(plain), start, -1) if mark + plain[start:e] in vocabulary), None)
        if end is None:
            return 1
        start, count = end, count + 1
    return max(1, count)


@functools.lru_cache(maxsize=2)
def _vocabulary(path: str) -> frozenset[str]:
    return frozenset(Path(path).expanduser().read_text(encoding="utf-8").splitlines())
