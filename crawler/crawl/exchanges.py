"""What one part of a crawl asks and gets: its requests, their archive, their number, and the time that is left."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scrapy import Request
from scrapy.http import Response

from crawler.crawl.archive import CrawlArchive
from crawler.crawl.disk_end import ending_with_the_disk
from crawler.crawl.page_fault import PageFault
from crawler.crawl.sitemap import MAX_SITEMAP_BYTES
from crawler.outage import OutageWatch
from crawler.spider import OUTAGE_EXIT, CrawlJob
from crawler.urls import host_of

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

PAGE, ROBOTS, SITEMAP, TDMREP = "page", "robots", "sitemap", "tdmrep"
RULES = (ROBOTS, TDMREP)
"""What a request is for: `meta["purpose"]`. RULES are asked for before pages."""

_FAULT_AGE_S = 60.0


@dataclass(frozen=True)
class Asked:
    """What a request of ours is for: `root` is the part's URL that it serves, `chain` the redirects that led here.

    It is sent at `not_before` at the earliest, in monotonic seconds.
    """

    url: str
    purpose: str
    root: str | None = None
    chain: tuple[str, ...] = ()
    attempt: int = 0
    not_before: float = 0.0


class Exchanges:
    """The state that the spider, the gate before each request and the way to the network share."""

    def __init__(self, job: CrawlJob, archive: CrawlArchive) -> None:
        self.job = job
        self.archive = archive
        self.num_requests = self.num_reused = self.num_in_flight = 0
        self._outage = OutageWatch()
        self._deadline = time.monotonic() + job.max_seconds
        self._young_faults: list[tuple[float, str, PageFault]] = []

    @classmethod
    def of(cls, crawler: "Crawler") -> "Exchanges":
        """Those of the spider that a part of Scrapy serves."""
        found = getattr(crawler.spider, "exchanges", None)
        assert isinstance(found, cls)
        return found

    @property
    def asks_for_sitemaps(self) -> bool:
        """Whether this part reads its hosts' sitemaps: the first round does."""
        return self.job.round == 0 and self.job.source.sitemaps

    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def most_bytes(self, request: Request) -> int:
        """How large a body may be that the request is answered with."""
        return self.job.source.max_page_bytes if request.meta["purpose"] == PAGE else MAX_SITEMAP_BYTES

    def request_for(
        self, asked: Asked, called: Callable[..., Any] | None = None, failed: Callable[..., Any] | None = None
    ) -> Request:
        """The request, with all that was asked as its `meta`. `called` and `failed` hear of its end."""
        encoding = "identity" if asked.purpose in RULES else "gzip, deflate"
        return Request(
            asked.url,
            dont_filter=True,
            priority=100 if asked.purpose in RULES else 0,
            headers={
                "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
                "Accept-Encoding": encoding,
                "User-Agent": self.job.crawler.user_agent,
            },
            meta={**vars(asked), "download_slot": host_of(asked.url), "handle_httpstatus_all": True},
            callback=called,
            errback=failed,
        )

    def answered_at(self, request: Request) -> float | None:
        """When an exchange that was kept took place, in UTC seconds; None where nobody knows."""
        return self.archive.kept_since(request.meta["url"]) if "kept_at" in request.meta else time.time()

    def keep(self, request: Request, response: Response) -> int:
        """Records an exchange, unless it comes from the archive; its offset there."""
        if "kept_at" in request.meta:
            self.num_reused += 1
            return int(request.meta["kept_at"])
        self.note(request, None)
        return self._add(request, response, _flag(response, "truncated"))

    def _add(self, request: Request, response: Response, truncated: str | None) -> int:
        sent = [("Host", request.meta["url"].split("/", 3)[2])]
        sent += [(name.decode("latin-1"), values[-1].decode("latin-1")) for name, values in request.headers.items()]
        with ending_with_the_disk(self.job.warc_path):
            return self.archive.add_exchange(
                request.meta["url"],
                sent,
                str(response.protocol),
                header_pairs(response),
                response.body,
                _flag(response, "peer"),
                truncated,
            )

    def _add_fault(self, url: str, fault: PageFault) -> None:
        with ending_with_the_disk(self.job.warc_path):
            self.archive.add_fault(url, fault.reason, fault.detail)

    def keep_fault(self, request: Request, fault: PageFault) -> int | None:
        """Records a failure, and what came of the response, whose offset is returned.

        One that no server can have seen is recorded only when it is a minute old: an outage that begins must not blame
        the hosts for it.
        """
        now = time.monotonic()
        if fault.was_sent:
            # The fault comes first: a kill between the two must not leave the beginning as if it were all.
            self._add_fault(request.meta["url"], fault)
            return self._add(request, fault.beginning, fault.truncated) if fault.beginning else None
        self._young_faults.append((now, request.meta["url"], fault))
        while self._young_faults and self._young_faults[0][0] < now - _FAULT_AGE_S:
            _, url, old = self._young_faults.pop(0)
            self._add_fault(url, old)
        return None

    def keep_young_faults(self) -> None:
        """Records what is still held back; call it when the crawl is over."""
        for _, url, fault in self._young_faults:
            self._add_fault(url, fault)
        self._young_faults.clear()

    def note(self, request: Request, fault: PageFault | None) -> None:
        """Counts a request that was sent, and stops the crawl where the network is gone."""
        self.num_requests += 1
        has_failed = fault is not None and fault.no_contact
        self._outage.note(host_of(request.meta["url"]), connected=not has_failed)
        if has_failed and self._outage.is_out():
            self._young_faults.clear()
            self.archive.close()
            os._exit(OUTAGE_EXIT)


def _flag(response: Response, name: str) -> str | None:
    """What a response's flags say under a name, as `peer 192.0.2.1`."""
    return next((flag.removeprefix(f"{name} ") for flag in response.flags if flag.startswith(f"{name} ")), None)


def header_pairs(response: Response) -> Sequence[tuple[str, str]]:
    """A response's headers as text, in order, those that repeat too."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in response.headers.items()
        for value in values
    ]
