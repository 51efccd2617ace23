"""How much of a text repeats itself: by characters, and by words."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.characters import Counts, TextColumn
from filters.texts.words import words_of

_CODE_BITS = 21
_RUN = 3


def char_repetition(column: TextColumn) -> pa.Array:
    """Of the runs of three characters, the share that the same text holds more than once; 0.0 where there is none."""
    codes = column.codes.astype(np.uint64)
    keys = np.zeros(max(0, len(codes) - _RUN + 1), np.uint64)
    for place in range(_RUN):
        keys = (keys << np.uint64(_CODE_BITS)) | codes[place : place + len(keys)]
    rows = np.repeat(np.arange(len(column.texts)), column.lengths)
    whole = rows[: len(keys)] == rows[_RUN - 1 :][: len(keys)]
    return column.column(_repeated_share(rows[: len(keys)][whole], keys[whole], len(column.texts)), pa.float64())


def word_repetition(column: TextColumn) -> pa.Array:
    """Of the pairs of neighbouring words, the share that the same text holds more than once; 0.0 where none is."""
    words = words_of(column)
    numbers = words.words.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.uint64)
    keys = (numbers[:-1] << np.uint64(32)) | numbers[1:]
    whole = words.rows[:-1] == words.rows[1:]
    return column.column(_repeated_share(words.rows[:-1][whole], keys[whole], len(column.texts)), pa.float64())


def _repeated_share(rows: Counts, keys: npt.NDArray[np.uint64], num_texts: int) -> npt.NDArray[np.float64]:
    """Of each row's keys, how many stand there more than once. Sorting is all the work: n log n for a text of n."""
    order = np.lexsort((keys, rows))
    same = (np.diff(rows[order]) == 0) & (np.diff(keys[order]) == 0)
    repeated = np.concatenate([[False], same]) | np.concatenate([same, [False]]) if len(keys) else same
    counts = np.bincount(rows, minlength=num_texts)
    return np.asarray(np.bincount(rows[order][repeated], minlength=num_texts) / np.maximum(counts, 1))
