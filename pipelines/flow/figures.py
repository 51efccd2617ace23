"""What a release holds in numbers: reasons, overlaps, texts, hosts, groups and measures, asked of its rows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb

from filters.measures import MEASURES
from filters.rules import PlacedRule
from pipelines.flow.caption_figures import caption_figures
from pipelines.flow.histograms import spreads
from pipelines.flow.sample_rows import SampleRows, StoredRows
from pipelines.flow.text_figures import text_figures
from shards.database import scratch_database

_MOST_LISTED = 20
_WHOLE, _SHOWN = ("INTEGER", "BIGINT"), ("INTEGER", "BIGINT", "DOUBLE")
_HIDDEN = ("tar_offset", "tar_bytes", "fetch_index", "http_status")
GROUP_SIZES = (2, 3, 4, 5, 10, 20, 50, 100, 1000)
"""Groups of duplicates are counted from one of these sizes to below the next."""

_LISTED = {"hosts": "host", "queries": "query", "categories": "category"}
"""Lists of the most frequent values -> the column that they are of."""


def release_numbers(
    kept: list[Path],
    dropped: list[Path],
    rules: Sequence[PlacedRule],
    spill_beside: Path,
    categories_by: str = "category",
) -> dict[str, Any]:
    """Numbers of all samples of the `select` parts, kept and dropped; the same whatever the order of the parts."""
    return numbers_of(StoredRows(kept, dropped), rules, spill_beside, categories_by)


def numbers_of(
    rows: SampleRows, rules: Sequence[PlacedRule], spill_beside: Path, categories_by: str = "category"
) -> dict[str, Any]:
    """The same of rows however they are held. `categories_by` is the column of categories, if the rows have it.

    Texts are counted in a thread beside the queries: nothing else of a run goes on when this is asked.
    """
    with scratch_database(spill_beside) as database, ThreadPoolExecutor(1) as beside:
        database.execute(f"CREATE VIEW rows AS {rows.sql()}")
        (counts,) = _query(database, _COUNTS)
        kinds = {name: kind for name, kind, *_ in database.sql("DESCRIBE rows").fetchall()}
        counts["categories_by"] = categories_by if categories_by in kinds else "category"
        for name, column in _LISTED.items():
            source = counts["categories_by"] if column == "category" else column
            database.execute(_by_value(name, column, source))
            counts |= _query(database, f"SELECT count({column}) AS num_{name} FROM of_{name}")[0]
        lists = {name: _query(database, _most_frequent(name, column)) for name, column in _LISTED.items()}
        categories = [row["category"] for row in lists["categories"] if row["category"] is not None]
        texts = beside.submit(text_figures, rows, categories, counts["categories_by"])
        captions = beside.submit(caption_figures, rows, categories, counts["categories_by"])
        shown = {name: kind in _WHOLE for name, kind in kinds.items() if kind in _SHOWN and name not in _HIDDEN}
        numbers = {
            **counts,
            "drops": _query(database, _DROPS),
            "overlaps": _query(database, _OVERLAPS),
            "status_codes": _query(database, _STATUS_CODES),
            "group_sizes": _query(database, _GROUP_SIZES),
            **lists,
            "per_value": {name: _query(database, _kept_of_each(name, column))[0] for name, column in _LISTED.items()},
            "words": _words(database, kinds),
            "measures": spreads(database, shown, {name: _rules_of(name, rules) for name in shown}),
        }
        return {**numbers, **texts.result(), "captions": captions.result()}


_COUNTS = """
    SELECT count(*) AS samples, count(*) FILTER (status = 'kept') AS kept,
        count(*) FILTER (status = 'dropped') AS dropped FROM rows
"""
_DROPS = """
    SELECT dropped_at AS stage, drop_reason AS reason, count(*) AS samples
    FROM rows WHERE status = 'dropped' GROUP BY ALL ORDER BY samples DESC, stage, reason
"""
# Each set of rules that fail together is met once, before it is taken apart into pairs; a rule with itself is its sum.
_OVERLAPS = """
    WITH lists AS (
        SELECT failed_rules, count(*) AS samples
        FROM rows WHERE status = 'dropped' AND len(failed_rules) > 0 GROUP BY ALL
    ), sets AS (
        SELECT list_sort(list_distinct(failed_rules)) AS failed, sum(samples) AS samples FROM lists GROUP BY ALL
    ), firsts AS (SELECT unnest(failed) AS a, failed, samples FROM sets),
    pairs AS (SELECT a, unnest(failed) AS b, samples FROM firsts)
    SELECT a, b, sum(samples)::BIGINT AS samples FROM pairs WHERE a <= b GROUP BY ALL ORDER BY samples DESC, a, b
"""
_STATUS_CODES = """
    SELECT http_status AS code, count(*) AS samples
    FROM rows WHERE drop_reason = 'http_status' GROUP BY ALL ORDER BY samples DESC, code
"""
_GROUP_SIZES = f"""
    WITH groups AS (
        SELECT count(*) AS size, count(*) FILTER (status = 'kept') AS kept
        FROM rows WHERE dup_group IS NOT NULL GROUP BY dup_group HAVING size > 1
    ), sized AS (
        SELECT [b FOR b IN {list(GROUP_SIZES)} IF b <= size][-1] AS from_size, size, kept FROM groups
    )
    SELECT from_size, count(*) AS groups, sum(size)::BIGINT AS samples, sum(kept)::BIGINT AS kept
    FROM sized GROUP BY ALL ORDER BY from_size
"""


def _by_value(name: str, column: str, source: str) -> str:
    """A table of a column's values, met once for all that is asked of them; `source` is its name in the rows."""
    return f"""
        CREATE TEMP TABLE of_{name} AS
        SELECT {source} AS {column}, count(*) AS samples, count(*) FILTER (status = 'kept') AS kept
        FROM rows GROUP BY ALL
    """


def _most_frequent(name: str, column: str) -> str:
    return f"SELECT {column}, samples, kept FROM of_{name} ORDER BY samples DESC, {column} LIMIT {_MOST_LISTED}"


def _kept_of_each(name: str, column: str) -> str:
    """Kept samples of each value on average and at most, and how many values have as many: which of them a cap cut."""
    return f"""
        SELECT round(avg(kept), 4) AS mean, max(kept) AS most,
            count(*) FILTER (kept = (SELECT max(kept) FROM of_{name} WHERE {column} IS NOT NULL)) AS at_most
        FROM of_{name} WHERE {column} IS NOT NULL
    """


def _rules_of(name: str, rules: Sequence[PlacedRule]) -> list[str]:
    return [rule.name for rule in rules if name in rule.columns]


def _words(database: duckdb.DuckDBPyConnection, kinds: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Of each flag and each measure that is a word its values, with their samples and the kept among them."""
    flags = [name for name, kind in kinds.items() if kind == "BOOLEAN"]
    words = [name for name, kind in kinds.items() if kind == "VARCHAR" and name in MEASURES and name != "dup_group"]
    if flags:  # few of their combinations occur: all flags are told from one pass
        database.execute(f"CREATE TEMP TABLE flags AS SELECT {', '.join(flags)}, {_FATES} FROM rows GROUP BY ALL")
    return {
        **{name: _query(database, _values(name, _SUMS, "flags")) for name in flags},
        **{name: _query(database, _values(name, _FATES, "rows")) for name in words},
    }


_FATES = "count(*) AS samples, count(*) FILTER (status = 'kept') AS kept"
_SUMS = "sum(samples)::BIGINT AS samples, sum(kept)::BIGINT AS kept"


def _values(name: str, counts: str, table: str) -> str:
    return f"""
        SELECT {name}::VARCHAR AS value, {counts}
        FROM {table} WHERE {name} IS NOT NULL GROUP BY ALL ORDER BY samples DESC, value LIMIT {_MOST_LISTED}
    """


def _query(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = database.sql(sql).to_arrow_table().to_pylist()
    return rows
