"""The spider of one part: visits its URLs, follows redirects within a host, retries, and tells the log what it met."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from scrapy import Request, Spider
from scrapy.http import Response
from twisted.python.failure import Failure

from crawler.content_coding import CodingError, decode_body
from crawler.crawl.exchanges import PAGE, SITEMAP, Asked, Exchanges, header_pairs
from crawler.crawl.gate import CrawlGate, location_of, retry_wait
from crawler.crawl.host_sitemaps import HostSitemaps
from crawler.crawl.page_fault import PageFault, Refused
from crawler.crawl.page_log import PageLog, Visit
from crawler.crawl.page_signs import MANY_IMAGES, reads_chinese
from crawler.crawl.sitemap import MAX_SITEMAP_BYTES, read_sitemap
from crawler.frontier import CHINESE, IMAGE_RICH
from crawler.parse_child import PageParser
from crawler.robots import RobotsRules
from crawler.spider import CrawlCounts
from crawler.urls import host_of
from crawler.warc import header, is_html


class PartSpider(Spider):
    """Visits each URL of one part. A redirect within its host is followed; one that leaves it becomes a link."""

    name = "curate"

    def __init__(
        self, exchanges: Exchanges, parser: PageParser, log: PageLog, at_deadline: Callable[["PartSpider"], None]
    ) -> None:
        super().__init__()
        self.exchanges = exchanges
        self._job = exchanges.job
        self._log = log
        self._parser = parser
        self._parsing = asyncio.Lock()
        self._at_deadline = at_deadline
        self._known = set(log.urls)
        self._sitemaps = HostSitemaps(self._job.source.max_sitemap_urls)

    async def start(self) -> AsyncIterator[Any]:
        self._watch = asyncio.get_running_loop().create_task(self._end_at_deadline())
        self._gate.tell_rules(self._rules_are_known)
        for url in self._log.in_turn():
            yield self._request_for(Asked(url, PAGE, root=url))

    def _request_for(self, asked: Asked) -> Request:
        return self.exchanges.request_for(asked, self.answered, self.failed)

    @property
    def _gate(self) -> CrawlGate:
        gate = self.crawler.get_downloader_middleware(CrawlGate)
        assert gate is not None
        return gate

    async def answered(self, response: Response) -> AsyncIterator[Request]:
        """A response came, from the network or from an earlier attempt's archive."""
        request = response.request
        assert request is not None
        again = self._again(request, None, response)
        if again is not None:
            yield again
            return
        offset = self.exchanges.keep(request, response)
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
        offset = request.meta.get("kept_at")
        fault = error.fault if isinstance(error, Refused) else error
        if not isinstance(fault, PageFault):
            raise RuntimeError(f"unforeseen while asking for {request.meta['url']}") from error  # not the web's doing
        if not isinstance(error, Refused) and fault.reason != "not_attempted":
            self.exchanges.note(request, fault)
            again = self._again(request, fault, None)
            if again is not None:
                yield again
                return
            offset = self.exchanges.keep_fault(request, fault)
        if request.meta["purpose"] == PAGE:
            visit = Visit(request.meta["root"], request.meta["url"], offset=offset)
            self._log.visited(visit.ended(fault.reason, fault.detail))

    def _rules_are_known(self, origin: str, rules: RobotsRules) -> None:
        """In the first round, asks for the sitemaps of a host as soon as its rules are there."""
        engine = self.crawler.engine
        if engine is None or not self.exchanges.asks_for_sitemaps or rules.unreachable is not None:
            return
        for url in self._sitemaps.named_by(origin, rules):
            engine.crawl(self._request_for(Asked(url, SITEMAP)))

    def finish(self) -> CrawlCounts:
        """Write what is still held back; call it when the crawl is over."""
        self.exchanges.keep_young_faults()
        num_links = self._log.write(self._job.pages_path)
        sent, reused = self.exchanges.num_requests, self.exchanges.num_reused
        return CrawlCounts(len(self._log.urls), num_links, sent, reused, self._log.reasons())

    async def _end_at_deadline(self) -> None:
        """Waits until the time is over, and for what is in flight then. What waits its turn is not attempted."""
        await asyncio.sleep(max(0.0, self.exchanges.seconds_left()))
        while self.exchanges.num_in_flight or self._parsing.locked():
            await asyncio.sleep(0.05)
        self._at_deadline(self)

    def _again(self, request: Request, fault: PageFault | None, response: Response | None) -> Request | None:
        """Another attempt, where one may help and one is left. A host that says 429 or 503 is left alone meanwhile."""
        attempt = int(request.meta["attempt"])
        if "kept_at" in request.meta or attempt >= self._job.fetch.retries:
            return None
        wait = retry_wait(fault, response, attempt, self._job.fetch.max_retry_after_s)
        if wait is None or wait >= self.exchanges.seconds_left():
            return None
        if response is not None:
            self.exchanges.note(request, None)
            if response.status in (429, 503):
                self._gate.pause(host_of(request.meta["url"]), wait)
        meta = request.meta
        ready = time.monotonic() + wait
        asked = Asked(meta["url"], meta["purpose"], meta["root"], meta["chain"], attempt + 1, ready)
        return self._request_for(asked)

    def _redirected(self, request: Request, response: Response, target: str, offset: int) -> Request | None:
        """The request that follows a redirect, or None where the visit ends with it."""
        meta = request.meta
        chain = (*meta["chain"], meta["url"])
        visit = Visit(meta["root"], meta["url"], status=response.status, offset=offset)
        if target in chain or len(chain) > self._job.fetch.max_redirects:
            reason = "a redirect loop" if target in chain else f"more than {self._job.fetch.max_redirects} redirects"
            self._log.visited(visit.ended("too_many_redirects", reason))
        elif host_of(target) != host_of(meta["url"]):
            # The other host may be another part's: it is asked in the next round, at the same depth.
            self._log.linked(meta["root"], [target], step=0)
            self._log.visited(visit.ended(None, f"redirects to {target}"[:500]))
        elif target in self._known:
            self._log.visited(visit.ended(None, f"redirects to {target}, which is visited by itself"[:500]))
        else:
            self._known.add(target)
            return self._request_for(Asked(target, PAGE, meta["root"], chain))
        return None

    async def _read_page(self, request: Request, response: Response, offset: int) -> Visit:
        """What a final answer says: links to visit next, images seen, or why it cannot be used."""
        root, url, pairs = request.meta["root"], request.meta["url"], header_pairs(response)
        content_type = header(pairs, "content-type")
        visit = Visit(root, url, status=response.status, content_type=content_type, offset=offset)
        if response.status != 200:
            return visit.ended("http_status", str(response.status))
        if not response.body:
            return visit.ended("empty_body", None)
        try:
            body = decode_body(response.body, header(pairs, "content-encoding"), self._job.source.max_page_bytes)
        except CodingError as error:
            return visit.ended("parse_error", str(error))
        if not is_html(content_type, body):
            return visit.ended("unsupported_format", content_type or "no Content-Type, and no HTML")
        async with self._parsing:
            page = await asyncio.to_thread(self._parser.extract, body, url, content_type, pairs)
        if page.canonical is not None and host_of(page.canonical) == host_of(root):
            visit = replace(visit, canonical=page.canonical)
        num_images = page.candidates.num_images
        is_chinese = reads_chinese(page.title, page.candidates.texts())
        signs = CHINESE * is_chinese + IMAGE_RICH * (num_images >= MANY_IMAGES)
        found = (self._log.linked(root, page.links, 1, signs), num_images, is_chinese)
        if page.opt_out is not None:
            return visit.ended("opt_out", page.opt_out, *found)
        return visit.ended("parse_error" if page.error else None, page.error, *found)

    def _read_sitemap(self, request: Request, response: Response) -> Iterator[Request]:
        """Takes the pages that it lists; of an index, the sitemaps that are to be asked for."""
        if response.status != 200:
            return
        try:
            body = decode_body(response.body, header(header_pairs(response), "content-encoding"), MAX_SITEMAP_BYTES)
        except CodingError:
            return
        host, above = host_of(request.meta["url"]), request.meta["chain"]
        urls, is_index = read_sitemap(body, self._sitemaps.num_urls_left(host))
        if is_index:
            for url in self._sitemaps.listed_by_index(urls, host, len(above)):
                yield self._request_for(Asked(url, SITEMAP, chain=(*above, request.meta["url"])))
        else:
            self._sitemaps.took(host, len(urls))
            self._log.listed(host, urls)
