"""The spread of measures over a release's rows: quartiles, and a histogram in bins that suit the values."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

NUM_BINS = 20
_WHOLE_STEPS = 20
_LOG_ABOVE = 25
"""The greatest value over the median from which equal steps of log(1 + x) show more than equal steps of x."""


def spreads(
    database: duckdb.DuckDBPyConnection, are_whole: Mapping[str, bool], rules: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any] | None]:
    """Of each column of `rows`: least, quartiles and greatest over the samples that have it, and a histogram.

    `are_whole` names the columns, and which hold whole numbers; `rules` are those that name a column. `edges` are the
    bins' borders, upper ones inside; `histogram` has rows of [bin, fate, samples], where the fate is `kept`, `cut` for
    what fell for a rule that names the measure, or `dropped` for anything else. None where no sample has the column.
    """
    found = {name: _least_to_greatest(database, name) for name in are_whole}
    bins = {
        name: bin_edges(row["least"], row["quartiles"][1], row["greatest"], are_whole[name])
        for name, row in found.items()
        if row["n"]
    }
    counts = _counts(database, {name: edges for name, (_, edges) in bins.items()}, rules)
    return {
        name: {**row, "scale": bins[name][0], "edges": bins[name][1], "histogram": counts[name]} if row["n"] else None
        for name, row in found.items()
    }


def _least_to_greatest(database: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """One column at a time: its values lie in memory for the quartiles, which are those of SQL's quantile_disc."""
    column = database.sql(f"SELECT {name} FROM rows WHERE {name} IS NOT NULL").to_arrow_table()[name]
    values = column.to_numpy()
    n = len(values)
    if not n:
        return {"n": 0, "least": None, "greatest": None, "quartiles": None}
    places = [0, *(-(-n * quarters // 4) - 1 for quarters in (1, 2, 3)), n - 1]
    least, *quartiles, greatest = np.partition(values, sorted(set(places)))[places].astype(float).tolist()
    return {"n": n, "least": least, "greatest": greatest, "quartiles": quartiles}


def _counts(
    database: duckdb.DuckDBPyConnection, edges: Mapping[str, Sequence[float]], rules: Mapping[str, Sequence[str]]
) -> dict[str, list[list[Any]]]:
    """By column its rows of [bin, fate, samples], in order: all from one pass, since verdicts are read for each."""
    counts: dict[str, Counter[tuple[int, str]]] = {name: Counter() for name in edges}
    if not edges:
        return {}
    binned = (f"map_values(histogram({name}::DOUBLE, {ends[1:]!r}::DOUBLE[]))" for name, ends in edges.items())
    rows = database.sql(f"SELECT status, drop_reason, {', '.join(binned)} FROM rows GROUP BY ALL").fetchall()
    for status, reason, *histograms in rows:
        for name, bins in zip(edges, histograms, strict=True):
            fate = "kept" if status == "kept" else "cut" if reason in rules[name] else "dropped"
            counts[name].update({(place, fate): number for place, number in enumerate(bins or ()) if number})
    return {
        name: [[place, fate, found[place, fate]] for place, fate in sorted(found)] for name, found in counts.items()
    }


def bin_edges(least: float, median: float, greatest: float, is_whole: bool) -> tuple[str, list[float]]:
    """The scale, `each` whole number, `linear` or `log` of 1 + x, and the borders of its bins, ascending."""
    if is_whole and greatest - least < NUM_BINS:
        return "each", [least - 0.5 + step for step in range(int(greatest - least) + 2)]
    if is_whole and greatest - least < _WHOLE_STEPS * NUM_BINS and greatest <= _LOG_ABOVE * max(median, 1):
        # Bins of some whole numbers each: with others, neighbours hold now two, now three of them.
        step = -(-int(greatest - least + 1) // NUM_BINS)
        return "linear", [least - 0.5 + step * place for place in range(-(-int(greatest - least + 1) // step) + 1)]
    if least == greatest:
        return "linear", [least, greatest]
    steps = [step / NUM_BINS for step in range(1, NUM_BINS)]
    if least >= 0 and greatest > _LOG_ABOVE * max(median, 1e-9):
        low, high = math.log1p(least), math.log1p(greatest)
        # Six digits, since the last ones of a logarithm differ from one C library to another.
        inner = [float(f"{math.expm1(low + step * (high - low)):.6g}") for step in steps]
        return "log", [least, *inner, greatest]
    return "linear", [least, *(least + step * (greatest - least) for step in steps), greatest]
