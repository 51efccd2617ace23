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
    TEMPLE_NAMES,
    TITLES,
)
from filters.texts.person_nouns import MADE_UP_ENDS, is_expected
from filters.texts.unknown_words import Word
from filters.texts.words import is_in_dictionary

PEOPLE = LISTS / "people.txt"
_FIRST_HAN, _LAST_HAN = "\u4e00", "\U0003ffff"
_MOST = 6
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
    """The words, those that no dictionary has cut before a surname: 班陈 of 三班陈思源 is no word."""
    distinct = {word for word, _ in words}
    cut = {word for word in distinct if len(word) == 2 and _ends_in_surname(word) and not is_known(word)}
    if not cut:
        return words
    found: list[Word] = []
    for word, tag in words:
        found += [(word[0], tag), (word[1], tag)] if word in cut else [(word, tag)]
    return found


def _ends_in_surname(word: str) -> bool:
    if word[1] in SURNAMES:
        return word[0] not in SURNAMES
    return word[1] in RARE_SURNAMES and word[0] in MADE_UP_ENDS


def candidates(words: Sequence[Word], place: int) -> Iterator[Candidate]:
    """What may be a name from the word at `place` on."""
    ahead = _han_ahead(words, place)
    if len(ahead) < 2:
        return
    if ahead[:2] in _listed_pairs():
        for length in range(min(_MOST, len(ahead)), 1, -1):
            if ahead[:length] in people() and _is_new(ahead[:length]):
                yield _candidate(words, place, "listed", 0, length)
    if ahead[:2] in minority_pairs():
        for length in range(min(_MOST, len(ahead)), 3, -1):
            if is_minority_name(ahead[:length]) and ahead[:length] not in people():
                yield _candidate(words, place, "minority", 0, length)
    rare = RARE_SURNAMES if ahead[0] in RARE_SURNAMES and is_expected(words, place) else frozenset[str]()
    for length in (4, 3, 2):
        name = ahead[:length]
        surname = 2 if length > 2 and name[:2] in COMPOUND_SURNAMES else 1
        given = name[surname:]
        if (
            len(name) < length
            or not 1 <= len(given) <= 2
            or (surname == 1 and name[0] not in SURNAMES and name[0] not in rare)
        ):
            continue
        if name in NOT_NAMES or given in TITLES or given in TEMPLE_NAMES or _cannot_be(words[place][0], name, given):
            continue
        yield _candidate(words, place, "chinese", surname, length)
    if ahead[:2] in JAPANESE_SURNAMES or ahead[:3] in JAPANESE_SURNAMES:
        surname = 2 if ahead[:2] in JAPANESE_SURNAMES else 3
        for length in range(surname + 1, min(len(ahead), surname + 3) + 1):
            if (
                ahead[length - 1] in JAPANESE_ENDS
                and not is_known(ahead[surname:length])
                and ahead[:length] not in people()
            ):
                yield _candidate(words, place, "japanese", surname, length)


def _cannot_be(word: str, name: str, given: str) -> bool:
    """Whether characters that no one knows as a name hold what no name does, or are but a part of a known word."""
    if name in people():
        return False
    if name[:2] in NOT_STARTS or (len(given) == 2 and given in CUE_WORDS and given not in _GIVEN_TOO):
        return True
    if not NOT_GIVEN.isdisjoint(given) and not is_known(name) and (len(given) == 1 or NOT_GIVEN.issuperset(given)):
        return True
    return len(word) > len(name) and is_known(word)


def _is_new(name: str) -> bool:
    """Whether a listed name has not the form of a Chinese one, which is told as such."""
    surname = 2 if name[:2] in COMPOUND_SURNAMES and len(name) > 2 else 1
    return not (1 <= len(name) - surname <= 2 and (surname == 2 or name[0] in SURNAMES))


def _han_ahead(words: Sequence[Word], place: int) -> str:
    ahead = "".join(word for word, _ in words[place : place + _MOST])[:_MOST]
    for end, character in enumerate(ahead):
        if not _FIRST_HAN <= character <= _LAST_HAN:
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
