"""The frontier of a crawl: what its tables hold, which links it follows, the lane of a host, the first round."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from crawler.sources import CrawlSource, host_in_pattern
from crawler.urls import canonical_url, host_of
from shards.errors import UsageError
from shards.tables import iter_tables

PAGES = pa.schema(
    [
        ("url", pa.string()),  # as the frontier gave it, canonical
        ("canonical_url", pa.string()),  # what the page gives as its own, of the same host; else as url
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
        ("is_chinese", pa.bool_()),  # of what was read of it; null where nothing was
    ]
)
"""One row per URL that a round was given."""

SITEMAP, IMAGE_RICH, CHINESE = 1, 2, 4
"""Signs that a page is worth a visit, bits of `signs`: a sitemap lists it, a page with many images links to it, a page
in Chinese does. The more signs a page has, the sooner it is visited."""

LINKS = pa.schema(
    [
        ("url", pa.string()),
        ("host", pa.string()),
        ("depth", pa.int32()),
        ("from_url", pa.string()),
        ("signs", pa.uint8()),
    ]
)
"""Pages that may be visited, with the least depth and all signs met; a part may name a page more than once."""

FRONTIER = pa.schema(
    [
        ("url", pa.string()),
        ("host", pa.string()),
        ("depth", pa.int32()),
        ("lane", pa.int32()),
        ("place", pa.int32()),
    ]
)
"""What one round visits, by lane, host and url; a host has one lane. `place` counts from 1 on each host."""


@dataclass(frozen=True)
class Limits:
    """Which links a crawl follows. `hosts` and `suffixes` may be crawled (a suffix starts with a dot)."""

    max_depth: int
    hosts: frozenset[str]
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, source: CrawlSource) -> "Limits":
        """The limits of a recipe's crawl; without `allowed_hosts` the seeds' hosts may be crawled."""
        patterns = source.allowed_hosts or [host_of(url) for url in _seed_urls(source.seeds)]
        named = [(pattern.startswith("*."), host) for pattern in patterns if (host := host_in_pattern(pattern))]
        suffixes = {f".{host}" for is_suffix, host in named if is_suffix}
        hosts = frozenset(host for is_suffix, host in named if not is_suffix)
        return cls(source.max_depth, hosts, tuple(sorted(suffixes)))

    def allows(self, host: str) -> bool:
        return host in self.hosts or host.endswith(self.suffixes)


@lru_cache(1 << 16)
def host_key(host: str) -> int:
    """Where a host stands among all, 0 to 2^64 - 1: the same in every round and on every machine."""
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=8).digest(), "big")


def lane_of(host: str, lanes: int) -> int:
    """The lane of a host, 0 to lanes - 1; a lane is a range of host keys."""
    return (host_key(host) * lanes) >> 64


def rows_of_lane(paths: Sequence[Path], lane: int | None) -> pa.Table:
    """The rows of one lane in a round's files, a row group at a time; of all lanes for None."""
    tables = [FRONTIER.empty_table()]
    for path in paths:
        for table in iter_tables(path, FRONTIER.names, rows_at_once=1):
            rows = table if lane is None else table.filter(pc.equal(table["lane"], lane))
            tables += [rows] if rows.num_rows else []
    return pa.concat_tables(tables)


def first_round(seeds: Sequence[str], lanes: int = 1, max_pages: int | None = None) -> pa.Table:
    """The first `max_pages` seeds as a FRONTIER table of depth 0, or all of them.

    Raises UsageError naming all seeds that are no http(s) URLs.
    """
    urls = list(dict.fromkeys(_seed_urls(seeds)))[:max_pages]
    rows = sorted((lane_of(host_of(url), lanes), host_of(url), url) for url in urls)
    places: Counter[str] = Counter()
    made = []
    for lane, host, url in rows:
        places[host] += 1
        made.append({"url": url, "host": host, "depth": 0, "lane": lane, "place": places[host]})
    return pa.Table.from_pylist(made, schema=FRONTIER)


def _seed_urls(seeds: Sequence[str]) -> list[str]:
    canonical = {seed: canonical_url(seed) for seed in seeds}
    bad = [repr(seed) for seed, url in canonical.items() if url is None]
    if bad:
        raise UsageError(f"source.seeds: no http(s) URL: {', '.join(bad[:10])}; expected e.g. https://example.cn/")
    return [url for url in canonical.values() if url is not None]
