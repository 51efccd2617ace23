"""What a part of a crawl found: one row per page that it was given, and the links to visit next."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from crawler.crawl.link_log import LinkLog
from crawler.crawl.traps import is_trap, without_session
from crawler.frontier import PAGES, SITEMAP, Limits
from crawler.sources import CrawlSource
from crawler.urls import canonical_url, host_of
from shards.schema import uid_of
from shards.tables import ROW_GROUP_ROWS, TableWriter

# Links to what is certainly no page are not visited; images are found in the pages that link to them.
_NO_PAGE = re.compile(
    r"\.(?:jpe?g|png|gif|webp|bmp|ico|svgz?|avif|tiff?|css|js|mjs|json|woff2?|ttf|eot|pdf|docx?|xlsx?|pptx?|zip|rar|7z|t?gz|bz2"
    r"|xz|exe|dmg|apk|iso|msi|mp[34]|m4[av]|avi|mov|mkv|webm|flv|wmv|ogg|wav|flac|swf|rss|atom|xml)\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Visit:
    """How the visit of `root`, one of the part's URLs, ended at `url`."""

    root: str
    url: str
    status: int | None = None
    drop_reason: str | None = None
    detail: str | None = None
    content_type: str | None = None
    offset: int | None = None
    num_links: int | None = None
    num_images: int | None = None
    is_chinese: bool | None = None
    canonical: str | None = None
    """What the page gives as its own URL; another host's is not believed."""

    def ended(
        self,
        drop_reason: str | None,
        detail: str | None,
        num_links: int | None = None,
        num_images: int | None = None,
        is_chinese: bool | None = None,
    ) -> "Visit":
        ended = replace(self, drop_reason=drop_reason, detail=detail, num_links=num_links)
        return replace(ended, num_images=num_images, is_chinese=is_chinese)


class PageLog:
    """Gathers visits and links. `urls` are the part's, in order; `links` stay in memory up to a bound."""

    def __init__(
        self, frontier: pa.Table, round_number: int, limits: Limits, source: CrawlSource, links: LinkLog
    ) -> None:
        self._depth_of: dict[str, int] = dict(
            zip(frontier.column("url").to_pylist(), frontier.column("depth").to_pylist(), strict=True)
        )
        self.urls = sorted(self._depth_of)
        self._frontier = frontier
        self._round = round_number
        self._limits = limits
        self._source = source
        self._visits: dict[str, Visit] = {}
        self._links = links

    def in_turn(self) -> Iterator[str]:
        """Every host's best URL, then every host's second: no host waits behind all of another."""
        yield from self._frontier.sort_by([("place", "ascending"), ("url", "ascending")])["url"].to_pylist()

    def visited(self, visit: Visit) -> None:
        """Takes the end of one visit. The first counts."""
        self._visits.setdefault(visit.root, visit)

    def linked(self, root: str, urls: Iterable[str], step: int, signs: int = 0) -> int:
        """Takes canonical links of a page, `step` deeper than the page, and returns how many may be visited."""
        depth = self._depth_of[root] + step
        kept = 0
        for url in map(without_session, urls):
            if kept >= self._source.max_links_per_page:
                break
            if self._may_be_visited(url, depth):
                self._links.add(url, depth, root, signs)
                kept += 1
        return kept

    def listed(self, host: str, urls: Iterable[str]) -> None:
        """Takes the URLs of a host's sitemap: as near as a seed's own links. Other hosts' URLs are not its to list."""
        for raw in urls:
            url = canonical_url(raw)
            url = None if url is None else without_session(url)
            if url is not None and host_of(url) == host and self._may_be_visited(url, 1):
                self._links.add(url, 1, "", SITEMAP)

    def reasons(self) -> dict[str, int]:
        """Pages by drop reason; those without one are not counted."""
        reasons = (self._end_of(url).drop_reason for url in self.urls)
        return dict(sorted(Counter(reason for reason in reasons if reason).items()))

    def write(self, pages_path: Path) -> int:
        """Writes the pages, sorted by url, and what is left of the links; returns the number of links."""
        with TableWriter(pages_path, PAGES) as writer:
            for start in range(0, len(self.urls), ROW_GROUP_ROWS):
                rows = [self._row(url) for url in self.urls[start : start + ROW_GROUP_ROWS]]
                writer.write(pa.Table.from_pylist(rows, schema=PAGES))
        return self._links.finish()

    def _may_be_visited(self, url: str, depth: int) -> bool:
        return (
            depth <= self._limits.max_depth
            and len(url) <= self._source.max_url_chars
            and url not in self._depth_of
            and self._limits.allows(host_of(url))
            and not _NO_PAGE.search(url.partition("?")[0])
            and not is_trap(url)
        )

    def _end_of(self, url: str) -> Visit:
        unvisited = Visit(url, url, drop_reason="not_attempted", detail="the crawl ended before it was asked")
        return self._visits.get(url, unvisited)

    def _row(self, url: str) -> dict[str, object]:
        visit = self._end_of(url)
        return {
            "url": url,
            "canonical_url": visit.canonical or url,
            "uid": uid_of(url),
            "host": host_of(url),
            "depth": self._depth_of[url],
            "round": self._round,
            "status": visit.status,
            "drop_reason": visit.drop_reason,
            "detail": visit.detail,
            "content_type": visit.content_type,
            "final_url": visit.url,
            "warc_offset": visit.offset,
            "num_links": visit.num_links,
            "num_images": visit.num_images,
            "is_chinese": visit.is_chinese,
        }
