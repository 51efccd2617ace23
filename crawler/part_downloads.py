"""The work on one part: workers that take turns at each host's samples, and what to do when nothing answers."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from crawler.alarm import Alarm
from crawler.blocklist import Blocklist
from crawler.decode_queue import DecodeQueue
from crawler.decoder import DecoderPool
from crawler.faults import Fault
from crawler.fetch import Fetcher
from crawler.fetch_report import FetchReport, FetchTally
from crawler.fetched_rows import Row, fetched_row
from crawler.host_memory import HostMemory
from crawler.host_window import HostWindow, HostWork
from crawler.image_fetch import Earlier, ImageFetch
from crawler.outage import WINDOW_S, OutageWatch
from crawler.permission import Permission
from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, product_token
from shards.errors import TryAgainError
from shards.image_settings import ImageSettings

Keep = Callable[[Row, bytes], None]

REPORT_EVERY_S = 2.0
SOON_S = 5.0
"""How long a part lingers for a host that may be tried again, once it has nothing else to do."""

_LOOK_AGAIN_S = 0.5
_PROBED_HOSTS = 3
_REMEMBERED_URLS = 64
_MAX_PAUSE_S = 30.0
_MAX_PROBE_S = 20.0
# What a dead network looks like, seen from one image: held back until the network has proved alive.
DOUBTFUL_REASONS = frozenset({"connect_error", "dns_error", "timeout", "robots_unreachable"})


class Hosts(Protocol):
    """Which hosts belong to this part's lane."""

    def __contains__(self, host: object, /) -> bool: ...


@dataclass(frozen=True)
class PartSettings:
    """The sections of the recipe that a part's downloads read."""

    crawler: CrawlerSettings
    fetch: FetchSettings
    network: NetworkSettings
    image: ImageSettings
    own_hosts: Hosts
    num_lanes: int


@dataclass(slots=True)
class _Doubtful:
    since: float
    work: HostWork
    sample: Row
    row: Row


class PartDownloads:
    """Downloads samples and hands each row and its stored bytes to `keep`, in the order in which they finish."""

    def __init__(
        self,
        settings: PartSettings,
        keep: Keep,
        *,
        earlier: Earlier | None = None,
        memory: HostMemory | None = None,
        report: Callable[[FetchReport], None] | None = None,
    ) -> None:
        assert settings.crawler.user_agent is not None
        self._settings = settings
        self._keep = keep
        self._earlier = earlier
        self._report = report
        self._user_agent = settings.crawler.user_agent
        self._agent = product_token(settings.crawler.user_agent)
        self._memory = memory or HostMemory(None, self._agent)
        self._outage = OutageWatch()
        self._tally = FetchTally()
        self._window = HostWindow(settings.fetch.max_in_flight)
        self._tasks: set[asyncio.Task[None]] = set()
        self._num_lingering = 0
        self._doubtful: deque[_Doubtful] = deque()
        self._failed_last: deque[str] = deque(maxlen=_REMEMBERED_URLS)
        self._answered_last: deque[str] = deque(maxlen=_REMEMBERED_URLS)
        self._outage_task: asyncio.Task[None] | None = None

    async def run(self, samples: pa.Table, deadline_s: float | None) -> None:
        """Ends when all is done or the deadline has come; what is in flight then counts as not attempted.

        Raises TryAgainError when the whole network is gone and does not come back within `outage_patience_s`.
        """
        crawler, fetch = self._settings.crawler, self._settings.fetch
        blocklist = Blocklist.read(crawler.blocklist)
        async with AsyncExitStack() as stack:
            self._politeness = Politeness(
                crawler,
                fetch,
                self._settings.own_hosts,
                num_lanes=self._settings.num_lanes,
                memory=self._memory,
                sleep=stack.enter_context(Alarm()).sleep,
            )
            self._politeness.on_rest = self._open_hosts
            stack.callback(self._politeness.forget_watcher)
            fetcher = Fetcher(
                self._settings.network, fetch, self._user_agent, self._politeness, self._outage, self._tally
            )
            self._fetcher = await stack.enter_async_context(fetcher)
            self._permission = Permission(
                fetcher,
                self._politeness,
                blocklist,
                self._agent,
                obeys_opt_outs=crawler.opt_outs == "obey",
                unreachable_s=fetch.breaker_reopen_s,
                memory=self._memory,
            )
            stack.push_async_callback(self._permission.close)
            pool = await stack.enter_async_context(DecoderPool(self._settings.image, fetch.decoders))
            self._images = ImageFetch(
                fetcher,
                self._permission,
                DecodeQueue(pool, self._politeness),
                self._agent,
                obeys_opt_outs=crawler.opt_outs == "obey",
                verifies_sha256=fetch.verify_sha256,
                earlier=self._earlier,
            )
            await self._work(samples, deadline_s)
        if self._politeness.has_network.is_set():
            self._settle_doubts(before=None)
        self._tell()

    async def _work(self, samples: pa.Table, deadline_s: float | None) -> None:
        # Nobody else holds the samples' objects: each goes when its turn is over.
        self._window.line_up(samples.to_pylist(), lambda host: self._settings.crawler.limits_of(host).concurrency)
        self._is_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open_hosts()
        reporting = asyncio.create_task(self._report_often())
        try:
            await asyncio.wait([self._is_done], timeout=deadline_s)
            if self._is_done.done():
                self._is_done.result()
        finally:
            self._window.close()
            tasks = [*self._tasks, reporting]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._politeness.remember()

    def _open_hosts(self) -> None:
        """Sets as many hosts to work as there are places for."""
        while (work := self._window.next_host(self._num_lingering + self._politeness.num_resting)) is not None:
            self._employ(work)

    def _employ(self, work: HostWork) -> None:
        self._window.enter(work)
        self._watch(asyncio.create_task(self._work_off(work)))

    def _watch(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._is_done.done() or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._is_done.set_exception(error)
            return
        self._open_hosts()
        if not self._tasks:
            self._is_done.set_result(None)

    async def _work_off(self, work: HostWork) -> None:
        try:
            while work.queue and not self._is_watched(work):
                refused, is_probe = await self._host_refusal(work)
                if not work.queue:
                    break
                sample = work.queue.pop()
                if refused is not None:
                    self._settle(work, sample, fetched_row(sample, None, refused), b"")
                    continue
                row, stored = await self._images.fetch(sample)
                if row["http_status"] is not None:
                    self._answered_last.append(str(row["final_url"]))
                if is_probe:
                    self._politeness.breaker(work.host).end_probe()
                if not self._waits_for_host(work, sample, row):
                    self._settle(work, sample, row, stored)
                # Only now: until its files are read, more workers of a host would do nothing but wait, in memory.
                for _ in range(self._window.num_wanted(work)):
                    self._employ(work)
        finally:
            if self._window.leave(work):
                self._politeness.let_go(work.host)

    def _is_watched(self, work: HostWork) -> bool:
        """Whether another worker waits until the host may be asked again: one is enough."""
        return work.num_workers > 1 and not self._politeness.breaker(work.host).is_closed

    async def _host_refusal(self, work: HostWork) -> tuple[Fault | None, bool]:
        """Waits while the host is left alone, and other work is left or it may soon be tried again.

        Then why its URLs fall, or None and whether the caller's URL is the one that tries it again.
        """
        breaker = self._politeness.breaker(work.host)
        while not breaker.is_closed and work.queue:
            wait = breaker.wait(time.monotonic())
            if self._politeness.has_network.is_set() and breaker.cause is not None:
                if breaker.is_final or (wait > SOON_S and self._is_all_that_is_left()):
                    return Fault(*breaker.cause), False
                if wait <= 0 and breaker.begin_probe():
                    return None, True
            self._num_lingering += 1
            try:
                self._open_hosts()
                await asyncio.sleep(min(wait or _LOOK_AGAIN_S, _LOOK_AGAIN_S))
            finally:
                self._num_lingering -= 1
        return None, False

    def _is_all_that_is_left(self) -> bool:
        """Whether all others that have anything to do linger too."""
        return not self._window.has_more and self._num_lingering + 1 >= len(self._tasks)

    def _waits_for_host(self, work: HostWork, sample: Row, row: Row) -> bool:
        """Puts a sample back whose host is left alone for now: its failure may be passing trouble of the host's."""
        breaker = self._politeness.breaker(work.host)
        if row["drop_reason"] not in DOUBTFUL_REASONS or breaker.is_closed or breaker.is_final:
            return False
        work.put_back(sample)
        self._look_for_outage(sample)
        return True

    def _settle(self, work: HostWork, sample: Row, row: Row, stored: bytes) -> None:
        """A failure that may be the network's is not yet the image's."""
        if row["drop_reason"] in DOUBTFUL_REASONS:
            self._doubtful.append(_Doubtful(time.monotonic(), work, sample, row))
            self._look_for_outage(sample)
        else:
            self._finish(row, stored)
        if self._doubtful and self._outage_task is None:
            self._settle_doubts(before=time.monotonic() - WINDOW_S)

    def _finish(self, row: Row, stored: bytes) -> None:
        self._tally.note_row(row["drop_reason"])
        self._keep(row, stored)

    def _look_for_outage(self, sample: Row) -> None:
        self._failed_last.append(str(sample["canonical_url"]))
        if self._outage_task is None and self._outage.is_suspicious():
            self._politeness.has_network.clear()
            self._outage_task = asyncio.create_task(self._wait_for_network())
            self._watch(self._outage_task)

    async def _wait_for_network(self) -> None:
        """No request starts until something answers, be it one that was under way. What failed is then asked for again,
        unless it was a false alarm: where something answers at once, the hosts that fail are to blame themselves."""
        was_out = False
        num_connected = self._outage.num_connected
        ends = time.monotonic() + self._settings.fetch.outage_patience_s
        pause = 1.0
        while not await self._something_answers(num_connected):
            was_out = True
            left = ends - time.monotonic()
            if left <= 0:
                raise TryAgainError(
                    "hardly any host can be reached any more: the network seems to be gone. Nothing was marked as "
                    "failed for it; run the same command again when the network is back"
                )
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _MAX_PAUSE_S)
        self._outage.forget()
        if was_out:
            self._politeness.forget_failures()
            self._permission.forget_unreachable()
        self._outage_task = None
        self._politeness.has_network.set()
        while was_out and self._doubtful:
            doubt = self._doubtful.popleft()
            self._window.ask_again(doubt.work, doubt.sample)
        self._open_hosts()

    async def _something_answers(self, num_connected: int) -> bool:
        """Tries a few origins that answered last, a few that failed last and a few others, each once."""
        failed = _last_origins(self._failed_last)
        origins = dict.fromkeys([*_last_origins(self._answered_last), *failed, *self._other_origins(set(failed))])
        probes = {asyncio.create_task(self._fetcher.answers(f"{origin}/robots.txt")) for origin in origins}
        late, ends = probes, time.monotonic() + _MAX_PROBE_S
        while late and time.monotonic() < ends and self._outage.num_connected == num_connected:
            done, late = await asyncio.wait(late, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
            if any(probe.result() for probe in done):
                break
        for probe in late:  # its host may be waiting for a long gap
            probe.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        answered = any(probe.result() for probe in probes - late)
        return answered or self._outage.num_connected > num_connected

    def _other_origins(self, failed: set[str]) -> list[str]:
        others = (origin for origin in map(_origin_of, self._window.last_urls()) if origin not in failed)
        return list(itertools.islice(others, _PROBED_HOSTS))

    def _settle_doubts(self, before: float | None) -> None:
        """Believes failures that are older than the window in which the network proved alive; at the end, all."""
        while self._doubtful and (before is None or self._doubtful[0].since < before):
            doubt = self._doubtful.popleft()
            self._finish(doubt.row, b"")

    async def _report_often(self) -> None:
        while self._report is not None:
            await asyncio.sleep(REPORT_EVERY_S)
            self._tell()

    def _tell(self) -> None:
        if self._report is not None:
            self._report(self._tally.report(self._window.waiting()))


def _last_origins(urls: deque[str]) -> list[str]:
    return list(dict.fromkeys(_origin_of(url) for url in reversed(urls)))[:_PROBED_HOSTS]


def _origin_of(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])
