"""Which characters of a text may be a person's name, by their form or by a list of well-known people."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from filters.texts.minority_names import is_minority_name, minority_pairs
from filters.texts.name_characters import (
    COMPOUND_SURNAMES,
    CUE_WORDS,
    JAPANESE_ENDS,
    JAPANESE_SURNAMES,
    LISTS,
    NOT_GIVEN,
    NOT_NAMES,
    NOT_STARTS,
    RARE_SURNAMES,
    SURNAMES,
    SURNAMES_APART,
    TEMPLE_NAMES,
    TITLES,
    begins_title,
)
from filters.texts.person_nouns import MADE_UP_ENDS, is_apart, is_expected
from filters.texts.unknown_words import Word
from filters.texts.words import is_in_dictionary

PEOPLE = LISTS / "people.txt"
_FIRST_HAN, _LAST_HAN, _FIRST_RARE_HAN = "\u4e00", "\u9fff", "\U00020000"
GOES_ON = frozenset("为在和与对向从是的把被将也说给")
"""What a tagger joins to the end of a name although it is a word of its own."""
_MOST, _FARTHEST = 6, 8
"""Of a name's characters, and of those that are looked at with what it is called."""
_ENDS_OF_BYLINES = frozenset("摄绘")
_GIVEN_TOO = frozenset(("凯旋", "革新", "改革", "归来", "青衣", "山水", "梅花", "牡丹"))
"""Words for acts and works that are given names too."""


class Candidate(NamedTuple):
    """Characters that may be a name: `taken` words hold them, and `rest` behind them."""

    kind: str
    surname: str
    given: str
    taken: int
    rest: str

    @property
    def name(self) -> str:
        return self.surname + self.given


@functools.cache
def people() -> frozenset[str]:
    """Names of well-known people, of stories too."""
    return frozenset(line for line in PEOPLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


@functools.cache
def _listed_pairs() -> frozenset[str]:
    return frozenset(name[:2] for name in people())


@functools.cache
def pairs() -> frozenset[str]:
    """The first two characters of all that may be a name by more than its surname or its sound."""
    return _listed_pairs() | minority_pairs() | frozenset(name[:2] for name in JAPANESE_SURNAMES)


def with_surnames(words: list[Word]) -> list[Word]:
    """The words, those that no dictionary has cut before a surname: 班陈 of 三班陈思源 is no word, nor is 师宋扬."""
    cut = {word for word in {word for word, _ in words} if _begins_before_surname(word) and not is_known(word)}
    if not cut:
        return words
    found: list[Word] = []
    for word, tag in words:
        found += [(word[0], tag), (word[1:], tag)] if word in cut else [(word, tag)]
    return found


def _begins_before_surname(word: str) -> bool:
    """Whether the first character of a word that no dictionary has stands by itself."""
    if len(word) == 2:
        if word[1] in SURNAMES:
            return word[0] not in SURNAMES
        return (word[1] in RARE_SURNAMES and word[0] in MADE_UP_ENDS) or word[1] in _ENDS_OF_BYLINES
    if not 2 < len(word) < 5:
        return False
    is_after_noun = word[0] in MADE_UP_ENDS and (word[1] in SURNAMES or word[1] in RARE_SURNAMES)
    return is_after_noun or (word[0] in "和与" and word[1:] in people())


def candidates(words: Sequence[Word], place: int) -> Iterator[Candidate]:
    """What may be a name from the word at `place` on."""
    ahead = _han_ahead(words, place)
    if len(ahead) < 2:
        return
    if ahead[:2] in _listed_pairs():
        for length in range(min(_MOST, len(ahead)), 1, -1):
            if ahead[:length] in people() and _is_new(ahead[:length]) and not _begins_other(ahead, length):
                yield _candidate(words, place, "listed", 0, length)
                break
    if ahead[:2] in minority_pairs():
        for length in range(min(_MOST, len(ahead)), 3, -1):
            if is_minority_name(ahead[:length]) and ahead[:length] not in people():
                yield _candidate(words, place, "minority", 0, length)
    if ahead[0] in SURNAMES or ahead[0] in RARE_SURNAMES or ahead[:2] in COMPOUND_SURNAMES:
        yield from _of_surnames(words, place, ahead)
    if ahead[:2] in JAPANESE_SURNAMES or ahead[:3] in JAPANESE_SURNAMES:
        surname = 2 if ahead[:2] in JAPANESE_SURNAMES else 3
        for length in range(surname + 1, min(len(ahead), surname + 3) + 1):
            if (
                ahead[length - 1] in JAPANESE_ENDS
                and not is_known(ahead[surname:length])
                and ahead[:length] not in people()
            ):
                yield _candidate(words, place, "japanese", surname, length)


def _of_surnames(words: Sequence[Word], place: int, ahead: str) -> Iterator[Candidate]:
    """What begins with a Chinese surname: one that few have, or a plain word, only where a name is due."""
    word, tag = words[place]
    for length in (4, 3, 2):
        name = ahead[:length]
        surname = 2 if length > 2 and name[:2] in COMPOUND_SURNAMES else 1
        given = name[surname:]
        if len(name) < length or not 1 <= len(given) <= 2 or given in TITLES or given in TEMPLE_NAMES:
            continue
        is_rare = surname == 1 and name[0] not in SURNAMES
        if (is_rare and name[0] not in RARE_SURNAMES) or _cannot_be(word, name, given):
            continue
        if name in people() and _begins_other(ahead, length):
            continue
        is_barred = name in NOT_NAMES or (name[:2] in NOT_STARTS and name not in people())
        if (is_rare or is_barred) and not (begins_title(ahead[length:]) or is_expected(words, place)):
            is_name = word[0] in SURNAMES_APART and length == len(word) and tag == "nr"
            if is_barred or not (is_name and is_apart(words, place)):
                continue
        found = _candidate(words, place, "chinese", surname, length)
        if name in people():
            yield found
            break
        if not found.rest or _is_word_of_its_own(found.rest, words[place + found.taken - 1][0]):
            yield found


def _is_word_of_its_own(rest: str, last: str) -> bool:
    """Whether what is left of the last word stands behind a name: no unknown name ends within another word."""
    return (rest in GOES_ON and not is_known(last)) or (len(rest) > 1 and rest in CUE_WORDS)


def _begins_other(ahead: str, length: int) -> bool:
    """Whether a well-known name is but the beginning of a word that is none: 葛优 of 葛优躺."""
    return ahead[: length + 1] in NOT_NAMES or ahead[: length + 2] in NOT_NAMES


def _cannot_be(word: str, name: str, given: str) -> bool:
    """Whether characters that no one knows as a name hold what no name does, or are but a part of a known word."""
    if name in people():
        return False
    if len(given) == 2 and given in CUE_WORDS and given not in _GIVEN_TOO:
        return True
    if not NOT_GIVEN.isdisjoint(given) and not is_known(name) and (len(given) == 1 or NOT_GIVEN.issuperset(given)):
        return True
    return len(word) > len(name) and is_known(word)


def _is_new(name: str) -> bool:
    """Whether a listed name has not the form of a Chinese one, which is told as such."""
    surname = 2 if name[:2] in COMPOUND_SURNAMES and len(name) > 2 else 1
    return not (1 <= len(name) - surname <= 2 and (surname == 2 or name[0] in SURNAMES))


def _han_ahead(words: Sequence[Word], place: int) -> str:
    ahead = "".join(word for word, _ in words[place : place + _MOST])[:_FARTHEST]
    for end, character in enumerate(ahead):
        if not (_FIRST_HAN <= character <= _LAST_HAN or character >= _FIRST_RARE_HAN):
            return ahead[:end]
    return ahead


def _candidate(words: Sequence[Word], place: int, kind: str, surname: int, length: int) -> Candidate:
    taken = held = 0
    while held < length:
        held += len(words[place + taken][0])
        taken += 1
    text = "".join(word for word, _ in words[place : place + taken])
    return Candidate(kind, text[:surname], text[surname:length], taken, text[length:])


@functools.lru_cache(maxsize=1 << 16)
def is_known(word: str) -> bool:
    """Whether jieba's dictionary has the word."""
    return is_in_dictionary(word)
