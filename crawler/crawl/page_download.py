"""Scrapy's way to the network: one bounded, guarded request over aiohttp, with no redirects, cookies or proxies."""

import asyncio
import time
from typing import TYPE_CHECKING

import aiohttp
import yarl
from scrapy import Request
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.http import Headers, Response

from crawler.crawl.exchanges import PAGE, ROBOTS, SITEMAP, TDMREP, Exchanges
from crawler.crawl.page_fault import PageFault
from crawler.crawl.sitemap import MAX_SITEMAP_BYTES
from crawler.faults import FETCH_ERRORS, fault_of
from crawler.guard import AddressGuard
from crawler.resolver import RememberingResolver
from crawler.robots import MAX_ROBOTS_BYTES
from crawler.settings import FetchSettings, NetworkSettings
from crawler.tdmrep import MAX_TDMREP_BYTES
from crawler.warc import is_html

if TYPE_CHECKING:
    from scrapy.crawler import Crawler

_MOST_BYTES = {ROBOTS: MAX_ROBOTS_BYTES, SITEMAP: MAX_SITEMAP_BYTES, TDMREP: MAX_TDMREP_BYTES}
_STEP = 1 << 16
_GRACE_S = 5.0
"""Seconds before a body's mean rate is judged."""
_DNS_CACHE_S = 300


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
        exchanges = Exchanges.of(self.crawler)
        if exchanges.seconds_left() <= 0:
            raise PageFault("not_attempted", "the crawl's time was over")
        exchanges.num_in_flight += 1
        try:
            async with asyncio.timeout(self._fetch.total_timeout_s):
                return await self._exchange(request)
        except PageFault as known:
            known.beginning = _beginning(request)
            raise
        except FETCH_ERRORS as error:
            told = fault_of(error, meta["in_body"])
            was_sent = not isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            fault = PageFault(told.reason, told.detail, told.may_heal, told.no_contact, was_sent)
            fault.beginning = _beginning(request)
            raise fault from error
        except ValueError as error:  # yarl on a host that it will not send
            raise PageFault("bad_url", str(error)[:200]) from error
        finally:
            exchanges.num_in_flight -= 1

    async def close(self) -> None:
        await self._session.close()

    async def _exchange(self, request: Request) -> Response:
        url = str(request.meta["url"])
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._fetch.connect_timeout_s)
        start = time.monotonic()
        headers = {name.decode("latin-1"): values[-1].decode("latin-1") for name, values in request.headers.items()}
        async with self._session.get(
            yarl.URL(url, encoded=True), headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            request.meta["in_body"] = True
            request.meta["latency_s"] = time.monotonic() - start
            peer = _peer_of(response)
            body = bytearray()
            request.meta["came"] = (response, body, peer)  # in case the rest does not come
            is_cut = await self._read_body(response, str(request.meta["purpose"]), body)
            return _answer(request, response, bytes(body), peer, is_cut)

    async def _read_body(self, response: aiohttp.ClientResponse, purpose: str, body: bytearray) -> bool:
        """Puts the body into `body` as it is on the wire, within its bounds; whether it was cut there."""
        limit = self._max_page_bytes
        if purpose == PAGE:
            declared = response.headers.get("Content-Type")
            if response.status == 200 and declared and not is_html(declared, b""):
                raise PageFault("unsupported_format", declared[:100])
        else:
            limit = _MOST_BYTES[purpose]
        if purpose != ROBOTS and (response.content_length or 0) > limit:
            raise PageFault("too_large", f"{response.content_length} bytes announced")
        return await self._read_bounded(response, limit, purpose == ROBOTS, body)

    async def _read_bounded(self, response: aiohttp.ClientResponse, limit: int, may_cut: bool, body: bytearray) -> bool:
        start = time.monotonic()
        while True:
            # A read that waits is judged too: the mean rate falls while nothing comes.
            async with asyncio.timeout(self._patience(len(body), start)):
                piece = await response.content.read(_STEP)
            if not piece:
                return False
            body += piece
            if len(body) > limit:
                del body[limit:]
                if not may_cut:
                    raise PageFault("too_large", f"more than {limit} bytes", was_sent=True)
                response.close()
                return True

    def _patience(self, num_bytes: int, start: float) -> float | None:
        """Seconds until the mean rate falls below the least that is allowed."""
        if not self._fetch.min_bytes_per_s:
            return None
        allowed = max(_GRACE_S, num_bytes / self._fetch.min_bytes_per_s)
        return max(0.0, start + allowed - time.monotonic())


def _answer(
    request: Request, response: aiohttp.ClientResponse, body: bytes, peer: str | None, is_cut: bool = False
) -> Response:
    request.meta.pop("came", None)
    return Response(
        str(request.meta["url"]),
        status=response.status,
        headers=Headers([(k.decode("latin-1"), v.decode("latin-1")) for k, v in response.raw_headers]),
        body=body,
        protocol=f"{response.status} {response.reason or ''}".strip(),
        request=request,
        flags=[*([f"peer {peer}"] if peer else []), *(["truncated length"] if is_cut else [])],
    )


def _beginning(request: Request) -> Response | None:
    """What came of an answer that has no end; None where it is nothing of a body."""
    response, body, peer = request.meta.pop("came", (None, b"", None))
    return _answer(request, response, bytes(body), peer) if body else None


def _peer_of(response: aiohttp.ClientResponse) -> str | None:
    """The address that answered; None where the whole body came with the headers and the connection is free again."""
    connection = response.connection
    if connection is None or connection.transport is None:
        return None
    peer = connection.transport.get_extra_info("peername")
    return str(peer[0]) if peer else None
