"""Which hosts of a part are at work: as many as keep its requests in flight busy, those with most samples first."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from crawler.fetched_rows import Row

MIN_HOSTS_AT_WORK = 256
HOSTS_PER_REQUEST = 2
"""Hosts at work for each request that may be in flight: most of them wait for their gap, of a second at most."""

MAX_RESTING_HOSTS = 4096
"""Hosts that wait for longer and keep nobody from work. Those beyond do: each takes a task and what it holds."""


@dataclass(slots=True, eq=False)
class HostWork:
    """One host's samples, the next one last, and how many workers are at them."""

    host: str
    concurrency: int
    queue: list[Row] = field(default_factory=list)
    num_workers: int = 0

    def put_back(self, sample: Row) -> None:
        """Its turn comes again after all others of the host."""
        self.queue.insert(0, sample)


class HostWindow:
    """The hosts of one part. A host is known from its first sample to its last and no longer."""

    def __init__(self, max_in_flight: int) -> None:
        self._max_at_work = max(MIN_HOSTS_AT_WORK, HOSTS_PER_REQUEST * max_in_flight)
        self._works: dict[str, HostWork] = {}
        self._pending: deque[HostWork] = deque()
        self._num_at_work = 0
        self._num_workers = 0

    @property
    def has_more(self) -> bool:
        """Whether hosts wait that nobody is at."""
        return bool(self._pending)

    def line_up(self, samples: Iterable[Row], concurrency_of: Callable[[str], int]) -> None:
        """Hosts with most samples come first: how long these take decides how long the part does."""
        for sample in samples:
            host = str(sample["host"])
            if host not in self._works:
                self._works[host] = HostWork(host, concurrency_of(host))
            self._works[host].queue.append(sample)
        for work in self._works.values():
            work.queue.reverse()
        self._pending.extend(sorted(self._works.values(), key=lambda work: -len(work.queue)))

    def next_host(self, num_resting: int) -> HostWork | None:
        """The host to begin with, where there is a place for one. `num_resting` of those at work do nothing."""
        has_place = self._num_at_work - min(num_resting, MAX_RESTING_HOSTS) < self._max_at_work
        return self._pending.popleft() if self._pending and has_place else None

    def num_wanted(self, work: HostWork) -> int:
        """More workers of a host: no more than requests it may have in flight, and than URLs that wait there.

        Second and further workers are, over all hosts, as many as there are places for hosts.
        """
        num_more = self._num_workers - self._num_at_work
        return max(0, min(work.concurrency - work.num_workers, len(work.queue), self._max_at_work - num_more))

    def enter(self, work: HostWork) -> None:
        """A worker begins."""
        self._num_at_work += work.num_workers == 0
        self._num_workers += 1
        work.num_workers += 1

    def leave(self, work: HostWork) -> bool:
        """A worker ends; whether the host's work ends with it."""
        work.num_workers -= 1
        self._num_workers -= 1
        self._num_at_work -= work.num_workers == 0
        is_over = not work.num_workers and not work.queue
        if is_over:
            self._works.pop(work.host, None)
        return is_over

    def ask_again(self, work: HostWork, sample: Row) -> None:
        """A sample comes back, perhaps after its host's work was over."""
        if not work.queue and not work.num_workers:
            self._works[work.host] = work
            self._pending.append(work)
        work.put_back(sample)

    def close(self) -> None:
        """No further host begins."""
        self._pending.clear()

    def waiting(self) -> dict[str, int]:
        """Samples that wait, by host."""
        return {work.host: len(work.queue) for work in self._works.values()}

    def last_urls(self) -> Iterator[str]:
        """A URL of each host with samples left, the part's last host first: most likely nobody was asked there yet."""
        urls = (work.queue[-1]["canonical_url"] for work in reversed(self._works.values()) if work.queue)
        return (url for url in urls if isinstance(url, str))
