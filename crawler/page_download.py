"""Scrapy's way to the network: one bounded, guarded request over aiohttp, with no redirects, cookies or proxies."""

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
import yarl
from scrapy import Request
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.http import Headers, Response

from crawler.faults import FETCH_ERRORS, fault_of
from crawler.guard import AddressGuard
from crawler.resolver import RememberingResolver
from crawler.robots import MAX_ROBOTS_BYTES
from crawler.settings import FetchSettings, NetworkSettings
from crawler.sitemap import MAX_SITEMAP_BYTES
from crawler.warc import is_html

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

    from crawler.part_spider import PartSpider

_STEP = 1 << 16
_GRACE_S = 5.0
"""Seconds before a body's mean rate is judged."""
_DNS_CACHE_S = 300
PAGE, ROBOTS, SITEMAP = "page", "robots", "sitemap"
"""What a request is for: `meta["purpose"]`."""


class PageFault(Exception):
    """What the web did to one request: a drop reason and more about it, and whether another attempt may help."""

    def __init__(self, reason: str, detail: str | None, may_heal: bool = False, no_contact: bool = False) -> None:
        super().__init__(f"{reason}: {detail or ''}")
        self.reason = reason
        self.detail = detail
        self.may_heal = may_heal
        self.no_contact = no_contact


class GuardedHandler(BaseDownloadHandler):
    """Downloads `meta["url"]`, byte for byte as it stands; raises PageFault for whatever goes wrong."""

    lazy = True

    def __init__(self, crawler: "Crawler") -> None:
        super().__init__(crawler)
        # Settings that Scrapy does not know are passed as objects of ours, under one name.
        self._fetch: FetchSettings = crawler.settings["CURATE_FETCH"]
        network: NetworkSettings = crawler.settings["CURATE_NETWORK"]
        self._max_page_bytes: int = crawler.settings.getint("DOWNLOAD_MAXSIZE")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                socket_factory=AddressGuard(network).open_socket,
                resolver=RememberingResolver(network.dns_servers),
                limit=0,
                ttl_dns_cache=_DNS_CACHE_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def download_request(self, request: Request) -> Response:
        meta = request.meta
        meta["in_body"] = False
        spider = self._spider
        if spider.seconds_left() <= 0:
            raise PageFault("not_attempted", "the crawl's time was over")
        spider.num_in_flight += 1
        try:
            async with asyncio.timeout(self._fetch.total_timeout_s):
                return await self._exchange(request)
        except FETCH_ERRORS as error:
            fault = fault_of(error, meta["in_body"])
            raise PageFault(fault.reason, fault.detail, fault.may_heal, fault.no_contact) from error
        except ValueError as error:  # yarl on a host that it will not send
            raise PageFault("bad_url", str(error)[:200]) from error
        finally:
            spider.num_in_flight -= 1

    @property
    def _spider(self) -> "PartSpider":
        spider = self.crawler.spider
        assert spider is not None
        return spider  # type: ignore[return-value]  # the only spider that this handler serves

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(self, request: Request) -> Response:
        url = str(request.meta["url"])
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._fetch.connect_timeout_s)
        headers = {name.decode("latin-1"): values[-1].decode("latin-1") for name, values in request.headers.items()}
        async with self._session.get(
            yarl.URL(url, encoded=True), headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            request.meta["in_body"] = True
            peer = _peer_of(response)
            body = await self._body(response, str(request.meta["purpose"]))
            return Response(
                url,
                status=response.status,
                headers=Headers([(k.decode("latin-1"), v.decode("latin-1")) for k, v in response.raw_headers]),
                body=body,
                protocol=f"{response.status} {response.reason or ''}".strip(),
                request=request,
                flags=[f"peer {peer}"] if peer else [],
            )

    async def _body(self, response: aiohttp.ClientResponse, purpose: str) -> bytes:
        """The body as on the wire, within its bounds; empty where nobody will want it."""
        limit = self._max_page_bytes
        if purpose == PAGE:
            declared = response.headers.get("Content-Type")
            if response.status == 200 and declared and not is_html(declared, b""):
                raise PageFault("unsupported_format", declared[:100])
        else:
            limit = MAX_ROBOTS_BYTES if purpose == ROBOTS else MAX_SITEMAP_BYTES
        if purpose != ROBOTS and (response.content_length or 0) > limit:
            raise PageFault("too_large", f"{response.content_length} bytes announced")
        return await self._bounded(response, limit, is_cut=purpose == ROBOTS)

    async def _bounded(self, response: aiohttp.ClientResponse, limit: int, is_cut: bool) -> bytes:
        body = bytearray()
        start = time.monotonic()
        while True:
            # A read that waits is judged too: the mean rate falls while nothing comes.
            async with asyncio.timeout(self._patience(len(body), start)):
                piece = await response.content.read(_STEP)
            if not piece:
                return bytes(body)
            body += piece
            if len(body) > limit:
                if not is_cut:
                    raise PageFault("too_large", f"more than {limit} bytes")
                response.close()
                return bytes(body[:limit])

    def _patience(self, num_bytes: int, start: float) -> float | None:
        """Seconds until the mean rate falls below the least that is allowed."""
        if not self._fetch.min_bytes_per_s:
            return None
        allowed = max(_GRACE_S, num_bytes / self._fetch.min_bytes_per_s)
        return max(0.0, start + allowed - time.monotonic())


def _peer_of(response: aiohttp.ClientResponse) -> str | None:
    """The address that answered; None where the whole body came with the headers and the connection is free again."""
    connection = response.connection
    if connection is None or connection.transport is None:
        return None
    peer = connection.transport.get_extra_info("peername")
    return str(peer[0]) if peer else None
