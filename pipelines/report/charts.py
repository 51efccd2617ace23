"""Shapes of the report's pictures: bars, cuts, funnel steps and shades as numbers that a template writes down."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from filters.rules import PlacedRule

WIDTH, HEIGHT = 200, 100
_FATES = ("kept", "cut", "dropped")
_NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?"
_COMPARISON = re.compile(rf"\s*([a-z_][a-z0-9_]*)\s*(<=|>=|<|>|==|=)\s*({_NUMBER})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Bar:
    """A rectangle of a histogram, in a box of WIDTH x HEIGHT with y pointing down."""

    fate: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Cut:
    """A rule's threshold: its place, and the span of what the rule rejects."""

    rule: str
    x: float
    rejected_x: float
    rejected_width: float


@dataclass(frozen=True)
class Histogram:
    """One measure's picture, with the rules that name the measure, drawn or not."""

    name: str
    spread: Mapping[str, Any]
    bars: tuple[Bar, ...]
    cuts: tuple[Cut, ...]
    rules: tuple[PlacedRule, ...]


@dataclass(frozen=True)
class FunnelStep:
    """One stage's slice of the funnel: shares of all samples that came in and went out."""

    stage: str
    came: int
    dropped: int
    left: int
    share_in: float
    share_out: float


@dataclass(frozen=True)
class Overlaps:
    """Which rules fail together: `cells[a][b]` is (samples, shade), the shade 0 to 5 by the share of a's samples."""

    rules: tuple[str, ...]
    cells: tuple[tuple[tuple[int, int], ...], ...]
    num_left_out: int


def histograms(rules: Sequence[PlacedRule], measures: Mapping[str, Any]) -> list[Histogram]:
    """A picture for each measure that any sample has: first those that rules name, in order of judgement."""
    named = list(dict.fromkeys(column for rule in rules for column in rule.columns if measures.get(column)))
    others = [name for name in measures if name not in named and measures[name]]
    return [_histogram(name, measures[name], [r for r in rules if name in r.columns]) for name in (*named, *others)]


def lengths_chart(name: str, spread: Mapping[str, Any]) -> Histogram:
    """A picture of lengths that no rule names."""
    return _histogram(name, spread, ())


def funnel_steps(funnel: Sequence[Mapping[str, Any]], samples: int) -> list[FunnelStep]:
    """The stages at which anything fell, in order."""
    whole, left, steps = max(samples, 1), samples, []
    for stage, rows in groupby(funnel, key=lambda row: row["stage"]):
        dropped = sum(row["samples"] for row in rows)
        came, left = left, left - dropped
        steps.append(FunnelStep(stage, came, dropped, left, _rounded(100 * came / whole), _rounded(100 * left / whole)))
    return steps


def overlaps(rules: Sequence[PlacedRule], pairs: Sequence[Mapping[str, Any]], most: int = 16) -> Overlaps:
    """The rules that fail together with any other, in order of judgement; of many, those that do so most."""
    together = {(pair["a"], pair["b"]): pair["samples"] for pair in pairs}
    together |= {(b, a): number for (a, b), number in together.items()}
    met: Counter[str] = Counter()
    for (a, b), number in together.items():
        if a != b:
            met[a] += number
    order = {rule.name: place for place, rule in enumerate(rules)}
    chosen = sorted(met, key=lambda name: (-met[name], order.get(name, -1), name))[:most]
    names = sorted(chosen, key=lambda name: (order.get(name, -1), name))
    cells = tuple(
        tuple((together.get((a, b), 0), _shade(together.get((a, b), 0), together[a, a])) for b in names) for a in names
    )
    return Overlaps(tuple(names), cells, len(met) - len(names))


def _histogram(name: str, spread: Mapping[str, Any], rules: Sequence[PlacedRule]) -> Histogram:
    cuts = [cut for rule in rules for cut in _cuts(name, rule, spread)]
    return Histogram(name, spread, tuple(_bars(spread)), tuple(cuts), tuple(rules))


def _bars(spread: Mapping[str, Any]) -> Iterator[Bar]:
    """Kept below, what the measure's own rules cut above it, the rest on top."""
    counts = {(place, fate): number for place, fate, number in spread["histogram"]}
    num_bins = len(spread["edges"]) - 1
    tallest = max(sum(counts.get((place, fate), 0) for fate in _FATES) for place in range(num_bins))
    step = WIDTH / num_bins
    for place in range(num_bins):
        top = float(HEIGHT)
        for fate in _FATES:
            height = HEIGHT * counts.get((place, fate), 0) / tallest
            if height:
                top -= height
                yield Bar(fate, _rounded(place * step + 0.5), _rounded(top), _rounded(step - 1), _rounded(height))


def _cuts(name: str, rule: PlacedRule, spread: Mapping[str, Any]) -> Iterator[Cut]:
    """Thresholds that lie inside the picture, of rules that are comparisons with numbers joined by AND."""
    for operator, threshold in comparisons(name, rule.expression):
        # Between two whole numbers the border lies half way, on the side that the operator says.
        whole = spread["scale"] == "each"
        x = _place(threshold + (0.5 if operator in ("<=", ">") else -0.5) * whole, spread)
        if x is not None:
            rejects_above = operator in ("<", "<=")
            yield Cut(rule.name, x, x if rejects_above else 0.0, _rounded(WIDTH - x) if rejects_above else x)


def comparisons(name: str, expression: str) -> list[tuple[str, float]]:
    """(operator, number) of each comparison of `name`; none where the expression is anything but an AND of such.

    >>> comparisons("aspect", "aspect <= 3 and min_side > 200")
    [('<=', 3.0)]
    >>> comparisons("aspect", "aspect <= 3 or is_animated")
    []
    """
    parts = [_COMPARISON.fullmatch(part) for part in re.split(r"\band\b", expression, flags=re.IGNORECASE)]
    found: list[tuple[str, float]] = []
    for part in parts:
        if part is None:
            return []
        if part[1] == name:
            operators = ("<=", ">=") if part[2] in ("=", "==") else (part[2],)
            found += [(operator, float(part[3])) for operator in operators]
    return found


def _place(value: float, spread: Mapping[str, Any]) -> float | None:
    """Where a value lies from left to right, None outside the picture."""
    low, high = spread["edges"][0], spread["edges"][-1]
    if not low <= value <= high or low == high:
        return None
    if spread["scale"] == "log":
        value, low, high = math.log1p(value), math.log1p(low), math.log1p(high)
    return _rounded(WIDTH * (value - low) / (high - low))


def _rounded(value: float) -> float:
    return round(value, 2)


def _shade(number: int, whole: int) -> int:
    return -(-5 * number // max(whole, 1))
