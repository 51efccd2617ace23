"""What a release holds in numbers: reasons, texts, hosts, and the spread of each measure, asked of its rows."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from filters.rules import PlacedRule
from shards.database import quoted, scratch_database

NUM_BINS = 20
_MOST_HOSTS = 20
_LOG_ABOVE = 25
"""The greatest value over the median from which equal steps of log(1 + x) show more than equal steps of x."""
_WHOLE, _SHOWN = ("INTEGER", "BIGINT"), ("INTEGER", "BIGINT", "DOUBLE")
_HIDDEN = ("tar_offset", "tar_bytes", "fetch_index", "http_status")


def release_numbers(selected: list[Path], rules: Sequence[PlacedRule], spill_beside: Path) -> dict[str, Any]:
    """Numbers of all samples of the `select` parts, kept and dropped; the same whatever the order of the parts."""
    with scratch_database(spill_beside) as database:
        database.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({quoted(selected)})")
        (counts,) = _query(database, _COUNTS)
        return {
            **counts,
            "drops": _query(database, _DROPS),
            "text_drops": _query(database, _TEXT_DROPS),
            "text_kinds": _query(database, _TEXT_KINDS),
            "hosts": _query(database, _HOSTS),
            "measures": {
                name: _spread(database, name, kind in _WHOLE, [rule.name for rule in rules if name in rule.columns])
                for name, kind in _numbers(database)
            },
        }


_COUNTS = """
    SELECT count(*) AS samples, count(*) FILTER (status = 'kept') AS kept,
        count(*) FILTER (status = 'dropped') AS dropped, count(DISTINCT host) AS num_hosts FROM rows
"""
_DROPS = """
    SELECT dropped_at AS stage, drop_reason AS reason, count(*) AS samples
    FROM rows WHERE status = 'dropped' GROUP BY ALL ORDER BY samples DESC, stage, reason
"""
_TEXT_DROPS = """
    SELECT t.drop_reason AS reason, count(*) AS texts
    FROM (SELECT unnest(texts) AS t FROM rows) WHERE t.drop_reason IS NOT NULL GROUP BY ALL ORDER BY texts DESC, reason
"""
_TEXT_KINDS = """
    SELECT kind, sum(texts)::BIGINT AS texts, sum(standing)::BIGINT AS standing, sum(captions)::BIGINT AS captions
    FROM (
        SELECT t.kind AS kind, 1 AS texts, (t.drop_reason IS NULL)::INT AS standing, 0 AS captions
        FROM (SELECT unnest(texts) AS t FROM rows WHERE status = 'kept')
        UNION ALL SELECT text_kind, 0, 0, 1 FROM rows WHERE status = 'kept'
    ) GROUP BY ALL ORDER BY texts DESC, kind
"""
_HOSTS = f"""
    SELECT host, count(*) AS samples, count(*) FILTER (status = 'kept') AS kept
    FROM rows GROUP BY ALL ORDER BY samples DESC, host LIMIT {_MOST_HOSTS}
"""


def _query(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = database.sql(sql).to_arrow_table().to_pylist()
    return rows


def _numbers(database: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Name and type of the columns that a histogram can show."""
    columns = database.sql("DESCRIBE rows").fetchall()
    return [(name, kind) for name, kind, *_ in columns if kind in _SHOWN and name not in _HIDDEN]


def _spread(
    database: duckdb.DuckDBPyConnection, name: str, is_whole: bool, rules: Sequence[str]
) -> dict[str, Any] | None:
    """Least, quartiles and greatest of a measure over the samples that have it, and a histogram.

    `edges` are the bins' borders, upper ones inside; `histogram` has rows of [bin, fate, samples], where the fate
    is `kept`, `cut` for what fell for a rule that names the measure, or `dropped` for anything else.
    """
    (row,) = _query(
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
    counts = _query(
        database,
        f"""
        SELECT CASE WHEN status = 'kept' THEN 'kept' WHEN drop_reason IN ({reasons}) THEN 'cut' ELSE 'dropped' END
            AS fate, map_values(histogram({name}::DOUBLE, {edges[1:]!r}::DOUBLE[])) AS bins
        FROM rows WHERE {name} IS NOT NULL GROUP BY ALL ORDER BY fate
        """,
    )
    histogram = [
        [place, entry["fate"], number] for entry in counts for place, number in enumerate(entry["bins"]) if number
    ]
    return {**row, "scale": scale, "edges": edges, "histogram": sorted(histogram)}


def bin_edges(least: float, median: float, greatest: float, is_whole: bool) -> tuple[str, list[float]]:
    """The scale, `each` whole number, `linear` or `log` of 1 + x, and the borders of its bins, ascending."""
    if is_whole and greatest - least < NUM_BINS:
        return "each", [least - 0.5 + step for step in range(int(greatest - least) + 2)]
    if least == greatest:
        return "linear", [least, greatest]
    steps = [step / NUM_BINS for step in range(1, NUM_BINS)]
    if least >= 0 and greatest > _LOG_ABOVE * max(median, 1e-9):
        low, high = math.log1p(least), math.log1p(greatest)
        # Six digits, since the last ones of a logarithm differ from one C library to another.
        inner = [float(f"{math.expm1(low + step * (high - low)):.6g}") for step in steps]
        return "log", [least, *inner, greatest]
    return "linear", [least, *(least + step * (greatest - least) for step in steps), greatest]
