"""What stands before each of Scrapy's requests: archive, blocklist, robots.txt, tdmrep.json, pauses, deadline."""

import asyncio
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

from scrapy import Request
from scrapy.http import Headers, Response

from crawler.blocklist import Blocklist
from crawler.content_coding import CodingError, decode_body
from crawler.crawl.archive import KeptFault
from crawler.crawl.exchanges import PAGE, ROBOTS, Asked, Exchanges
from crawler.crawl.page_fault import PageFault, Refused
from crawler.crawl.reservations import Reservations
from crawler.crawl.throttle import next_delay_s
from crawler.host_memory import HostMemory, Sources
from crawler.robots import MAX_ROBOTS_BYTES, RobotsRules
from crawler.settings import CrawlerSettings, product_token
from crawler.tdmrep import TDMREP_PATH
from crawler.urls import host_of, resolve

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_ROBOTS_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_FIRST_BACKOFF_S = 1.0
_HOST_FAULTS = frozenset({"blocked_address", "dns_error", "connect_error", "tls_error", "blocklisted", "not_attempted"})


class CrawlGate:
    """A downloader middleware. What it will not let through ends as a PageFault in the errback."""

    def __init__(self, crawler: "Crawler") -> None:
        self._crawler = crawler
        self._rules: dict[str, asyncio.Future[RobotsRules]] = {}
        self._paused_until: dict[str, float] = {}
        self._crawl_delays: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._settings: CrawlerSettings = crawler.settings["CURATE_CRAWLER"]
        self._listener: Callable[[str, RobotsRules], None] = lambda origin, rules: None
        self._blocklist = Blocklist.read(self._settings.blocklist)
        self._memory: HostMemory = crawler.settings["CURATE_MEMORY"]
        self._reservations = Reservations(self._memory)

    @classmethod
    def from_crawler(cls, crawler: "Crawler") -> Self:
        return cls(crawler)

    def tell_rules(self, listener: Callable[[str, RobotsRules], None]) -> None:
        """Has the listener hear of each origin's rules as soon as they are there."""
        self._listener = listener

    @property
    def _exchanges(self) -> Exchanges:
        return Exchanges.of(self._crawler)

    async def process_request(self, request: Request) -> Response | None:
        """Answers from an earlier attempt's archive, refuses, waits, or lets through."""
        url = str(request.meta["url"])
        host = host_of(url)
        kept = self._exchanges.archive.kept(url, self._exchanges.most_bytes(request))
        if kept is not None and request.meta["purpose"] == PAGE:
            await self._recall(url)
        if isinstance(kept, KeptFault):
            self._exchanges.num_reused += 1
            request.meta["kept_at"] = kept.offset
            raise Refused(PageFault(kept.reason, kept.detail))
        if kept is not None:
            request.meta["kept_at"] = kept.offset
            return Response(url, status=kept.status, headers=Headers(kept.headers), body=kept.body, request=request)
        self._check_deadline()
        if host in self._blocklist:
            raise Refused(PageFault("blocklisted", host))
        if request.meta["purpose"] != ROBOTS:
            rules = await self.rules_for(url)
            verdict = rules.verdict(url)
            if verdict is not None:
                raise Refused(PageFault(*verdict))
        if request.meta["purpose"] == PAGE:
            reserved = await self._reserved(url)
            if reserved is not None:
                raise Refused(PageFault("opt_out", reserved))
        await self._wait_for_turn(host, request)
        self._check_deadline()
        return None

    async def _recall(self, url: str) -> None:
        """A kept page sends nothing, but what was told before it is passed on to the next round; and its host's
        sitemaps may be what the killed attempt had not come to."""
        archive, origin = self._exchanges.archive, "/".join(url.split("/", 3)[:3])
        if self._exchanges.asks_for_sitemaps or archive.holds(f"{origin}/robots.txt"):
            await self.rules_for(url)
        if archive.holds(f"{origin}{TDMREP_PATH}"):
            await self._reserved(url)

    async def _reserved(self, url: str) -> str | None:
        engine = self._crawler.engine
        assert engine is not None
        return await self._reservations.opt_out(url, self._exchanges, engine.download_async)

    async def rules_for(self, url: str) -> RobotsRules:
        """The rules of the URL's origin, asked for once; others wait for the one who asks."""
        origin = "/".join(url.split("/", 3)[:3])
        known = self._rules.get(origin)
        if known is None:
            known = self._rules[origin] = asyncio.ensure_future(self._ask_robots(origin))
        return await known

    async def _ask_robots(self, origin: str) -> RobotsRules:
        settings = self._crawler.settings
        rules = self._remembered(origin) or RobotsRules.out_of_reach("robots.txt was not asked for")
        if rules.unreachable is not None:
            for attempt in range(settings["CURATE_FETCH"].retries + 1):
                rules, may_heal = await self._fetch_robots(origin, attempt)
                if not may_heal:
                    break
        if rules.crawl_delay:
            host, delay_s = host_of(origin + "/"), min(rules.crawl_delay, self._settings.max_crawl_delay_s)
            self._crawl_delays[host] = max(delay_s, self._crawl_delays.get(host, 0.0))
            self._set_delay(host, max(delay_s, self._delays.get(host, 0.0), self._settings.limits_of(host).delay_s))
        self._listener(origin, rules)
        return rules

    def _remembered(self, origin: str) -> RobotsRules | None:
        """What an earlier round was told, unless it is a day old (RFC 9309, section 2.4)."""
        told = self._memory.recall(host_of(origin + "/")).origins.get(origin)
        agent = product_token(self._crawler.settings["USER_AGENT"])
        return None if told is None else RobotsRules.parse(told.robots, agent)

    def _remember(self, origin: str, at: float, body: bytes) -> None:
        host = host_of(origin + "/")
        note = self._memory.recall(host)
        note.origins[origin] = Sources(at, body)
        self._memory.keep(host, note)

    async def _fetch_robots(self, origin: str, attempt: int) -> tuple[RobotsRules, bool]:
        """One attempt, and whether another may do better. Up to five redirects are followed (RFC 9309, section
        2.3.1.2); beyond those all is allowed."""
        url = f"{origin}/robots.txt"
        engine = self._crawler.engine
        assert engine is not None
        agent = product_token(self._crawler.settings["USER_AGENT"])
        first_pause = time.monotonic() + _FIRST_BACKOFF_S * (2**attempt - 1)
        first_host = host_of(url)
        for _ in range(_ROBOTS_REDIRECTS + 1):
            request = self._exchanges.request_for(Asked(url, ROBOTS, not_before=first_pause if attempt else 0.0))
            try:
                response = await engine.download_async(request)
            except Refused as refusal:
                return _out_of_reach(refusal.fault, host_of(url) == first_host), False
            except PageFault as fault:
                self._exchanges.note(request, fault)
                return _out_of_reach(fault, host_of(url) == first_host), fault.may_heal
            if response.status == 429 or response.status >= 500:
                # Not recorded: a resumed crawl is to ask again.
                self._exchanges.note(request, None)
                return _rules_of(response, agent), True
            self._exchanges.keep(request, response)
            location = location_of(response, url)
            if location is None:
                rules = _rules_of(response, agent)
                at = self._exchanges.answered_at(request)
                if rules.unreachable is None and at is not None:
                    self._remember(origin, at, _body_of(response) if response.status < 300 else b"")
                return rules, False
            url = location
        return RobotsRules(), False

    def process_response(self, request: Request, response: Response) -> Response:
        """Adapts the gap to how long the host took."""
        latency_s = request.meta.get("latency_s")
        ceiling_s = self._settings.slow_down_to_s
        if latency_s is not None and ceiling_s:
            host = host_of(str(request.meta["url"]))
            limits = self._settings.limits_of(host)
            floor_s = max(limits.delay_s, self._crawl_delays.get(host, 0.0))
            is_good = response.status == 200
            delay_s = self._delays.get(host, floor_s)
            delay_s = next_delay_s(delay_s, latency_s, limits.concurrency, floor_s, ceiling_s, is_good)
            if delay_s != self._delays.get(host, floor_s):
                self._set_delay(host, delay_s)
        return response

    def _set_delay(self, host: str, delay_s: float) -> None:
        """The gap between requests to a host, now and for every later slot of it."""
        assert self._crawler.engine is not None
        downloader = self._crawler.engine.downloader
        self._delays[host] = delay_s
        downloader.per_slot_settings.setdefault(host, {})["delay"] = delay_s
        if host in downloader.slots:
            downloader.slots[host].delay = delay_s

    def pause(self, host: str, seconds: float) -> None:
        """Nothing is sent to the host for so long."""
        until = time.monotonic() + seconds
        self._paused_until[host] = max(until, self._paused_until.get(host, 0.0))

    async def _wait_for_turn(self, host: str, request: Request) -> None:
        while True:
            ready = max(self._paused_until.get(host, 0.0), float(request.meta.get("not_before", 0.0)))
            wait = min(ready - time.monotonic(), self._exchanges.seconds_left())
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    def _check_deadline(self) -> None:
        if self._exchanges.seconds_left() <= 0:
            raise Refused(PageFault("not_attempted", "the crawl's time was over"))


def location_of(response: Response, url: str) -> str | None:
    """Where a redirect leads, canonical; None if it is no redirect, or leads nowhere that may be asked."""
    raw = response.headers.get(b"Location")
    if response.status not in _REDIRECTS or raw is None:
        return None
    return resolve(url, raw.decode("utf-8", "replace").strip())


def retry_wait(fault: PageFault | None, response: Response | None, attempt: int, longest_s: float) -> float | None:
    """Seconds to wait before another attempt, or None where none would help."""
    backoff = _FIRST_BACKOFF_S * 2.0**attempt
    if fault is not None:
        return backoff if fault.may_heal else None
    if response is None or not (response.status == 429 or 500 <= response.status < 600):
        return None
    asked = _retry_after(response)
    if asked is None:
        return backoff
    return asked if asked <= longest_s else None


def _out_of_reach(fault: PageFault, is_own_host: bool) -> RobotsRules:
    """Nothing is allowed; where nothing of the host can be had, its pages fall for the cause itself."""
    detail = f"robots.txt: {fault.reason} {fault.detail or ''}".rstrip()[:200]
    if is_own_host and fault.reason in _HOST_FAULTS:
        return RobotsRules.out_of_reach(detail, fault.reason)
    return RobotsRules.out_of_reach(detail)


def _retry_after(response: Response) -> float | None:
    raw = response.headers.get(b"Retry-After")
    value = str(raw.decode("latin-1")).strip() if raw else ""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time()) if value else None
    except (ValueError, OverflowError):
        return None


def _rules_of(response: Response, agent: str) -> RobotsRules:
    try:
        body = _body_of(response)
    except CodingError as error:
        return RobotsRules.out_of_reach(f"robots.txt: {error}")
    return RobotsRules.of_response(response.status, body, agent)


def _body_of(response: Response) -> bytes:
    coding = response.headers.get(b"Content-Encoding")
    return decode_body(response.body, coding.decode("latin-1") if coding else None, 16 * MAX_ROBOTS_BYTES)
