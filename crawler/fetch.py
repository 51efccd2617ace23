"""The one way to the network: a guarded, bounded, polite GET over aiohttp, with redirects followed by hand."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
import yarl

from crawler.body import DRAINED_BYTES, BodyReader, Bound, Progress, TooLargeError, drain
from crawler.connection import FewIdleConnections, bound_session, departure
from crawler.faults import FETCH_ERRORS, Fault, fault_of
from crawler.fetch_report import FetchTally
from crawler.guard import AddressGuard
from crawler.outage import OutageWatch
from crawler.politeness import LEAD_S, Politeness
from crawler.resolver import RememberingResolver
from crawler.settings import FetchSettings, NetworkSettings
from crawler.tls import tls_context
from crawler.urls import canonical_url, host_of, resolve

Permit = Callable[[str], Awaitable[Fault | None]]
"""Asked before each hop: why a URL may not be fetched (robots.txt, a blocklist), or None."""

_ACCEPT = "image/jpeg,image/png,image/webp,image/gif;q=0.9,*/*;q=0.1"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What counts towards leaving a host alone, besides its silence: a body that drips is a timeout.
_HOST_FAILURES = frozenset({"timeout", "tls_error", "dns_error"})
_HEALING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_READ_BUFFER_BYTES = 32 * 1024
_LEAST_WIRE_BYTES = 512 * 1024  # a robots.txt is read that far, whatever an image's bound is
_DNS_CACHE_HOSTS = 4_096
_DNS_CACHE_S = 300
_KEEP_ALIVE_S = 10
_IDLE_ORIGINS = 4
"""Origins with idle connections, for each request that may be in flight: those of hosts at work, and as many again."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a GET came to: a body (after content decoding) where `fault` is None, or a 304 that was asked for."""

    url: str
    final_url: str
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fault: Fault | None = None

    def header(self, name: str) -> str | None:
        """The first value of a header, named in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class Fetcher:
    """A session without cookies, credentials or proxies; every connect passes the address guard."""

    def __init__(
        self,
        network: NetworkSettings,
        limits: FetchSettings,
        user_agent: str,
        politeness: Politeness,
        outage: OutageWatch,
        tally: FetchTally | None = None,
    ) -> None:
        self._network = network
        self._limits = limits
        self._user_agent = user_agent
        self._politeness = politeness
        self._outage = outage
        self._tally = tally or FetchTally()
        self._bodies = BodyReader(limits)

    async def __aenter__(self) -> Self:
        guard = AddressGuard(self._network)
        self._resolver = RememberingResolver(self._network.dns_servers)
        connector = FewIdleConnections(
            _IDLE_ORIGINS * self._limits.max_in_flight,
            limit=0,  # Politeness bounds what is in flight
            socket_factory=guard.open_socket,
            resolver=self._resolver,
            ttl_dns_cache=_DNS_CACHE_S,
            keepalive_timeout=_KEEP_ALIVE_S,
            dns_cache_max_size=_DNS_CACHE_HOSTS,
            ssl=tls_context(self._network.ca_file),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
            headers={"User-Agent": self._user_agent, "Accept": _ACCEPT, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._limits.connect_timeout_s, sock_connect=self._limits.connect_timeout_s
            ),
        )
        bound_session(self._session, max(self._limits.max_bytes, _LEAST_WIRE_BYTES))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._resolver.close()

    async def get(
        self,
        url: str,
        permit: Permit,
        max_bytes: int | None = None,
        cut: bool = False,
        *,
        retries: int | None = None,
        conditions: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Fetches a canonical URL, again where that may help. With `cut`, a longer body is cut at `max_bytes`.

        `conditions` are the headers of a conditional request: with them, and only then, 304 is no fault. `headers` go
        to the URL's own origin alone: a redirect elsewhere carries none of them.
        """
        bound = Bound(self._limits.max_bytes if max_bytes is None else max_bytes, cut, conditions, headers)
        most = self._limits.retries if retries is None else retries
        attempt = 0
        while True:
            response = await self._follow(url, permit, bound)
            fault = response.fault
            if fault is None or not fault.may_heal:
                return response
            asked = _retry_after(response.header("retry-after"))
            if asked is not None and asked > self._limits.max_retry_after_s:
                return self._leave_alone(response, fault, asked)
            host = host_of(response.final_url)
            if attempt >= most or self._politeness.given_up(host) is not None:
                return response
            # Jitter keeps the hosts behind one broken front end from being asked in step.
            wait = self._limits.backoff_s * 2**attempt * random.uniform(1.0, 1.5)
            self._politeness.slow_down(host, max(wait, asked or 0.0))
            attempt += 1

    async def answers(self, url: str) -> bool:
        """Whether anything at all answers there: one request, sent also while the network counts as gone."""
        async with self._politeness.turn(host_of(url), is_probe=True) as turn:
            departure.set(turn)
            response = await self._request(url, url, Bound(DRAINED_BYTES, True), self._limits.total_timeout_s)
        return response.fault is None or not response.fault.no_contact

    def _leave_alone(self, response: Response, fault: Fault, asked: float) -> Response:
        """The host asked for more patience than we have: it gets no further request in this part."""
        detail = f"{fault.detail}, Retry-After {asked:.0f} s"
        self._politeness.give_up(host_of(response.final_url), fault.reason, detail, asked)
        return replace(response, fault=Fault(fault.reason, detail))

    async def _follow(self, url: str, permit: Permit, bound: Bound) -> Response:
        current, seconds_left = url, self._limits.total_timeout_s
        for _ in range(self._limits.max_redirects + 1):
            host = host_of(current)
            refusal = await permit(current)
            if refusal is not None:
                return Response(url, current, fault=refusal)
            async with self._politeness.turn(host, LEAD_S) as turn:
                started = time.monotonic()
                departure.set(turn)
                response = await self._request(url, current, bound, seconds_left)
                seconds_left -= time.monotonic() - started
            self._note(host, response)
            if response.status not in _REDIRECTS or (response.fault and response.fault.reason != "http_status"):
                return response
            location = response.header("location")
            if location is None:
                return response
            target = resolve(current, _as_sent(location))
            if target is None:
                return replace(response, fault=_bad_target(_as_sent(location)))
            current = target
        return replace(response, fault=Fault("too_many_redirects", f"more than {self._limits.max_redirects}"))

    def _note(self, host: str, response: Response) -> None:
        fault = response.fault
        no_contact = fault is not None and fault.no_contact
        self._outage.note(host, connected=not no_contact)
        if fault is None or fault.reason == "http_status":
            self._politeness.note_answer(host)
        elif fault.no_contact or fault.reason in _HOST_FAILURES:
            self._politeness.note_failure(host, fault.reason, fault.detail)

    async def _request(self, url: str, current: str, bound: Bound, seconds: float) -> Response:
        """One request, whatever comes of it. The deadline covers connect, headers and body."""
        progress = Progress()
        self._tally.requests += 1
        try:
            async with asyncio.timeout(max(0.0, seconds)) as deadline:
                async with self._session.get(
                    _target(current), allow_redirects=False, headers=_sent(bound, url, current)
                ) as answer:
                    return await self._answer(answer, Response(url, current), bound, deadline, progress)
        except TooLargeError as error:
            fault = Fault("too_large", str(error))
        except FETCH_ERRORS as error:
            fault = fault_of(error, in_body=progress.status is not None)
        finally:
            self._tally.bytes += progress.received
            self._bodies.let_go(progress)
        return Response(url, current, progress.status, progress.headers, fault=fault)

    async def _answer(
        self,
        answer: aiohttp.ClientResponse,
        asked: Response,
        bound: Bound,
        deadline: asyncio.Timeout,
        progress: Progress,
    ) -> Response:
        """Only 200 counts, and 304 where it was asked for: an error's body may be a fine image of the wrong thing."""
        status = progress.status = answer.status
        headers = progress.headers = tuple(answer.headers.items())
        body, fault = b"", None
        if status == 200:
            body = await self._bodies.read(answer, bound, deadline, progress)
            fault = None if body or bound.cut else Fault("empty_body")
        elif status != 304 or not bound.conditions:
            await drain(answer)
            fault = Fault("http_status", str(status), may_heal=status in _HEALING_STATUSES)
        return Response(asked.url, asked.final_url, status, headers, body, fault)


def _sent(bound: Bound, url: str, current: str) -> Mapping[str, str] | None:
    """The headers of one hop. What the caller gave for `url` may be a secret, and stays with its origin."""
    if not bound.headers or url.split("/", 3)[:3] != current.split("/", 3)[:3]:
        return bound.conditions
    return {**bound.headers, **(bound.conditions or {})}


def _target(url: str) -> yarl.URL:
    """What is requested: no credentials are ever sent, not even those that a URL carries."""
    bare = url
    if "@" in url:
        scheme, _, rest = url.partition("//")
        authority, slash, path = rest.partition("/")
        bare = f"{scheme}//{authority.rpartition('@')[2]}{slash}{path}"
    try:
        return yarl.URL(bare, encoded=True)
    except ValueError as error:
        raise aiohttp.InvalidURL(url, str(error)) from None


def _as_sent(location: str) -> str:
    """Header octets are UTF-8 where they are valid; aiohttp hands over the rest as lone surrogates."""
    return location.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _bad_target(location: str) -> Fault:
    scheme = location.partition(":")[0].strip().lower()
    if ":" in location and scheme.isalnum() and scheme not in ("http", "https") and canonical_url(location) is None:
        return Fault("blocked_scheme", f"redirect to {scheme[:40]}:")
    return Fault("bad_url", f"redirect to {location[:150]!r}")


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After (RFC 9110, section 10.2.3), which may be a date; None where there is none."""
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        return max(0.0, parsedate_to_datetime(value[:64]).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
