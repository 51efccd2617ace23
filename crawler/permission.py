"""Whether a URL may be fetched at all: the blocklist, and the robots.txt of its own host, asked once a part."""

import asyncio
from urllib.parse import urlsplit

from crawler.blocklist import Blocklist
from crawler.faults import Fault
from crawler.fetch import Fetcher, Response
from crawler.politeness import Politeness
from crawler.robots import MAX_ROBOTS_BYTES, RobotsRules
from crawler.urls import host_of

# Nothing of such a host can be had, so its images fall for the cause itself and not for robots.txt.
_HOST_FAULTS = frozenset({"blocked_address", "dns_error", "connect_error", "tls_error", "blocklisted"})


class Permission:
    """Asks robots.txt of each origin once, through the same guarded fetch as everything else."""

    def __init__(self, fetcher: Fetcher, politeness: Politeness, blocklist: Blocklist, agent: str) -> None:
        self._fetcher = fetcher
        self._politeness = politeness
        self._blocklist = blocklist
        self._agent = agent
        self._rules: dict[str, asyncio.Task[RobotsRules]] = {}

    async def refusal(self, url: str) -> Fault | None:
        """Why a canonical URL may not be fetched, or None."""
        refused = await self._host_refusal(url)
        if refused is not None:
            return refused
        verdict = (await self.rules_of(url)).verdict(url)
        return None if verdict is None else Fault(*verdict)

    async def rules_of(self, url: str) -> RobotsRules:
        """The rules of a URL's origin (scheme, host and port: RFC 9309, section 2.3)."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if origin not in self._rules:
            self._rules[origin] = asyncio.create_task(self._load(origin))
        return await asyncio.shield(self._rules[origin])

    async def close(self) -> None:
        """Ends what is still being asked."""
        for task in self._rules.values():
            task.cancel()
        await asyncio.gather(*self._rules.values(), return_exceptions=True)

    async def _load(self, origin: str) -> RobotsRules:
        response = await self._fetcher.get(
            f"{origin}/robots.txt", self._host_refusal, max_bytes=MAX_ROBOTS_BYTES, cut=True
        )
        rules = _rules_of_response(response, self._agent)
        if rules.crawl_delay is not None:
            self._politeness.obey_crawl_delay(host_of(f"{origin}/"), rules.crawl_delay)
        return rules

    async def _host_refusal(self, url: str) -> Fault | None:
        host = host_of(url)
        if host in self._blocklist:
            return Fault("blocklisted", host)
        given_up = self._politeness.given_up(host)
        return None if given_up is None else Fault(*given_up)


def _rules_of_response(response: Response, agent: str) -> RobotsRules:
    """RFC 9309, section 2.3.1: what each end of a robots.txt request means."""
    fault = response.fault
    if fault is None:
        return RobotsRules.parse(response.body, agent)
    if fault.reason == "http_status" and response.status is not None:
        return RobotsRules.of_response(response.status, b"", agent)
    if fault.reason == "too_many_redirects":  # section 2.3.1.2: taken as unavailable, like a 404
        return RobotsRules()
    detail = f"robots.txt: {fault.reason} {fault.detail or ''}".rstrip()
    if fault.reason in _HOST_FAULTS and host_of(response.final_url) == host_of(response.url):
        return RobotsRules.out_of_reach(detail, fault.reason)
    return RobotsRules.out_of_reach(detail)
