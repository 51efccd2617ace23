"""All URLs that a crawl knows, updated after a round: each range of hosts by one query, within stated memory.

A range holds all URLs of its hosts, so that budgets are told without asking the others. A host's URLs that are further
back than it may ever come with twice the pages that are left to it are forgotten: a trap does not grow for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crawler.frontier import host_key
from shards.tables import TableWriter

KNOWN = pa.schema(
    [
        ("url", pa.string()),
        ("host", pa.string()),
        ("depth", pa.int32()),
        ("signs", pa.uint8()),
        ("seen", pa.int8()),
    ]
)
"""One row per URL. `seen`: 0 where nobody was, 1 where a redirect or a canonical link led, 2 for a page of a round."""

CANDIDATES = pa.schema(
    [
        ("url", pa.string()),
        ("host", pa.string()),
        ("depth", pa.int32()),
        ("worth", pa.int32()),
        ("place", pa.int32()),
    ]
)
"""What the next round may visit, by host and url. `worth`: the number of signs; `place` counts from 1 on each host."""

COUNTS = pa.schema([("worth", pa.int32()), ("depth", pa.int32()), ("place", pa.int32()), ("num_urls", pa.int64())])
"""How many candidates of a range share what decides which come first."""

MEMORY_LIMIT = "1GB"
_BATCH_ROWS = 65_536

_KNOWN = """
CREATE TEMP TABLE known AS
SELECT url, any_value(host) AS host, min(depth) AS depth, bit_or(signs) AS signs, max(seen) AS seen
FROM given GROUP BY url
"""
_RANKED = """
CREATE TEMP TABLE ranked AS
WITH visited AS (SELECT host, count(*) AS num_visited FROM known WHERE seen = 2 GROUP BY host)
SELECT url, known.host, depth, signs, CAST(bit_count(signs) AS INTEGER) AS worth,
    CAST(row_number() OVER (PARTITION BY known.host ORDER BY bit_count(signs) DESC, depth, url) AS INTEGER) AS place,
    greatest(0, $max_pages_per_host - coalesce(num_visited, 0)) AS num_left
FROM known LEFT JOIN visited USING (host) WHERE seen = 0
"""
_STATE = """
SELECT url, host, depth, signs, seen FROM known WHERE seen > 0
UNION ALL
SELECT url, host, depth, signs, CAST(0 AS TINYINT) FROM ranked WHERE place <= 2 * num_left
"""
_CANDIDATES = """
SELECT url, host, depth, worth, place FROM ranked WHERE place <= least(num_left, $max_pages_per_round)
ORDER BY host, url
"""
_COUNTS = """
SELECT worth, depth, place, count(*) AS num_urls FROM ranked WHERE place <= least(num_left, $max_pages_per_round)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Budget:
    """Pages of one host: in the whole crawl, and in one round (None: no other limit)."""

    max_pages_per_host: int
    max_pages_per_round: int | None = None


@dataclass(frozen=True)
class KnownPaths:
    """Where an update puts its three tables."""

    known: Path
    candidates: Path
    counts: Path


def rows_of_pages(pages: pa.Table) -> pa.Table:
    """KNOWN rows of a PAGES table: each page, and the other URLs that it turned out to be."""
    num = pages.num_rows
    tables = [_rows(pages["url"], pages["host"], pages["depth"], pa.nulls(num, pa.uint8()), 2)]
    for name in ("canonical_url", "final_url"):
        others = pages.filter(pc.fill_null(pc.not_equal(pages[name], pages["url"]), False))
        tables.append(_rows(others[name], others["host"], others["depth"], pa.nulls(others.num_rows, pa.uint8()), 1))
    return pa.concat_tables(tables)


def rows_of_links(links: pa.Table) -> pa.Table:
    """KNOWN rows of a LINKS table."""
    return _rows(links["url"], links["host"], links["depth"], links["signs"], 0)


def range_of_hosts(hosts: pa.ChunkedArray, num_ranges: int) -> npt.NDArray[np.int64]:
    """Each row's range of hosts, 0 to num_ranges - 1, a power of two: a range holds two of twice as many. int64 [n]."""
    encoded = hosts.combine_chunks().dictionary_encode()
    keys = np.array([host_key(host) for host in encoded.dictionary.to_pylist()], np.uint64)
    bits = np.uint64(num_ranges.bit_length() - 1)
    ranges = (keys >> (np.uint64(64) - bits)).astype(np.int64) if bits else np.zeros(len(keys), np.int64)
    return np.asarray(ranges[encoded.indices.to_numpy()], np.int64)


def update_known(
    given: Sequence[pa.Table], budget: Budget, paths: KnownPaths, memory_limit: str = MEMORY_LIMIT
) -> tuple[int, int]:
    """Brings what was known of some hosts and what a round found (KNOWN rows) together; how many URLs are known now,
    and how many of them the next round may visit. Spills beside `paths.known`."""
    import duckdb

    spill = paths.known.parent / f".{paths.known.name}.spill"
    most = budget.max_pages_per_host
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET threads=1")
        connection.execute("SET preserve_insertion_order=false")
        connection.execute(f"SET memory_limit='{memory_limit}'")
        connection.execute("SET temp_directory=$folder", {"folder": str(spill)})
        connection.register("given", pa.concat_tables([KNOWN.empty_table(), *given]))
        connection.execute(_KNOWN)
        connection.unregister("given")
        connection.execute(_RANKED, {"max_pages_per_host": most})
        num_known = _write(connection, _STATE, {}, paths.known, KNOWN)
        a_round = {"max_pages_per_round": most if budget.max_pages_per_round is None else budget.max_pages_per_round}
        num_candidates = _write(connection, _CANDIDATES, a_round, paths.candidates, CANDIDATES)
        _write(connection, _COUNTS, a_round, paths.counts, COUNTS)
    return num_known, num_candidates


def _rows(urls: Any, hosts: Any, depths: Any, signs: Any, seen: int) -> pa.Table:
    seen_column = pa.array(np.full(len(urls), seen, np.int8))
    return pa.Table.from_arrays([urls, hosts, depths, pc.fill_null(signs, 0), seen_column], schema=KNOWN)


def _write(connection: Any, query: str, parameters: dict[str, Any], path: Path, schema: pa.Schema) -> int:
    with TableWriter(path, schema) as writer:
        for batch in connection.sql(query, params=parameters).to_arrow_reader(_BATCH_ROWS):
            writer.write(pa.Table.from_batches([batch]))
        return writer.num_rows
