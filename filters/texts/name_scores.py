"""Whether some words of a text begin with a person's name: the sum of the weights of what speaks for it."""

import functools
from array import array
from collections.abc import Mapping, Sequence

from filters.texts.name_candidates import Candidate, candidates
from filters.texts.name_characters import LISTS
from filters.texts.name_evidence import evidence
from filters.texts.name_surroundings import before
from filters.texts.unknown_words import Word

WEIGHTS = LISTS / "name_weights.tsv"
"""Fitted by infra/bench/name_weights.py."""
BACK, AHEAD = 7, 11
"""How many words before and from its first word on a name is told by."""
LEAST = 1.5
"""What the weights of a name add up to: above 0.0 a name is likelier than not, and a wrong mask harms more."""
_THINGS = frozenset({"after thing next", "L after thing next", "after thing code", "L after thing code"})
_FOREIGN = frozenset({"before nrt", "after nrt", "known foreign 2", "one word foreign 2"})
_ROLES = frozenset({"before role", "before role sign", "L before role", "L before role sign"})


class Names:
    """The names among some words; words that stand among the same ones again are weighed once."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self._numbers: dict[Word, int] = {}
        self._text = array("i", [self._numbers.setdefault(word, len(self._numbers)) for word in words])
        self._found: dict[tuple[int, bytes], Candidate | None] = {}

    def begins(self, place: int) -> Candidate | None:
        """The name that begins with the word at `place`, if any."""
        first = max(0, place - BACK)
        window = place - first, self._text[first : place + AHEAD].tobytes()
        if window not in self._found:
            self._found[window] = _name_in(tuple(self.words[first : place + AHEAD]), place - first)
        return self._found[window]

    def take(self, place: int, number: int, words: list[Word]) -> None:
        """Put some words in place of those that hold a name."""
        self.words[place : place + number] = words
        self._text[place : place + number] = array(
            "i", [self._numbers.setdefault(word, len(self._numbers)) for word in words]
        )


def forget() -> None:
    """Judge all anew: other weights or another list are in force."""
    _name_in.cache_clear()


def score(words: Sequence[Word], place: int, found: Candidate, earlier: Sequence[str] | None = None) -> float:
    """Above `LEAST` for a name; `earlier` is what stands before the place, where that is known."""
    known, held = weights(), evidence(words, place, found, earlier)
    if "transcribes" in held and not _FOREIGN.isdisjoint(held):
        return -LEAST
    if not _THINGS.isdisjoint(held) and _ROLES.isdisjoint(held):
        return -LEAST
    total = known["bias"]
    for kind, amount in held.items():
        total += known.get(kind, 0.0) * amount
    return total


@functools.cache
def weights() -> Mapping[str, float]:
    """What one of each kind of evidence adds."""
    rows = [line.split("\t") for line in WEIGHTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {kind: float(weight) for kind, weight in rows}


@functools.lru_cache(maxsize=1 << 14)
def _name_in(words: tuple[Word, ...], place: int) -> Candidate | None:
    best, most = None, LEAST
    earlier: list[str] | None = None
    for found in candidates(words, place):
        earlier = before(words, place) if earlier is None else earlier
        amount = score(words, place, found, earlier)
        if amount > most:
            best, most = found, amount
    return best
