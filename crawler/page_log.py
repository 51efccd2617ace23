"""What a part of a crawl found: one row per page that it was given, and the links to visit next."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from crawler.frontier import LINKS, PAGES, Limits
from crawler.sources import CrawlSource
from crawler.urls import canonical_url, host_of
from shards.schema import uid_of
from shards.tables import write_table

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

    def ended(
        self,
        drop_reason: str | None,
        detail: str | None,
        num_links: int | None = None,
        num_images: int | None = None,
    ) -> "Visit":
        return replace(self, drop_reason=drop_reason, detail=detail, num_links=num_links, num_images=num_images)


class PageLog:
    """Gathers visits and links. `urls` are the part's, in order."""

    def __init__(self, frontier: pa.Table, round_number: int, limits: Limits, source: CrawlSource) -> None:
        self._depth_of: dict[str, int] = dict(
            zip(frontier.column("url").to_pylist(), frontier.column("depth").to_pylist(), strict=True)
        )
        self.urls = sorted(self._depth_of)
        self._round = round_number
        self._limits = limits
        self._source = source
        self._visits: dict[str, Visit] = {}
        self._links: dict[str, tuple[int, str]] = {}

    def visited(self, visit: Visit) -> None:
        """Takes the end of one visit. The first counts."""
        self._visits.setdefault(visit.root, visit)

    def linked(self, root: str, urls: Iterable[str], step: int) -> int:
        """Takes canonical links of a page, `step` deeper than the page, and returns how many may be visited."""
        depth = self._depth_of[root] + step
        kept = 0
        for url in urls:
            if kept >= self._source.max_links_per_page:
                break
            if self._may_be_visited(url, depth):
                # The least (depth, page) wins, so that the order in which pages came does not matter.
                self._links[url] = min((depth, root), self._links.get(url, (depth, root)))
                kept += 1
        return kept

    def listed(self, host: str, urls: Iterable[str]) -> None:
        """Takes the URLs of a host's sitemap: as near as a seed's own links. Other hosts' URLs are not its to list."""
        for raw in urls:
            url = canonical_url(raw)
            if url is not None and host_of(url) == host and self._may_be_visited(url, 1):
                self._links[url] = min((1, ""), self._links.get(url, (1, "")))

    def reasons(self) -> dict[str, int]:
        """Pages by drop reason; those without one are not counted."""
        reasons = (self._end_of(url).drop_reason for url in self.urls)
        return dict(sorted(Counter(reason for reason in reasons if reason).items()))

    def write(self, pages_path: Path, links_path: Path) -> int:
        """Writes both tables, sorted by url, and returns the number of links."""
        write_table(pages_path, pa.Table.from_pylist([self._row(url) for url in self.urls], schema=PAGES))
        links = [
            {"url": url, "host": host_of(url), "depth": depth, "from_url": root or None}
            for url, (depth, root) in sorted(self._links.items())
        ]
        write_table(links_path, pa.Table.from_pylist(links, schema=LINKS))
        return len(links)

    def _may_be_visited(self, url: str, depth: int) -> bool:
        return (
            depth <= self._limits.max_depth
            and len(url) <= self._source.max_url_chars
            and url not in self._depth_of
            and self._limits.allows(host_of(url))
            and not _NO_PAGE.search(url.partition("?")[0])
        )

    def _end_of(self, url: str) -> Visit:
        unvisited = Visit(url, url, drop_reason="not_attempted", detail="the crawl ended before it was asked")
        return self._visits.get(url, unvisited)

    def _row(self, url: str) -> dict[str, object]:
        visit = self._end_of(url)
        return {
            "url": url,
            "canonical_url": url,
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
        }
