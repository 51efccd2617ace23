"""A moved threshold: the spread of a measure, what each place of the slider keeps, and which samples change sides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from filters.rules import PlacedRule
from pipelines.explore.conditions import Condition, ConditionReader, RefusedQuestionError
from pipelines.explore.pages import cards
from pipelines.explore.sample_index import SampleIndex
from pipelines.explore.stored_copies import StoredCopies
from pipelines.report.charts import comparisons

OPERATORS = (">=", ">", "<=", "<")
NUM_STOPS = 240
SHOWN = 12
_LOG_ABOVE = 25
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE")
_KEPT, _FELL_ALONE, _OTHER = range(3)


@dataclass(frozen=True)
class Threshold:
    """`measure operator value`; `rule` is the recipe's rule that it stands for, which dropped samples may pass now."""

    measure: str
    operator: str
    value: float
    rule: str | None = None


def measured_columns(kinds: Mapping[str, str]) -> list[str]:
    """The columns that a threshold may cut."""
    return [name for name, kind in kinds.items() if kind in _NUMBERS]


def thresholds_of(rules: Sequence[PlacedRule], kinds: Mapping[str, str]) -> list[Threshold]:
    """The recipe's rules that are one comparison of one measure with a number, in order of judgement."""
    known = set(measured_columns(kinds))
    found = []
    for rule in rules:
        cuts = comparisons(rule.columns[0], rule.expression) if len(rule.columns) == 1 else []
        if len(cuts) == 1 and rule.columns[0] in known:
            found.append(Threshold(rule.columns[0], cuts[0][0], cuts[0][1], rule.name))
    return found


def spread_of(index: SampleIndex, reader: ConditionReader, condition: Condition, at: Threshold) -> dict[str, Any]:
    """Stops of the slider, how many samples each would keep, and between each two how many lie of each fate.

    `keep_at[i]` counts samples that `measure operator stops[i]` keeps: of those kept now, and of those that fell for
    the rule alone. `bars[fate][i]` counts samples from `stops[i]` to `stops[i + 1]`.
    """
    column = _checked(reader, index, at)
    range_query = f"SELECT count({column}), min({column})::DOUBLE, max({column})::DOUBLE FROM samples WHERE {{where}}"
    number, least, greatest = index.rows(range_query, condition)[0]
    if not number:
        raise RefusedQuestionError(f"no sample here has a value of {at.measure}")
    # A median would cost as much as all the rest: whether half of the values are small says what the scale needs.
    small_query = (
        f"SELECT count(*) FROM samples WHERE {{where}} AND {column}::DOUBLE < {greatest / _LOG_ABOVE!r}::DOUBLE"
    )
    is_skewed = least >= 0 and 2 * index.rows(small_query, condition)[0][0] > number
    is_whole = index.kinds[at.measure] not in ("FLOAT", "DOUBLE")
    scale, stops = stops_of(least, greatest, is_whole, is_skewed, at.value)
    counts, num_nulls = _counted(index, condition, at, column, stops)
    whole = [kept + fell for kept, fell in zip(counts[_KEPT], counts[_FELL_ALONE], strict=True)]
    return {
        "measure": at.measure,
        "scale": scale,
        "is_whole": is_whole,
        "stops": stops,
        "keep_at": _kept_at(whole, at.operator),
        "bars": {name: _bars(counts[fate]) for fate, name in enumerate(("kept", "fell", "other"))},
        "without": {"kept": num_nulls[_KEPT], "dropped": num_nulls[_FELL_ALONE] + num_nulls[_OTHER]},
    }


def moved(
    index: SampleIndex, copies: StoredCopies, reader: ConditionReader, condition: Condition, at: Threshold
) -> dict[str, Any]:
    """How many samples a threshold keeps, drops and brings back, and the nearest to it of those that change sides."""
    column = _checked(reader, index, at)
    passes = f"coalesce(x {at.operator} {at.value!r}::DOUBLE, false)"
    alone, rule = _fell_alone(at)
    # The nearest on the losing side lie below a lower bound and above an upper one; on the winning side beyond.
    is_lower = at.operator in (">=", ">")
    falls, returns = ("DESC", "ASC") if is_lower else ("ASC", "DESC")
    kept_once = "MATERIALIZED" if condition != Condition() else "NOT MATERIALIZED"
    query = f"""
        WITH chosen AS {kept_once} (
            SELECT rowid AS place, {column}::DOUBLE AS x, status, drop_reason, "#failed" FROM samples WHERE {{where}}
        )
        SELECT count(*), count(*) FILTER (status = 'kept'), count(*) FILTER (status = 'kept' AND NOT {passes}),
            count(*) FILTER ({alone} AND {passes}),
            (SELECT list(place) FROM (SELECT place FROM chosen WHERE status = 'kept' AND NOT {passes}
                ORDER BY x {falls} NULLS LAST, place LIMIT {SHOWN})),
            (SELECT list(place) FROM (SELECT place FROM chosen WHERE {alone} AND {passes}
                ORDER BY x {returns}, place LIMIT {SHOWN}))
        FROM chosen
    """
    total, kept, num_falling, num_back, falling, returning = index.rows(query, condition, [*rule, *rule])[0]
    return {
        "samples": total,
        "kept": kept,
        "falls": num_falling,
        "back": num_back,
        "keeps": kept - num_falling + num_back,
        "falling": _at_places(index, copies, column, falling, f"{falls} NULLS LAST"),
        "returning": _at_places(index, copies, column, returning, returns),
    }


def _at_places(
    index: SampleIndex, copies: StoredCopies, column: str, places: list[int] | None, way: str
) -> list[dict[str, Any]]:
    if not places:
        return []
    there = Condition().and_also("rowid IN (SELECT unnest(?::BIGINT[]))", places)
    found: list[dict[str, Any]] = cards(index, copies, f"ORDER BY {column} {way}, rowid", there, column)
    return found


def stops_of(least: float, greatest: float, is_whole: bool, is_skewed: bool, value: float) -> tuple[str, list[float]]:
    """The scale (`each`, `linear`, `log` of 1 + x) and ascending stops that enclose all values, `value` among them.

    Whole numbers have one stop more than there are, so that the last can keep nothing.
    """
    if is_whole and greatest - least < NUM_STOPS:
        scale, stops = "each", [least + step for step in range(int(greatest - least) + 2)]
    elif is_skewed:
        low, high = math.log1p(least), math.log1p(greatest)
        steps = (math.expm1(low + (high - low) * step / NUM_STOPS) for step in range(1, NUM_STOPS))
        scale, stops = "log", [least, *(_short(step, is_whole) for step in steps), greatest + is_whole]
    else:
        width = _round_width((greatest - least) / NUM_STOPS, is_whole)
        first = math.floor(least / width)
        last = max(math.ceil(greatest / width), first + 1)
        scale, stops = "linear", [float(f"{width * step:.12g}") for step in range(first, last + 1)]
    return scale, sorted({*stops, *([value] if stops[0] < value < stops[-1] else [])})


def _round_width(least: float, is_whole: bool) -> float:
    """The next of 1, 2, 5, 10, … at any power of ten; thresholds between them can be said."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    width = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    return max(width, 1.0) if is_whole else width


def _short(value: float, is_whole: bool) -> float:
    """Three digits: a place on a slider that can be said, and written into a recipe."""
    return float(round(value)) if is_whole else float(f"{value:.3g}")


def _checked(reader: ConditionReader, index: SampleIndex, at: Threshold) -> str:
    column = reader.column(at.measure)
    if at.measure not in measured_columns(index.kinds):
        raise RefusedQuestionError(f"{at.measure} is no number")
    if at.operator not in OPERATORS:
        raise RefusedQuestionError(f"{at.operator!r} is none of {', '.join(OPERATORS)}")
    if not math.isfinite(at.value):
        raise RefusedQuestionError("a threshold is a finite number")
    return column


def _fell_alone(at: Threshold) -> tuple[str, tuple[str, ...]]:
    """SQL of what fell for the rule and, of its stage, for nothing else."""
    return ('(drop_reason = ? AND "#failed" = 1)', (at.rule,)) if at.rule else ("false", ())


def _counted(
    index: SampleIndex, condition: Condition, at: Threshold, column: str, stops: Sequence[float]
) -> tuple[list[list[int]], list[int]]:
    """By fate, how many values lie below the first stop, between each two, and from the last on; and the nulls.

    A value that equals a stop lies above it where the operator is `>=` or `<`, else below: so each sum is exact.
    """
    is_above = at.operator in (">=", "<")
    bounds = [*(math.nextafter(stop, -math.inf) if is_above else stop for stop in stops), math.inf]
    alone, rule = _fell_alone(at)
    query = f"""
        WITH chosen AS (SELECT * FROM samples WHERE {{where}})
        SELECT CASE WHEN status = 'kept' THEN {_KEPT} WHEN {alone} THEN {_FELL_ALONE} ELSE {_OTHER} END AS fate,
            count(*) - count({column}), map_values(histogram({column}::DOUBLE, ?::DOUBLE[])) FROM chosen GROUP BY fate
    """
    counts, nulls = [[0] * len(bounds) for _ in range(3)], [0, 0, 0]
    for fate, num_nulls, numbers in index.rows(query, condition, [*rule, bounds]):
        counts[fate] = numbers or counts[fate]
        nulls[fate] = num_nulls
    return counts, nulls


def _kept_at(counts: Sequence[int], operator: str) -> list[int]:
    """Of all values, those that each stop keeps."""
    below = list(accumulate(counts))
    return [below[-1] - number if operator in (">=", ">") else number for number in below[:-1]]


def _bars(counts: Sequence[int]) -> list[int]:
    """Between neighbours; what equals the first or the last stop is with its neighbours."""
    bars = list(counts[1:-1])
    if bars:
        bars[0] += counts[0]
        bars[-1] += counts[-1]
    return bars
