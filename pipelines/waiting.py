"""The tasks of a batch that wait to be started: those whose lane has most left first, one of a lane at a time."""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipelines.tasks import Task

_ROOM_SLACK = 1e-6  # shares are floats


@dataclass
class Attempted:
    """A task, its place in the batch, how often it was tried, and how often a machine was lost under it."""

    task: Task
    place: int
    tries: int = 0
    losses: int = 0

    @property
    def rank(self) -> tuple[float, int]:
        """The longest way to go first, then the order of the batch."""
        return (-self.task.remaining_s, self.place)


class Waiting:
    """Tasks in lanes and without: `take` never gives a second task of a lane before `ended` was told of the first."""

    def __init__(self, tasks: Iterable[Task], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: list[tuple[tuple[float, int], Attempted]] = []
        self._behind: dict[int, deque[Attempted]] = {}
        self._resting: list[tuple[float, int, Attempted]] = []
        self._num_behind = 0
        for place, task in enumerate(tasks):
            self._add(Attempted(task, place))

    def __bool__(self) -> bool:
        return bool(self._ready or self._resting or self._num_behind)

    def take(self, room: float) -> Attempted | None:
        """The next task, or None if there is none that may run or if it needs more than `room` CPUs.

        Nobody overtakes it then: were small shares let through, a task that needs a whole CPU might wait for days.
        """
        while self._resting and self._resting[0][0] <= self._clock():
            _, _, attempted = heapq.heappop(self._resting)
            heapq.heappush(self._ready, (attempted.rank, attempted))
        if not self._ready or self._ready[0][1].task.cpus > room + _ROOM_SLACK:
            return None
        return heapq.heappop(self._ready)[1]

    def ended(self, task: Task) -> None:
        """A task that was taken is done: the next of its lane may run."""
        if task.lane is not None and self._behind[task.lane]:
            attempted = self._behind[task.lane].popleft()
            self._num_behind -= 1
            heapq.heappush(self._ready, (attempted.rank, attempted))

    def put_back(self, attempted: Attempted, rest_s: float = 0.0) -> None:
        """A task that was taken must be tried again, before all others of its lane, and not within `rest_s` seconds."""
        heapq.heappush(self._resting, (self._clock() + rest_s, attempted.place, attempted))

    def _add(self, attempted: Attempted) -> None:
        lane = attempted.task.lane
        if lane is None or lane not in self._behind:
            heapq.heappush(self._ready, (attempted.rank, attempted))
            if lane is not None:
                self._behind[lane] = deque()
        else:
            self._behind[lane].append(attempted)
            self._num_behind += 1
