"""The spread of one measure over a release's rows: quartiles, and a histogram in bins that suit the values."""

import math
from collections.abc import Sequence
from typing import Any

import duckdb

NUM_BINS = 20
_WHOLE_STEPS = 20
_LOG_ABOVE = 25
"""The greatest value over the median from which equal steps of log(1 + x) show more than equal steps of x."""


def spread(
    database: duckdb.DuckDBPyConnection, name: str, is_whole: bool, rules: Sequence[str]
) -> dict[str, Any] | None:
    """Least, quartiles and greatest of a column of `rows` over the samples that have it, and a histogram.

    `edges` are the bins' borders, upper ones inside; `histogram` has rows of [bin, fate, samples], where the fate
    is `kept`, `cut` for what fell for a rule that names the measure, or `dropped` for anything else.
    """
    row = _one(
        database,
        f"""
        SELECT count({name}) AS n, min({name})::DOUBLE AS least, max({name})::DOUBLE AS greatest,
            quantile_disc({name}, [0.25, 0.5, 0.75])::DOUBLE[] AS quartiles FROM rows
        """,
    )
    if not row["n"]:
        return None
    scale, edges = bin_edges(row["least"], row["quartiles"][1], row["greatest"], is_whole)
    reasons = ", ".join(f"'{rule}'" for rule in rules) or "NULL"
    counts = database.sql(
        f"""
        SELECT CASE WHEN status = 'kept' THEN 'kept' WHEN drop_reason IN ({reasons}) THEN 'cut' ELSE 'dropped' END
            AS fate, map_values(histogram({name}::DOUBLE, {edges[1:]!r}::DOUBLE[])) AS bins
        FROM rows WHERE {name} IS NOT NULL GROUP BY ALL ORDER BY fate
        """
    ).fetchall()
    histogram = [[place, fate, number] for fate, bins in counts for place, number in enumerate(bins) if number]
    return {**row, "scale": scale, "edges": edges, "histogram": sorted(histogram)}


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


def _one(database: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    (row,) = database.sql(sql).to_arrow_table().to_pylist()
    found: dict[str, Any] = row
    return found
