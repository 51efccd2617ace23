"""The sitemaps of a part's hosts: which are asked for, and how many of their URLs are taken."""

from collections import Counter
from collections.abc import Iterable, Iterator

from crawler.robots import RobotsRules
from crawler.urls import canonical_url, host_of

MAX_SITEMAPS_PER_HOST = 50
MAX_INDEX_DEPTH = 2
"""Indexes inside each other; sitemaps.org knows one level, and sites are found with two."""


class HostSitemaps:
    """Counts by host. Other hosts' sitemaps are left alone: they are not this host's to name."""

    def __init__(self, max_urls_per_host: int) -> None:
        self._max_urls = max_urls_per_host
        self._asked: set[str] = set()
        self._num_sitemaps: Counter[str] = Counter()
        self._num_urls: Counter[str] = Counter()

    def named_by(self, origin: str, rules: RobotsRules) -> list[str]:
        """The sitemaps to ask for once robots.txt is known: those that it names, and the one at the usual place."""
        return list(self._new((*rules.sitemaps, f"{origin}/sitemap.xml"), host_of(f"{origin}/")))

    def listed_by_index(self, urls: Iterable[str], host: str, depth: int) -> list[str]:
        """The sitemaps to ask for that an index names, which lies `depth` indexes deep."""
        return list(self._new(urls, host)) if depth < MAX_INDEX_DEPTH else []

    def num_urls_left(self, host: str) -> int:
        """How many URLs may still be taken from the host's sitemaps."""
        return max(0, self._max_urls - self._num_urls[host])

    def took(self, host: str, num_urls: int) -> None:
        self._num_urls[host] += num_urls

    def _new(self, raw_urls: Iterable[str], host: str) -> Iterator[str]:
        for raw in raw_urls:
            if self._num_sitemaps[host] >= MAX_SITEMAPS_PER_HOST:
                return
            url = canonical_url(raw)
            if url is not None and host_of(url) == host and url not in self._asked:
                self._asked.add(url)
                self._num_sitemaps[host] += 1
                yield url
