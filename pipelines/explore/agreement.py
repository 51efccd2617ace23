"""How far annotators agree: the share of equal answers, Cohen's and Fleiss' kappa."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

Item = tuple[str, str]
"""A uid and a text: what one answer is about."""

Answers = Mapping[Item, str]


@dataclass(frozen=True)
class Agreement:
    """Of two annotators, or of all, over the `items` that each of them answered.

    `share` is that of equal pairs of answers, 0.0-1.0. `kappa` is corrected for chance, 1.0 at most: Cohen's for two,
    Fleiss' for more; null where it has no value, since all said the same of everything.
    """

    annotators: tuple[str, ...]
    items: int
    share: float | None
    kappa: float | None


def agreements(answers: Mapping[str, Answers]) -> list[Agreement]:
    """Of each pair of annotators, by name, and behind them of all together where they are more than two."""
    names = sorted(answers)
    found = [_of_two(pair, answers[pair[0]], answers[pair[1]]) for pair in combinations(names, 2)]
    return [*found, _of_all(names, answers)] if len(names) > 2 else found


def _of_two(pair: tuple[str, str], ours: Answers, theirs: Answers) -> Agreement:
    common = sorted(ours.keys() & theirs.keys())
    share, kappa = cohen([(ours[item], theirs[item]) for item in common])
    return Agreement(pair, len(common), share, kappa)


def _of_all(names: Sequence[str], answers: Mapping[str, Answers]) -> Agreement:
    common = sorted(set.intersection(*(set(answers[name]) for name in names)))
    share, kappa = fleiss([[answers[name][item] for name in names] for item in common])
    return Agreement(tuple(names), len(common), share, kappa)


def cohen(pairs: Sequence[tuple[str, str]]) -> tuple[float | None, float | None]:
    """Share and kappa of two annotators, each with a distribution of answers of its own (Cohen 1960).

    >>> cohen([("match", "match"), ("no_match", "no_match"), ("match", "no_match"), ("no_match", "no_match")])
    (0.75, 0.5)
    """
    if not pairs:
        return None, None
    number = len(pairs)
    share = sum(one == other for one, other in pairs) / number
    ours, theirs = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    by_chance = sum(ours[label] * theirs[label] for label in ours) / number**2
    return share, _corrected(share, by_chance)


def fleiss(rows: Sequence[Sequence[str]]) -> tuple[float | None, float | None]:
    """Share of equal pairs and kappa of several annotators who share one distribution (Fleiss 1971).

    `rows`: the answers to each item, as many to one as to another, at least two.
    """
    if not rows:
        return None, None
    raters = len(rows[0])
    counts = [Counter(row) for row in rows]
    share = sum(n * (n - 1) for count in counts for n in count.values()) / (len(rows) * raters * (raters - 1))
    totals = sum(counts, Counter[str]())
    by_chance = sum((n / (len(rows) * raters)) ** 2 for n in totals.values())
    return share, _corrected(share, by_chance)


def _corrected(share: float, by_chance: float) -> float | None:
    return None if by_chance >= 1 else (share - by_chance) / (1 - by_chance)
