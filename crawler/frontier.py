"""Which pages a crawl visits next: rounds of URLs, each host in one lane, by one query over what is known."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from crawler.sources import CrawlSource
from crawler.urls import canonical_url, host_of
from shards.errors import UsageError
from shards.tables import TableWriter

PAGES = pa.schema(
    [
        ("url", pa.string()),  # as the frontier gave it, canonical
        ("canonical_url", pa.string()),
        ("uid", pa.string()),
        ("host", pa.string()),
        ("depth", pa.int32()),
        ("round", pa.int32()),
        ("status", pa.int32()),  # of the last response; null where there was none
        ("drop_reason", pa.string()),
        ("detail", pa.string()),
        ("content_type", pa.string()),
        ("final_url", pa.string()),  # where redirects within the host led; null where they were not followed
        ("warc_offset", pa.int64()),
        ("num_links", pa.int32()),
        ("num_images", pa.int32()),
    ]
)
"""One row per URL that a round was given."""

LINKS = pa.schema([("url", pa.string()), ("host", pa.string()), ("depth", pa.int32()), ("from_url", pa.string())])
"""Pages that may be visited, once each per part, with the least depth."""

FRONTIER = pa.schema([("url", pa.string()), ("host", pa.string()), ("depth", pa.int32()), ("lane", pa.int32())])
"""What one round visits, sorted by host and url; all of a host has one lane."""

_NEXT_ROUND = """
WITH seen AS (
    SELECT canonical_url AS url FROM pages UNION SELECT final_url FROM pages WHERE final_url IS NOT NULL
),
visited AS (SELECT host, count(*) AS num_pages FROM pages GROUP BY host),
fresh AS (
    SELECT url, any_value(host) AS host, min(depth) AS depth FROM links
    WHERE depth <= $max_depth AND (list_contains($hosts, host) OR {suffixes})
    GROUP BY url
),
ranked AS (
    SELECT fresh.*, coalesce(num_pages, 0) AS num_before,
        row_number() OVER (PARTITION BY fresh.host ORDER BY depth, url) AS place
    FROM fresh ANTI JOIN seen USING (url) LEFT JOIN visited ON fresh.host = visited.host
),
chosen AS (
    SELECT url, host, depth FROM ranked WHERE place + num_before <= $max_pages_per_host
    ORDER BY depth, place, host LIMIT greatest(0, $max_pages - (SELECT count(*) FROM pages))
)
SELECT url, host, CAST(depth AS INTEGER) AS depth FROM chosen ORDER BY host, url
"""


@dataclass(frozen=True)
class Limits:
    """How far a crawl goes. `hosts` and `suffixes` are those that may be crawled (a suffix starts with a dot)."""

    max_depth: int
    max_pages: int
    max_pages_per_host: int
    hosts: tuple[str, ...]
    suffixes: tuple[str, ...]
    lanes: int

    @classmethod
    def of(cls, source: CrawlSource, lanes: int) -> "Limits":
        """The limits of a recipe's crawl; without `allowed_hosts` the seeds' hosts may be crawled."""
        patterns = source.allowed_hosts or [host_of(url) for url in _seed_urls(source.seeds)]
        suffixes = [_a_label(pattern[2:]) for pattern in patterns if pattern.startswith("*.")]
        hosts = [_a_label(pattern) for pattern in patterns if not pattern.startswith("*.")]
        return cls(
            source.max_depth,
            source.max_pages,
            source.max_pages_per_host,
            tuple(sorted(set(hosts))),
            tuple(sorted({f".{suffix}" for suffix in suffixes})),
            lanes,
        )

    def allows(self, host: str) -> bool:
        return host in self.hosts or host.endswith(self.suffixes)


def lane_of(host: str, lanes: int) -> int:
    """The lane of a host, 0 to lanes - 1: the same in every round and on every machine."""
    digest = hashlib.blake2b(host.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % lanes


def first_round(seeds: Sequence[str], lanes: int = 1) -> pa.Table:
    """The seeds as a FRONTIER table of depth 0. Raises UsageError naming all seeds that are no http(s) URLs."""
    urls = sorted(set(_seed_urls(seeds)), key=lambda url: (host_of(url), url))
    hosts = [host_of(url) for url in urls]
    columns = [urls, hosts, [0] * len(urls), [lane_of(host, lanes) for host in hosts]]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, FRONTIER, strict=True)], schema=FRONTIER
    )


def next_round(
    pages_paths: Sequence[Path],
    links_paths: Sequence[Path],
    limits: Limits,
    out_path: Path,
    memory_limit: str = "1GB",
) -> int:
    """Writes the FRONTIER of the links that no round has visited, and returns how many there are (0 ends a crawl).

    Where a limit cuts, pages nearer to a seed come first, then each host's in turn. Spills beside `out_path`.
    """
    below = " OR ".join(f"ends_with(host, {_quoted(suffix)})" for suffix in limits.suffixes)
    query = _NEXT_ROUND.format(suffixes=below or "FALSE")
    with TableWriter(out_path, FRONTIER) as writer:
        for batch in _query(query, pages_paths, links_paths, limits, out_path, memory_limit):
            lanes = {host: lane_of(host, limits.lanes) for host in batch.column("host").unique().to_pylist()}
            lane = pa.array([lanes[host] for host in batch.column("host").to_pylist()], pa.int32())
            writer.write(pa.Table.from_batches([batch]).append_column("lane", lane))
        return writer.num_rows


def _query(
    query: str,
    pages_paths: Sequence[Path],
    links_paths: Sequence[Path],
    limits: Limits,
    out_path: Path,
    memory_limit: str,
) -> Iterator[pa.RecordBatch]:
    import duckdb

    spill = out_path.parent / f".{out_path.name}.spill"
    with duckdb.connect(":memory:") as connection:
        for setting in ("threads=1", f"memory_limit={_quoted(memory_limit)}", f"temp_directory={_quoted(str(spill))}"):
            connection.execute(f"SET {setting}")
        for name, paths, schema in (("pages", pages_paths, PAGES), ("links", links_paths, LINKS)):
            if paths:
                files = ", ".join(_quoted(str(path)) for path in paths)
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{files}])")
            else:
                connection.register(name, schema.empty_table())
        parameters = {
            "max_depth": limits.max_depth,
            "max_pages": limits.max_pages,
            "max_pages_per_host": limits.max_pages_per_host,
            "hosts": list(limits.hosts),
        }
        yield from connection.sql(query, params=parameters).to_arrow_reader(65_536)


def _seed_urls(seeds: Sequence[str]) -> list[str]:
    canonical = {seed: canonical_url(seed) for seed in seeds}
    bad = [repr(seed) for seed, url in canonical.items() if url is None]
    if bad:
        raise UsageError(f"source.seeds: no http(s) URL: {', '.join(bad[:10])}; expected e.g. https://example.cn/")
    return [url for url in canonical.values() if url is not None]


def _a_label(host: str) -> str:
    url = canonical_url(f"http://{host}/")
    if url is None:
        raise UsageError(f"source.allowed_hosts: {host!r} is no host; expected e.g. www.example.cn or *.example.cn")
    return host_of(url)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
