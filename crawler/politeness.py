"""How gently each host is treated: requests in flight, the gap between their starts, and when to leave it alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from crawler.settings import CrawlerSettings, FetchSettings

FOREIGN_CONCURRENCY = 1
"""Requests in flight to a host of another lane, met by a redirect. Its rate is 1/lanes of the host's own."""

_Fault = tuple[str, str | None]


@dataclass
class _Host:
    slots: asyncio.Semaphore
    delay_s: float
    next_start: float
    is_foreign: bool
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    failures: int = 0
    given_up: _Fault | None = None


class Politeness:
    """Turns at the hosts of one part. Hosts wait for themselves alone: a slow one never holds up the others."""

    def __init__(
        self,
        crawler: CrawlerSettings,
        fetch: FetchSettings,
        own_hosts: frozenset[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._crawler = crawler
        self._own_hosts = own_hosts
        self._clock = clock
        self._give_up_after = fetch.give_up_after
        self._hosts: dict[str, _Host] = {}
        self._in_flight = asyncio.Semaphore(fetch.max_in_flight)
        # The part of this lane before ours may have ended with a request to any of these hosts.
        self._started = clock()
        self.has_room = asyncio.Event()  # cleared while too many bytes wait for the decoder
        self.has_room.set()

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """One request to a host: waits for a slot, for the gap, for room; holds slot and room until it is left."""
        state = self._state(host)
        async with state.slots:
            async with state.gate:
                await self._wait_for_gap(state)
                await self.has_room.wait()
                await self._in_flight.acquire()
                state.next_start = max(state.next_start, self._clock() + state.delay_s)
            try:
                yield
            finally:
                self._in_flight.release()

    def slow_down(self, host: str, seconds: float) -> None:
        """No request to this host starts for so long: it said Retry-After, or it failed."""
        state = self._state(host)
        state.next_start = max(state.next_start, self._clock() + seconds)

    def obey_crawl_delay(self, host: str, seconds: float) -> None:
        """A robots.txt asked for a gap: it counts up to `max_crawl_delay_s`, and only where it is longer than ours."""
        state = self._state(host)
        wanted = min(seconds, self._crawler.max_crawl_delay_s)
        if state.is_foreign:
            wanted *= self._crawler.lanes
        if wanted > state.delay_s:
            state.next_start += wanted - state.delay_s
            state.delay_s = wanted

    def note_answer(self, host: str) -> None:
        self._state(host).failures = 0

    def note_failure(self, host: str, reason: str, detail: str | None) -> None:
        """Counts a request that got no answer; after `give_up_after` in a row the host is left alone."""
        state = self._state(host)
        state.failures += 1
        if state.failures >= self._give_up_after:
            self.give_up(host, reason, f"host left alone after {state.failures} failures: {detail or reason}")

    def give_up(self, host: str, reason: str, detail: str) -> None:
        state = self._state(host)
        state.given_up = state.given_up or (reason, detail)

    def given_up(self, host: str) -> _Fault | None:
        """Why a host is left alone, or None."""
        state = self._hosts.get(host)
        return None if state is None else state.given_up

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = self._new_state(host)
        return state

    def _new_state(self, host: str) -> _Host:
        limits = self._crawler.limits_of(host)
        if host in self._own_hosts:
            first = self._started + limits.delay_s
            return _Host(asyncio.Semaphore(limits.concurrency), limits.delay_s, first, is_foreign=False)
        delay_s = limits.delay_s * self._crawler.lanes
        return _Host(asyncio.Semaphore(FOREIGN_CONCURRENCY), delay_s, self._started + delay_s, is_foreign=True)

    async def _wait_for_gap(self, state: _Host) -> None:
        while (wait := state.next_start - self._clock()) > 0:
            await asyncio.sleep(wait)
