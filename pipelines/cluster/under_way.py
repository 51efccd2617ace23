"""The calls under way: each at the place that its stage asks for, and a second one of a part that is late."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pipelines.cluster.place import Place, PlacingPool
from pipelines.cluster.second_runs import SecondRuns
from pipelines.cluster.settings import ResourceSettings
from pipelines.stages import ASKING_STAGES
from pipelines.tasks import Task
from pipelines.waiting import Attempted
from pipelines.workers import Pool

_LOSER_ENDS_WITHIN_S = 10.0


@dataclass
class UnderWay:
    """What a pool was told to do and has not ended. No part has more than two calls at a time."""

    pool: Pool
    settings: ResourceSettings
    _running: dict[object, Attempted] = field(default_factory=dict)
    _cancelled: list[object] = field(default_factory=list)
    _twins: dict[object, object] = field(default_factory=dict)
    _run_twice: set[int] = field(default_factory=set)
    _place: Place = field(default_factory=Place)
    _may_run_twice: bool = False

    def __post_init__(self) -> None:
        self._second = SecondRuns(self.settings)

    def __len__(self) -> int:
        return len(self._running)

    def begin_step(self, stage: str) -> None:
        """From here on, calls are of another step of this stage."""
        asked = self.settings.of(stage)
        self._place = Place(asked.node, asked.memory_mb)
        # Two attempts at one host would be two visitors.
        self._may_run_twice = stage not in ASKING_STAGES and isinstance(self.pool, PlacingPool)
        self._second.begin_step()
        self._run_twice.clear()

    @property
    def used_cpus(self) -> float:
        return sum(attempted.task.cpus for attempted in self._running.values())

    def call(self, function: Callable[..., Any], task: Task, *arguments: object, **shares: float) -> object:
        """Start a call at its stage's place."""
        return _started(self.pool, self._place_of(task), function, task, *arguments, **shares)

    def start(self, attempted: Attempted, function: Callable[..., Any], *arguments: object) -> None:
        """Start an attempt at a part."""
        task = attempted.task
        handle = self.call(function, task, *arguments, cpus=task.cpus, gpus=task.gpus)
        self._running[handle] = attempted
        self._second.started(handle)

    def wait(self, timeout_s: float) -> Iterator[tuple[object, Attempted]]:
        """Calls that ended, and the attempts they were of."""
        for handle in self.pool.wait([*self._running, *self._cancelled], timeout_s):
            if handle in self._cancelled:
                self._cancelled.remove(handle)
            elif handle in self._running:
                yield handle, self._running.pop(handle)

    def settle(self, handle: object, is_committed: bool) -> bool:
        """A call is over. Whether that settles its part: else another call of it goes on."""
        self._second.ended(handle, is_committed)
        other = self._twins.pop(handle, None)
        if other is None:
            return True
        del self._twins[other]
        if is_committed:
            self._cancel(other)
        return is_committed

    def run_late_again(self, function: Callable[..., Any], *arguments: object) -> list[Task]:
        """Start a second call of parts that are late, once each; returns them. The first to commit makes the part."""
        if not self._may_run_twice or not isinstance(self.pool, PlacingPool):
            return []
        single = [handle for handle, attempted in self._running.items() if attempted.place not in self._run_twice]
        again = []
        for handle in self._second.late(single):
            task = self._running[handle].task
            if self.used_cpus + task.cpus > self.pool.slots:
                break
            if self.pool.has_begun(handle):
                self._start_second(handle, function, *arguments)
                again.append(task)
        return again

    def see_off(self, poll_s: float) -> None:
        """Wait a moment for calls that were cancelled: a step's folder is swept after them."""
        left = int(_LOSER_ENDS_WITHIN_S / poll_s)
        while self._cancelled and left:
            for handle in self.pool.wait(list(self._cancelled), poll_s):
                self._cancelled.remove(handle)
            left -= 1
        self._cancelled.clear()

    def _start_second(self, first: object, function: Callable[..., Any], *arguments: object) -> None:
        attempted = self._running[first]
        task = attempted.task
        elsewhere = replace(self._place_of(task), away_from=first)
        second = _started(self.pool, elsewhere, function, task, *arguments, cpus=task.cpus, gpus=task.gpus)
        self._running[second] = attempted
        self._second.started(second)
        self._run_twice.add(attempted.place)
        self._twins |= {first: second, second: first}

    def _place_of(self, task: Task) -> Place:
        return replace(self._place, needs_gpu=True) if task.needs_gpu else self._place

    def _cancel(self, handle: object) -> None:
        del self._running[handle]
        self._second.ended(handle, is_committed=False)
        if isinstance(self.pool, PlacingPool):
            self.pool.cancel(handle)
            self._cancelled.append(handle)


def _started(pool: Pool, place: Place, function: Callable[..., Any], *arguments: object, **shares: float) -> object:
    """Start a call; pools that have no places to choose among are not asked for one."""
    if isinstance(pool, PlacingPool):
        return pool.start_at(place, function, *arguments, **shares)
    return pool.start(function, *arguments, **shares)
