"""How gently each host is treated: requests in flight, the gap between their starts, and when to leave it alone."""

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from crawler.breaker import Breaker, BreakerLimits, Cause
from crawler.host_memory import HostMemory, HostNote
from crawler.settings import CrawlerSettings, FetchSettings

FOREIGN_CONCURRENCY = 1
"""Requests in flight to a host of another lane, met by a redirect. Its rate is 1/lanes of the host's own."""

MAX_HOSTS = 4_096
"""Hosts whose state is at hand, idle ones included; of others there is a note in the memory of hosts."""

REST_S = 1.0
"""A host with a longer gap than this before it rests: others may take its place meanwhile."""

LEAD_S = 0.005
"""How long before its moment a request is made ready: that takes a millisecond or two, which each gap would grow by."""

_LOOKED_AT = 8
"""Hosts that may have to stay, looked at before a new one comes in beyond MAX_HOSTS."""


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    delay_s: float
    next_start: float
    is_foreign: bool
    breaker: Breaker
    crawl_delay_s: float | None = None
    num_turns: int = 0  # taken or waited for
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)


class Turn:
    """One request's turn at a host. Until its request is sent it keeps the host's gate."""

    def __init__(self, host: _Host, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
        self._host, self._clock, self._sleep = host, clock, sleep
        self._due_at: float | None = None
        self._has_gate = True

    def grant(self) -> None:
        """The request may get ready."""
        self._due_at = self._host.next_start

    async def due(self) -> None:
        """Waits for the gap's last moments. What the host asks for in these comes too late for this request."""
        assert self._due_at is not None
        while (wait := self._due_at - self._clock()) > 0:
            await self._sleep(wait)

    def sent(self) -> None:
        """The gap to the next request counts from here, and from here again where the request had to be sent twice."""
        if self._due_at is not None:
            self._host.next_start = max(self._host.next_start, self._clock() + self._host.delay_s)
        if self._has_gate:
            self._has_gate = False
            self._host.gate.release()

    def end(self) -> None:
        """A request that never went counts as sent now."""
        if self._has_gate:
            self.sent()


class Politeness:
    """Turns at the hosts of one part. Hosts wait for themselves alone: a slow one never holds up the others."""

    def __init__(
        self,
        crawler: CrawlerSettings,
        fetch: FetchSettings,
        own_hosts: Container[str],
        clock: Callable[[], float] = time.monotonic,
        num_lanes: int | None = None,
        memory: HostMemory | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._crawler = crawler
        self._own_hosts = own_hosts
        self._clock = clock
        self._num_lanes = crawler.lanes if num_lanes is None else num_lanes
        self._memory = memory or HostMemory(None, "")
        self._limits = BreakerLimits(fetch.give_up_after, fetch.breaker_reopen_s, fetch.breaker_reopenings)
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._in_flight = asyncio.Semaphore(fetch.max_in_flight)
        # The part of this lane before ours may have ended with a request to any of these hosts.
        self._started = clock()
        self.has_room = asyncio.Event()  # cleared while too many bytes wait for the decoder
        self.has_room.set()
        self.has_network = asyncio.Event()  # cleared while the whole network is gone
        self.has_network.set()
        self.num_resting = 0  # hosts whose next request waits for more than REST_S
        self.on_rest: Callable[[], None] = _nobody_cares

    @asynccontextmanager
    async def turn(self, host: str, lead_s: float = 0.0, is_probe: bool = False) -> AsyncIterator[Turn]:
        """One request to a host: waits for a slot, for the gap, for room; holds slot and room until it is left.

        The turn comes `lead_s` before the gap is over: `Turn.due` waits for the rest of it. `Turn.sent` is to be called
        when the request has gone out: the gap counts from there, however long it took to connect, and nobody else
        connects to the host meanwhile. A probe goes while the network is gone, to see if it is back.
        """
        if not is_probe and not self.has_network.is_set():
            await self.has_network.wait()  # before it takes a slot, which a probe may need
        state = self._state(host)
        state.num_turns += 1
        try:
            async with state.slots:
                await state.gate.acquire()
                turn = Turn(state, self._clock, self._sleep)
                try:
                    await self._wait_for_start(state, lead_s)
                    turn.grant()
                    try:
                        yield turn
                    finally:
                        self._in_flight.release()
                finally:
                    turn.end()
        finally:
            state.num_turns -= 1

    def slow_down(self, host: str, seconds: float) -> None:
        """No request to this host starts for so long: it said Retry-After, or it failed."""
        state = self._state(host)
        state.next_start = max(state.next_start, self._clock() + seconds)

    def obey_crawl_delay(self, host: str, seconds: float) -> None:
        """A robots.txt asked for a gap: it counts up to `max_crawl_delay_s`, and only where it is longer than ours."""
        state = self._state(host)
        state.crawl_delay_s = max(seconds, state.crawl_delay_s or 0.0)
        wanted = min(seconds, self._crawler.max_crawl_delay_s)
        if state.is_foreign:
            wanted *= self._num_lanes
        if wanted > state.delay_s:
            state.next_start += wanted - state.delay_s
            state.delay_s = wanted

    def note_answer(self, host: str) -> None:
        self._state(host).breaker.note_answer()

    def note_failure(self, host: str, reason: str, detail: str | None) -> None:
        """Counts a request that got no answer; after `give_up_after` in a row the host is left alone for a while."""
        self._state(host).breaker.note_failure(self._clock(), reason, detail)

    def leave_alone(self, host: str, reason: str, detail: str | None) -> None:
        """Nothing of the host can be had for now: tries it again after a cool-down."""
        self._state(host).breaker.open(self._clock(), reason, detail)

    def give_up(self, host: str, reason: str, detail: str, seconds: float = 0.0) -> None:
        """The host gets no further request in this part, nor for so many seconds."""
        self._state(host).breaker.give_up(self._clock() + seconds, reason, detail)

    def given_up(self, host: str) -> Cause | None:
        """Why a host is left alone for now, or None. Asked when its cool-down is over, the asker is its probe."""
        state = self._hosts.get(host)
        if state is None or state.breaker.is_closed:
            return None
        if state.breaker.wait(self._clock()) <= 0:
            state.breaker.begin_probe()
        return state.breaker.verdict

    def breaker(self, host: str) -> Breaker:
        return self._state(host).breaker

    def forget_failures(self) -> None:
        """The network was gone: what failed meanwhile says nothing about a host."""
        for state in self._hosts.values():
            if not state.breaker.is_final or state.breaker.num_openings:
                state.breaker.note_answer()

    def remember(self) -> None:
        """Writes down what was learned of each host, for the lane's next part."""
        for host, state in self._hosts.items():
            self._note_down(host, state)

    def forget_watcher(self) -> None:
        """Nobody is told of resting hosts any more: whoever was is free to go, with all that it holds."""
        self.on_rest = _nobody_cares

    def let_go(self, host: str) -> None:
        """Nothing more is wanted of a host for now: its gap and its delay are written down, and its state goes."""
        state = self._hosts.get(host)
        if state is not None and _may_go(state):
            self._note_down(host, state)
            del self._hosts[host]

    def _state(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            if len(self._hosts) >= MAX_HOSTS:
                self._let_oldest_go()
            state = self._hosts[host] = self._new_state(host)
        return state

    def _new_state(self, host: str) -> _Host:
        limits = self._crawler.limits_of(host)
        is_foreign = host not in self._own_hosts
        delay_s = limits.delay_s * (self._num_lanes if is_foreign else 1)
        slots = asyncio.Semaphore(FOREIGN_CONCURRENCY if is_foreign else limits.concurrency)
        state = _Host(slots, delay_s, self._started + delay_s, is_foreign, Breaker(self._limits))
        self._recall(state, self._memory.recall(host))
        return state

    def _recall(self, state: _Host, note: HostNote) -> None:
        now, wall = self._clock(), time.time()
        state.next_start = max(state.next_start, now + note.next_start - wall)
        if note.crawl_delay_s is not None:
            wanted = min(note.crawl_delay_s, self._crawler.max_crawl_delay_s)
            state.delay_s = max(state.delay_s, wanted * (self._num_lanes if state.is_foreign else 1))
            state.next_start = max(state.next_start, self._started + state.delay_s)
        if note.open_until is not None:
            state.breaker.open_until = now + note.open_until - wall
            state.breaker.num_openings = min(note.num_openings, self._limits.reopenings)
            state.breaker.cause = note.cause

    def _note_down(self, host: str, state: _Host) -> None:
        now, wall = self._clock(), time.time()
        note = self._memory.recall(host)
        breaker = state.breaker
        note.next_start = wall + state.next_start - now
        note.crawl_delay_s = state.crawl_delay_s
        note.open_until = None if breaker.open_until is None else wall + breaker.open_until - now
        note.num_openings = breaker.num_openings
        note.cause = breaker.cause
        self._memory.keep(host, note)

    def _let_oldest_go(self) -> None:
        """The oldest hosts, but for those that somebody is at or that are not to be asked: these move on."""
        for host in list(itertools.islice(self._hosts, _LOOKED_AT)):
            self._hosts.move_to_end(host)
            self.let_go(host)

    async def _wait_for_start(self, state: _Host, lead_s: float) -> None:
        await self._wait_for_gap(state, lead_s)
        await self._take_place()
        while state.next_start - lead_s > self._clock():  # it said Retry-After meanwhile
            self._in_flight.release()
            await self._wait_for_gap(state, lead_s)
            await self._take_place()

    async def _wait_for_gap(self, state: _Host, lead_s: float) -> None:
        while (wait := state.next_start - lead_s - self._clock()) > 0:
            await (self._sleep(wait) if wait <= REST_S else self._rest(wait))

    async def _take_place(self) -> None:
        """A place among the requests in flight, with room for its body.

        With the place in hand: looked at before, room would let in all who wait for a place, and all their bodies.
        """
        await self._in_flight.acquire()
        try:
            await self.has_room.wait()
        except asyncio.CancelledError:
            self._in_flight.release()
            raise

    async def _rest(self, seconds: float) -> None:
        self.num_resting += 1
        try:
            self.on_rest()
            await asyncio.sleep(seconds)
        finally:
            self.num_resting -= 1


def _may_go(state: _Host) -> bool:
    """Whether a note says all that there is to say of a host."""
    return state.num_turns == 0 and state.breaker.is_closed and not state.breaker.failures


def _nobody_cares() -> None:
    """Who waits for hosts to rest, until somebody does."""
