"""The spider of one part: visits its URLs, follows redirects within a host, retries, and tells the log what it met."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from twisted.python.failure import Failure

from crawler.content_coding import CodingError, decode_body
from crawler.crawl_archive import CrawlArchive
from crawler.crawl_gate import CrawlGate, Refused, location_of, retry_wait
from crawler.outage import OutageWatch
from crawler.page_download import PAGE, ROBOTS, SITEMAP, PageFault
from crawler.page_log import PageLog, Visit
from crawler.parse_child import PageParser
from crawler.robots import RobotsRules
from crawler.sitemap import MAX_SITEMAP_BYTES, read_sitemap
from crawler.spider import OUTAGE_EXIT, CrawlCounts, CrawlJob
from crawler.urls import canonical_url, host_of
from crawler.warc import header, is_html

_MAX_SITEMAPS_PER_HOST = 50
_FAULT_AGE_S = 60.0


class PartSpider(Spider):
    """Visits each URL of one part. A redirect within its host is followed; one that leaves it becomes a link."""

    name = "curate"

    def __init__(
        self,
        job: CrawlJob,
        archive: CrawlArchive,
        parser: PageParser,
        log: PageLog,
        at_deadline: Callable[["PartSpider"], None],
    ) -> None:
        super().__init__()
        self.job = job
        self.archive = archive
        self._log = log
        self.num_requests = self.num_reused = 0
        self._outage = OutageWatch()
        self.num_in_flight = 0
        self._parser = parser
        self._parsing = asyncio.Lock()
        self._deadline = time.monotonic() + job.max_seconds
        self._at_deadline = at_deadline
        self._known = set(log.urls)
        self._young_faults: list[tuple[float, str, PageFault]] = []
        self._num_sitemaps: Counter[str] = Counter()

    async def start(self) -> AsyncIterator[Any]:
        self._watch = asyncio.get_running_loop().create_task(self._end_at_deadline())
        for url in _in_turn(self._log.urls):
            yield self.request_for(url, PAGE, root=url)

    def request_for(
        self,
        url: str,
        purpose: str,
        root: str | None = None,
        chain: tuple[str, ...] = (),
        attempt: int = 0,
        not_before: float = 0.0,
    ) -> Request:
        """A request of ours: `root` is the part's URL that it serves, `chain` the redirects that led here."""
        host = host_of(url)
        meta = {"url": url, "purpose": purpose, "root": root, "chain": chain, "attempt": attempt}
        encoding = "identity" if purpose == ROBOTS else "gzip, deflate"
        return Request(
            url,
            callback=self.answered,
            errback=self.failed,
            dont_filter=True,
            priority=100 if purpose == ROBOTS else 0,
            headers={
                "Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
                "Accept-Encoding": encoding,
                "User-Agent": self.job.crawler.user_agent,
            },
            meta={**meta, "not_before": not_before, "download_slot": host, "handle_httpstatus_all": True},
        )

    def most_bytes(self, request: Request) -> int:
        """How large a body may be that the request is answered with."""
        return self.job.source.max_page_bytes if request.meta["purpose"] == PAGE else MAX_SITEMAP_BYTES

    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    async def answered(self, response: Response) -> AsyncIterator[Request]:
        """A response came, from the network or from an earlier attempt's archive."""
        request = response.request
        assert request is not None
        again = self._again(request, None, response)
        if again is not None:
            yield again
            return
        offset = self.keep(request, response)
        if request.meta["purpose"] == SITEMAP:
            for follow in self._read_sitemap(request, response):
                yield follow
            return
        target = location_of(response, request.meta["url"])
        if target is not None:
            follow_up = self._redirected(request, response, target, offset)
            if follow_up is not None:
                yield follow_up
            return
        self._log.visited(await self._read_page(request, response, offset))

    async def failed(self, failure: Failure) -> AsyncIterator[Request]:
        """No response came, or none was asked for."""
        request: Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy
        error: BaseException | None = failure.value
        fault = error.fault if isinstance(error, Refused) else error
        if not isinstance(fault, PageFault):
            raise RuntimeError(f"unforeseen while asking for {request.meta['url']}") from error  # not the web's doing
        if not isinstance(error, Refused) and fault.reason != "not_attempted":
            self.note(request, fault)
            again = self._again(request, fault, None)
            if again is not None:
                yield again
                return
            self._keep_fault(request, fault)
        if request.meta["purpose"] == PAGE:
            self._log.visited(
                Visit(request.meta["root"], request.meta["url"], drop_reason=fault.reason, detail=fault.detail)
            )

    def keep(self, request: Request, response: Response) -> int:
        """Records an exchange, unless it comes from the archive; its offset there."""
        if "kept_at" in request.meta:
            self.num_reused += 1
            return int(request.meta["kept_at"])
        self.note(request, None)
        peer = next((flag.removeprefix("peer ") for flag in response.flags if flag.startswith("peer ")), None)
        sent = [("Host", request.meta["url"].split("/", 3)[2])]
        sent += [(name.decode("latin-1"), values[-1].decode("latin-1")) for name, values in request.headers.items()]
        return self.archive.add_exchange(
            request.meta["url"], sent, str(response.protocol), _pairs(response), response.body, peer
        )

    def note(self, request: Request, fault: PageFault | None) -> None:
        """Counts a request that was sent, and stops the crawl where the network is gone."""
        self.num_requests += 1
        has_failed = fault is not None and fault.no_contact
        self._outage.note(host_of(request.meta["url"]), connected=not has_failed)
        if has_failed and self._outage.is_out():
            self._young_faults.clear()
            self.archive.close()
            os._exit(OUTAGE_EXIT)

    @property
    def asks_for_sitemaps(self) -> bool:
        """Whether this part reads its hosts' sitemaps: the first round does."""
        return self.job.round == 0 and self.job.source.sitemaps

    def robots_known(self, origin: str, rules: RobotsRules) -> None:
        """In the first round, asks for the sitemaps of a host as soon as its rules are there."""
        engine = self.crawler.engine
        if engine is None or not self.asks_for_sitemaps or rules.unreachable is not None:
            return
        for url in dict.fromkeys((*rules.sitemaps, f"{origin}/sitemap.xml")):
            request = self._sitemap_request(url, host_of(origin + "/"))
            if request is not None:
                engine.crawl(request)

    def finish(self) -> CrawlCounts:
        """Write what is still held back; call it when the crawl is over."""
        for _, url, fault in self._young_faults:
            self.archive.add_fault(url, fault.reason, fault.detail)
        self._young_faults.clear()
        num_links = self._log.write(self.job.pages_path, self.job.links_path)
        return CrawlCounts(len(self._log.urls), num_links, self.num_requests, self.num_reused, self._log.reasons())

    async def _end_at_deadline(self) -> None:
        """Waits until the time is over, and for what is in flight then. What waits its turn is not attempted."""
        await asyncio.sleep(max(0.0, self.seconds_left()))
        while self.num_in_flight or self._parsing.locked():
            await asyncio.sleep(0.05)
        self._at_deadline(self)

    def _again(self, request: Request, fault: PageFault | None, response: Response | None) -> Request | None:
        """Another attempt, where one may help and one is left. A host that says 429 or 503 is left alone meanwhile."""
        attempt = int(request.meta["attempt"])
        if "kept_at" in request.meta or attempt >= self.job.fetch.retries:
            return None
        wait = retry_wait(fault, response, attempt, self.job.fetch.max_retry_after_s)
        if wait is None or wait >= self.seconds_left():
            return None
        if response is not None:
            self.note(request, None)
            if response.status in (429, 503):
                gate = self.crawler.get_downloader_middleware(CrawlGate)
                assert gate is not None
                gate.pause(host_of(request.meta["url"]), wait)
        meta = request.meta
        ready = time.monotonic() + wait
        return self.request_for(meta["url"], meta["purpose"], meta["root"], meta["chain"], attempt + 1, ready)

    def _redirected(self, request: Request, response: Response, target: str, offset: int) -> Request | None:
        """The request that follows a redirect, or None where the visit ends with it."""
        meta = request.meta
        chain = (*meta["chain"], meta["url"])
        visit = Visit(meta["root"], meta["url"], status=response.status, offset=offset)
        if target in chain or len(chain) > self.job.fetch.max_redirects:
            reason = "a redirect loop" if target in chain else f"more than {self.job.fetch.max_redirects} redirects"
            self._log.visited(visit.ended("too_many_redirects", reason))
        elif host_of(target) != host_of(meta["url"]):
            # The other host may be another part's: it is asked in the next round, at the same depth.
            self._log.linked(meta["root"], [target], step=0)
            self._log.visited(visit.ended(None, f"redirects to {target}"[:500]))
        elif target in self._known:
            self._log.visited(visit.ended(None, f"redirects to {target}, which is visited by itself"[:500]))
        else:
            self._known.add(target)
            return self.request_for(target, PAGE, meta["root"], chain)
        return None

    async def _read_page(self, request: Request, response: Response, offset: int) -> Visit:
        """What a final answer says: links to visit next, images seen, or why it cannot be used."""
        root, url, pairs = request.meta["root"], request.meta["url"], _pairs(response)
        content_type = header(pairs, "content-type")
        visit = Visit(root, url, status=response.status, content_type=content_type, offset=offset)
        if response.status != 200:
            return visit.ended("http_status", str(response.status))
        if not response.body:
            return visit.ended("empty_body", None)
        try:
            body = decode_body(response.body, header(pairs, "content-encoding"), self.job.source.max_page_bytes)
        except CodingError as error:
            return visit.ended("parse_error", str(error))
        if not is_html(content_type, body):
            return visit.ended("unsupported_format", content_type or "no Content-Type, and no HTML")
        async with self._parsing:
            page = await asyncio.to_thread(self._parser.extract, body, url, content_type, pairs)
        num_images = len({candidate.url for candidate in page.candidates})
        num_links = self._log.linked(root, page.links, step=1)
        if page.opt_out is not None:
            return visit.ended("opt_out", page.opt_out, num_links, num_images)
        return visit.ended("parse_error" if page.error else None, page.error, num_links, num_images)

    def _read_sitemap(self, request: Request, response: Response) -> Iterator[Request]:
        if response.status != 200:
            return
        try:
            body = decode_body(response.body, header(_pairs(response), "content-encoding"), MAX_SITEMAP_BYTES)
        except CodingError:
            return
        host = host_of(request.meta["url"])
        urls, is_index = read_sitemap(body, self.job.source.max_sitemap_urls)
        if is_index:
            requests = (self._sitemap_request(url, host) for url in urls[:_MAX_SITEMAPS_PER_HOST])
            yield from (request for request in requests if request is not None)
        else:
            self._log.listed(host, urls)

    def _sitemap_request(self, raw: str, host: str) -> Request | None:
        """A request for a sitemap of the host that was not asked for yet; other hosts' sitemaps are left alone."""
        url = canonical_url(raw)
        if url is None or host_of(url) != host or url in self._known:
            return None
        self._num_sitemaps[host] += 1
        if self._num_sitemaps[host] > _MAX_SITEMAPS_PER_HOST:
            return None
        self._known.add(url)
        return self.request_for(url, SITEMAP)

    def _keep_fault(self, request: Request, fault: PageFault) -> None:
        """Records a failure once it is a minute old: an outage that begins must not blame the hosts for it."""
        now = time.monotonic()
        self._young_faults.append((now, request.meta["url"], fault))
        while self._young_faults and self._young_faults[0][0] < now - _FAULT_AGE_S:
            _, url, old = self._young_faults.pop(0)
            self.archive.add_fault(url, old.reason, old.detail)


def _in_turn(urls: list[str]) -> Iterator[str]:
    """Every host's first URL, then every host's second: no host waits behind all of another."""
    place: Counter[str] = Counter()
    ranked = []
    for url in urls:
        host = host_of(url)
        ranked.append((place[host], url))
        place[host] += 1
    yield from (url for _, url in sorted(ranked))


def _pairs(response: Response) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in response.headers.items()
        for value in values
    ]
