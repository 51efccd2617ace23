"""What the hosts of a crawl reserve of text and data mining: their tdmrep.json, asked for once, before any page."""

import asyncio
from collections.abc import Awaitable, Callable

from scrapy import Request
from scrapy.http import Response

from crawler.content_coding import CodingError, decode_body
from crawler.crawl.exchanges import TDMREP, Asked, Exchanges, header_pairs
from crawler.crawl.page_fault import PageFault, Refused
from crawler.host_memory import HostMemory, Sources
from crawler.tdmrep import MAX_TDMREP_BYTES, TDMREP_PATH, TdmRules
from crawler.urls import host_of
from crawler.warc import header

Download = Callable[[Request], Awaitable[Response]]


class Reservations:
    """By origin. A file that is missing, or does not answer, reserves nothing, as for images."""

    def __init__(self, memory: HostMemory) -> None:
        self._memory = memory
        self._rules: dict[str, asyncio.Future[TdmRules]] = {}

    async def opt_out(self, url: str, exchanges: Exchanges, download: Download) -> str | None:
        """The rule that reserves a canonical URL, as text, or None. One asks for the file, others wait."""
        origin = "/".join(url.split("/", 3)[:3])
        known = self._rules.get(origin)
        if known is None:
            known = self._rules[origin] = asyncio.ensure_future(self._ask(origin, exchanges, download))
        return (await known).opt_out(url)

    async def _ask(self, origin: str, exchanges: Exchanges, download: Download) -> TdmRules:
        seen = self._memory.recall(host_of(f"{origin}/")).origins.get(origin)
        if seen is not None and seen.tdmrep is not None:
            return TdmRules.parse(seen.tdmrep)
        request = exchanges.request_for(Asked(f"{origin}{TDMREP_PATH}", TDMREP))
        try:
            response = await download(request)
        except Refused:
            return TdmRules()
        except PageFault as fault:
            exchanges.note(request, fault)
            return TdmRules()
        exchanges.keep(request, response)
        body = _body_of(response) if response.status == 200 else b""
        if response.status != 429 and response.status < 500:
            self._remember(origin, body)
        return TdmRules.parse(body)

    def _remember(self, origin: str, body: bytes) -> None:
        """Beside the robots.txt that was asked for at the same time, if that is remembered."""
        host = host_of(f"{origin}/")
        note = self._memory.recall(host)
        seen = note.origins.get(origin)
        if seen is not None:
            note.origins[origin] = Sources(seen.at, seen.robots, body, seen.ai_txt)
            self._memory.keep(host, note)


def _body_of(response: Response) -> bytes:
    try:
        return decode_body(response.body, header(header_pairs(response), "content-encoding"), MAX_TDMREP_BYTES)
    except CodingError:
        return b""
