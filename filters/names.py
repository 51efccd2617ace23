"""People's names in texts, found by jieba's words and tags and by what stands beside them, and masked."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import HAN, Bools, TextColumn, replaced
from filters.texts.beside import beside_of
from filters.texts.dotted_names import replace_dotted
from filters.texts.name_candidates import pairs, with_surnames
from filters.texts.name_characters import COMPOUND_SURNAMES, DOTS, RARE_SURNAMES, SURNAMES, TITLES_BEHIND, begins_title
from filters.texts.name_scores import Names
from filters.texts.person_nouns import BEFORE_RARE, FOUND
from filters.texts.unknown_words import Word
from filters.texts.words import tagged

_BATCH_CHARS = 1 << 20
# No stored text holds a private character.
_ANY_MASK = "\ue000"
_FOUND = FOUND, "nr"
_MOST_WORDS_OF_A_TITLE = 30
_FIRST = frozenset(name[0] for name in SURNAMES | COMPOUND_SURNAMES)


def mask_names(texts: pa.Array, mask: str) -> pa.Array:
    """The texts with each person's name replaced by `mask`: full Chinese names, and foreign ones in Chinese characters.

    What is in 《》 stays: it names a work.

    Texts hold no line breaks (as `normalise` leaves them): ValueError otherwise, since rows would shift unseen.
    """
    column = TextColumn(texts)
    rows = column.rows_with(_may_begin_name(column))
    if not len(rows):
        return texts
    before = texts.take(pa.array(rows)).to_pylist()
    after = [masked for batch in _batches(before) for masked in _masked(batch, mask)]
    return replaced(texts, rows, pa.array(after, pa.string()))


def num_names(column: TextColumn) -> pa.Array:
    """People's names in a text: those masked as `text.names` says, or those that stand there."""
    mask = beside_of(column).settings.names
    masked = column.texts if mask else mask_names(column.texts, _ANY_MASK)
    return pc.count_substring(masked, mask or _ANY_MASK).cast(pa.int32())


def _may_begin_name(column: TextColumn) -> Bools:
    """Characters that may be the first of a name, by themselves and the next; across texts it asks once too often."""
    kinds = _beginnings()[np.minimum(column.codes, 0xFFFF)]
    following = np.append(kinds[1:], 0)
    is_han = np.append(column.kinds[1:] & HAN != 0, False)
    begins = (kinds & _SURNAME != 0) & is_han
    earlier = np.insert(kinds[:-1], 0, 0) & _BEFORE_RARE != 0
    earlier[column.starts[:-1][column.lengths > 0]] = True
    titled = kinds & _TITLE != 0
    earlier[:-2] |= titled[2:]
    earlier[:-3] |= titled[3:]
    begins |= (kinds & _RARE != 0) & is_han & earlier
    begins |= (kinds & _OF_PAIR != 0) & (following & _SECOND != 0)
    return np.asarray(begins | (kinds & _DOT != 0))


_SURNAME, _OF_PAIR, _SECOND, _DOT, _RARE, _BEFORE_RARE, _TITLE = 1, 2, 4, 8, 16, 32, 64


@functools.cache
def _beginnings() -> npt.NDArray[np.uint8]:
    """For each code point below 0x10000 what it may be of a name."""
    kinds = np.zeros(0x10000, np.uint8)
    for kind, characters in (
        (_SURNAME, _FIRST),
        (_OF_PAIR, {pair[0] for pair in pairs()}),
        (_SECOND, {pair[1] for pair in pairs()}),
        (_DOT, DOTS),
        (_RARE, RARE_SURNAMES),
        (_BEFORE_RARE, BEFORE_RARE),
        (_TITLE, {title[0] for title in TITLES_BEHIND}),
    ):
        kinds[[ord(character) for character in characters]] |= kind
    return kinds


def _batches(texts: list[str]) -> Iterator[list[str]]:
    """Runs of texts for one call of rjieba each: a call costs more than a caption."""
    ends = np.cumsum([len(text) + 1 for text in texts]) // _BATCH_CHARS
    for _, run in itertools.groupby(zip(ends.tolist(), texts, strict=True), key=lambda pair: pair[0]):
        yield [text for _, text in run]


def _masked(texts: list[str], mask: str) -> list[str]:
    words = with_surnames(tagged([replace_dotted(text, FOUND) for text in texts]))
    names, pieces, place = Names(words), [], 0
    while place < len(words):
        word = words[place][0]
        if word in "《〈":
            stop = _end_of_title(words, place)
            pieces += [word for word, _ in words[place:stop]]
            place = stop
        elif (found := names.begins(place) if _may_begin(words, place) else None) is not None:
            pieces.append(mask)
            names.take(place, found.taken, [_FOUND, *(tagged([found.rest]) if found.rest else ())])
            place += 1
        else:
            pieces.append(word)
            place += 1
    masked = "".join(pieces).replace(FOUND, mask).split("\n")
    if len(masked) != len(texts):
        raise ValueError(f"{len(texts)} texts came back as {len(masked)}: one holds a line break")
    return masked


def _may_begin(words: Sequence[Word], place: int) -> bool:
    """Whether a name may begin with a word, told by two characters."""
    word = words[place][0]
    if word[0] in _FIRST:
        return True
    if word[0] in RARE_SURNAMES and (not place or words[place - 1][0][-1] in BEFORE_RARE or _is_called(words, place)):
        return True
    start = word if len(word) > 1 else word + words[place + 1][0][:1] if place + 1 < len(words) else word
    return start[:2] in pairs()


def _is_called(words: Sequence[Word], place: int) -> bool:
    ahead = "".join(word for word, _ in words[place : place + 4])
    return begins_title(ahead[2:6]) or begins_title(ahead[3:7])


def _end_of_title(words: Sequence[Word], place: int) -> int:
    """The place behind a title that opens at `place`; the next where none ends near."""
    for end in range(place + 1, min(place + _MOST_WORDS_OF_A_TITLE, len(words))):
        if "\n" in words[end][0]:
            break
        if words[end][0] in "》〉":
            return end + 1
    return place + 1
