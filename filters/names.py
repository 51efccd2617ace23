"""People's names in texts, found by jieba's words and tags and by what stands beside them, and masked."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import HAN, Bools, TextColumn, replaced
from filters.texts.beside import beside_of
from filters.texts.name_characters import (
    COMMON_GIVEN,
    COMPOUND_SURNAMES,
    CUES,
    FOLLOWERS,
    NOT_GIVEN,
    NOT_NAMES,
    PLACE_GIVEN,
    ROLES,
    SINGLE_GIVEN,
    SURNAMES,
    THING_ENDS,
    TITLES,
    TRANSCRIBES,
    WEAK_CUES,
    WEAK_SURNAMES,
)
from filters.texts.words import is_in_dictionary, tagged

_BATCH_CHARS = 1 << 20
# No stored text holds a private character.
_ANY_MASK = "\ue000"
_FIRST_HAN = "\u4e00"
_LINK = frozenset(" :：/·,，、")
Word = tuple[str, str]


def mask_names(texts: pa.Array, mask: str) -> pa.Array:
    """The texts with each full Chinese name of a person replaced by `mask`; foreign names stay.

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
    """People's full Chinese names in a text: those masked as `text.names` says, or those that stand there."""
    mask = beside_of(column).settings.names
    masked = column.texts if mask else mask_names(column.texts, _ANY_MASK)
    return pc.count_substring(masked, mask or _ANY_MASK).cast(pa.int32())


def is_person_name(word: str, tag: str, following: str, is_cued: bool = False) -> bool:
    """Whether a word that jieba tags `tag`, before the word `following`, is a person's full name.

    `is_cued` says that a person is spoken of beside it, which words that may be something else need.

    >>> is_person_name("刘德华", "nr", "在"), is_person_name("左宗棠", "nrfg", "鸡"), is_person_name("温泉", "nr", "")
    (True, False, False)
    """
    given = _given(word)
    if given is None or word in NOT_NAMES or given in TITLES or given.endswith("子"):
        return False
    if not is_cued and (following[:1] in FOLLOWERS or following[-1:] in THING_ENDS):
        return False
    is_known = _is_known(word)
    if not tag.startswith("nr"):
        return is_cued and not is_known and not NOT_GIVEN.intersection(given) and COMMON_GIVEN.issuperset(given)
    if (_HARD_NO if is_known else NOT_GIVEN).intersection(given):
        return False
    if len(given) == 1:
        is_safe = given in SINGLE_GIVEN and (is_known or word[0] not in WEAK_SURNAMES)
        return is_safe or len(word) == 3 or (is_cued and (is_known or given in COMMON_GIVEN | SINGLE_GIVEN))
    if is_cued or (is_known and following.startswith(WEAK_CUES)):
        return True
    if is_known and word[0] not in WEAK_SURNAMES:
        return given[-1] not in TRANSCRIBES and (given[-1] not in PLACE_GIVEN or given[0] != "家")
    is_usual = COMMON_GIVEN.issuperset(given) and (is_known or word[0] not in WEAK_SURNAMES)
    return is_usual and given[-1] not in PLACE_GIVEN


# What is in no name, even where a dictionary calls the word one: 王家卫 is, 马路边 is not.
_HARD_NO = NOT_GIVEN - frozenset("家画港纲章")


def _given(word: str) -> str | None:
    """What follows the surname of a word that has the form of a name."""
    surname = 2 if word[:2] in COMPOUND_SURNAMES else 1 if word[:1] in SURNAMES else 0
    given = word[surname:]
    return given if surname and 1 <= len(given) <= 2 else None


@functools.lru_cache(maxsize=1 << 16)
def _is_known(word: str) -> bool:
    return is_in_dictionary(word)


def _may_begin_name(column: TextColumn) -> Bools:
    """Characters that are a surname before another Chinese character; across texts it asks once too often."""
    surnames = np.array(sorted({ord(name[0]) for name in SURNAMES | COMPOUND_SURNAMES}), dtype=np.uint32)
    known = np.zeros(0x10000, dtype=np.bool_)
    known[surnames] = True
    is_han = column.kinds & HAN != 0
    begins = known[np.minimum(column.codes, 0xFFFF)]
    begins[:-1] &= is_han[1:]
    return np.asarray(begins)


def _batches(texts: list[str]) -> Iterator[list[str]]:
    """Runs of texts for one call of rjieba each: a call costs more than a caption."""
    ends = np.cumsum([len(text) + 1 for text in texts]) // _BATCH_CHARS
    for _, run in itertools.groupby(zip(ends.tolist(), texts, strict=True), key=lambda pair: pair[0]):
        yield [text for _, text in run]


def _masked(texts: list[str], mask: str) -> list[str]:
    words = tagged(texts)
    pieces, place = [], 0
    while place < len(words):
        word = words[place][0]
        taken, rest = _name_at(words, place) if word[0] in _FIRST else _NO_NAME
        pieces.append(mask + rest if taken else word)
        place += max(1, taken)
    masked = "".join(pieces).split("\n")
    if len(masked) != len(texts):
        raise ValueError(f"{len(texts)} texts came back as {len(masked)}: one holds a line break")
    return masked


def _name_at(words: Sequence[Word], place: int) -> tuple[int, str]:
    """How many words from `place` on hold one name, and what they hold behind it; 0 for none.

    It looks at two words before and eight ahead, however long the text is.
    """
    before = min(place, 2)
    return _name_in(tuple(words[place - before : place + _MOST_AHEAD]), before)


@functools.lru_cache(maxsize=1 << 14)
def _name_in(words: tuple[Word, ...], place: int) -> tuple[int, str]:
    if len(words[place][0]) > 4:
        return _NO_NAME
    ahead = "".join(word for word, _ in words[place : place + _MOST_AHEAD])
    after_role = _stands_after_role(words, place)
    for taken in (3, 2, 1):
        joined = "".join(word for word, _ in words[place : place + taken])
        if _given(joined) is None or place + taken > len(words) or min(joined) < _FIRST_HAN:
            continue
        if taken > 1 and not _may_join(words[place : place + taken]):
            continue
        following = words[place + taken][0] if place + taken < len(words) else ""
        tag = words[place][1] if taken == 1 or _is_tagged_name(words[place : place + taken]) else ""
        if is_person_name(joined, tag, following, after_role or ahead[len(joined) :].startswith(CUES)):
            return taken, ""
    return _name_across(words, place, ahead)


def _name_across(words: Sequence[Word], place: int, ahead: str) -> tuple[int, str]:
    """A name that was cut amiss, since no dictionary has it: told by what stands right behind its characters."""
    if len(words[place][0]) > 1 and _is_known(words[place][0]):
        return 0, ""
    for length in (3, 2):
        name = ahead[:length]
        if ahead[length:].startswith(CUES) and is_person_name(name, "", "", is_cued=True):
            taken = held = 0
            while held < length:
                held += len(words[place + taken][0])
                taken += 1
            return taken, ahead[length:held]
    return 0, ""


_MOST_AHEAD = 8
_NO_NAME = (0, "")
_FIRST = frozenset(name[0] for name in SURNAMES | COMPOUND_SURNAMES)


def _may_join(words: Sequence[Word]) -> bool:
    """Whether a name may have been cut in these words: a surname and its given name, or a last character lost."""
    surname = words[0][0]
    if surname in SURNAMES or surname in COMPOUND_SURNAMES:
        return all(len(word) == 1 or tag.startswith(("nr", "nz", "a", "n")) for word, tag in words[1:])
    return len(words) == 2 and len(words[1][0]) == 1 and words[0][1].startswith("nr")


def _is_tagged_name(words: Sequence[Word]) -> bool:
    return all(tag.startswith("nr") for _, tag in words)


def _stands_after_role(words: Sequence[Word], place: int) -> bool:
    before = words[place - 1][0] if place else ""
    if before and before in _LINK and place > 1:
        before = words[place - 2][0]
    return before.endswith(ROLES)
