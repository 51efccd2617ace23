"""Words that no dictionary has, found in runs of single characters by the model that jieba has of them."""

import functools
import importlib.util
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filters.texts.unknown_kernels import Bools, Doubles, Integers, likeliest_states

Word = tuple[str, str]
# What jieba takes the logarithm of a probability of nothing for.
_HARDLY = -3.14e100
# Places that a word begins at: its first character, or one that is all of it.
_OPENING = frozenset("BS")
_TABLES = ("prob_start", "prob_trans", "prob_emit", "char_state_tab")
_HAN = re.compile("([\u4e00-\u9fd5]+)")
_NUMBER_OR_LETTERS = re.compile(r"([.0-9]+|[a-zA-Z0-9]+)")


def words_in(runs: Sequence[str]) -> list[list[Word]]:
    """(word, tag) of each run of characters that are no word of the dictionary together.

    As `jieba.posseg` has them: Chinese characters by its hidden Markov model, `m` for numbers, `eng` for letters.
    """
    pieces = [_HAN.split(run) for run in runs]
    chinese = _chinese_words([piece for split in pieces for piece in split[1::2]])
    return [
        [word for place, piece in enumerate(split) for word in (next(chinese) if place % 2 else _other_words(piece))]
        for split in pieces
    ]


def _other_words(piece: str) -> list[Word]:
    parts = filter(None, _NUMBER_OR_LETTERS.split(piece)) if piece else ()
    return [(part, "m" if part[0] in ".0123456789" else "eng" if part.isalnum() else "x") for part in parts]


def _chinese_words(runs: Sequence[str]) -> Iterator[list[Word]]:
    model = _model()
    way = model.way("".join(runs), np.cumsum([0, *map(len, runs)])) if runs else []
    first = 0
    for run in runs:
        yield _cut(run, [model.states[state] for state in way[first : first + len(run)]])
        first += len(run)


def _cut(run: str, states: Sequence[tuple[str, str]]) -> list[Word]:
    words = []
    begin = end = 0
    for place, (position, tag) in enumerate(states):
        if position == "B":
            begin = place
        elif position != "M":
            words.append((run[begin if position == "E" else place : place + 1], tag))
            end = place + 1
    if end < len(run):
        words.append((run[end:], states[end][1]))
    return words


@dataclass(frozen=True)
class _Model:
    """States are places in a word (begin, middle, end, single) with a tag, in their order."""

    states: list[tuple[str, str]]
    kinds: dict[str, int]
    """Which row of `emissions` and `allowed` a character has; those without one share the last."""
    starts: Doubles
    steps: Doubles
    after: Integers
    ends: Integers
    opening: Integers
    to_opening: Doubles
    emissions: Doubles
    allowed: Bools

    def way(self, characters: str, runs: Integers) -> list[int]:
        rows = np.array([self.kinds.get(character, len(self.kinds)) for character in characters])
        steps = self.steps, self.after, self.ends, self.opening, self.to_opening
        found: list[int] = likeliest_states(rows, runs, self.starts, *steps, self.emissions, self.allowed).tolist()
        return found


@functools.cache
def _model() -> _Model:
    """jieba's tables as arrays."""
    starts, steps, emissions, allowed = (_table(name) for name in _TABLES)
    states = sorted(starts)
    places = {state: place for place, state in enumerate(states)}
    kinds = {
        character: kind for kind, character in enumerate(sorted(allowed.keys() | set().union(*emissions.values())))
    }
    logarithms = np.full((len(kinds) + 1, len(states)), _HARDLY)
    may_stand = np.ones(logarithms.shape, np.bool_)
    for state, of_characters in emissions.items():
        logarithms[[kinds[character] for character in of_characters], places[state]] = list(of_characters.values())
    for character, its_states in allowed.items():
        may_stand[kinds[character]] = False
        may_stand[kinds[character], [places[state] for state in its_states]] = True
    inside = [{after: step for after, step in steps[state].items() if after[0] not in _OPENING} for state in states]
    begun = {after for state in states for after in steps[state] if after[0] in _OPENING}
    opening = sorted(places[after] for after in begun)
    return _Model(
        states=states,
        kinds=kinds,
        starts=np.array([starts[state] for state in states]),
        steps=np.array([value for onward in inside for value in onward.values()]),
        after=np.array([places[after] for onward in inside for after in onward]),
        ends=np.cumsum([0, *map(len, inside)]),
        opening=np.array(opening),
        to_opening=np.array([[steps[state].get(states[place], -np.inf) for place in opening] for state in states]),
        emissions=logarithms,
        allowed=may_stand,
    )


def _table(name: str) -> dict[Any, Any]:
    """One of jieba's own pickles, read without importing jieba, which warns while it is imported."""
    package = importlib.util.find_spec("jieba")
    if package is None or package.origin is None:
        raise ImportError("jieba, which carries the model of words and their tags, is not installed")
    with (Path(package.origin).parent / "posseg" / f"{name}.p").open("rb") as stream:
        table: dict[Any, Any] = pickle.load(stream)
    return table


@functools.cache
def emission_odds() -> Mapping[str, tuple[float, float, float]]:
    """For each character, how much likelier it is (logarithms, at most 6 either way) at each place of a name.

    The places are the first of a name, its middle and its last, against the mean of all that is no name.
    """
    model = _model()
    others = [place for place, (_, tag) in enumerate(model.states) if not tag.startswith("nr")]
    elsewhere = np.log(np.exp(np.maximum(model.emissions[:-1, others], -30.0)).mean(axis=1))
    found = [
        np.clip(model.emissions[:-1, model.states.index((position, "nr"))] - elsewhere, -6.0, 6.0).tolist()
        for position in "BME"
    ]
    return dict(zip(model.kinds, zip(*found, strict=True), strict=True))
