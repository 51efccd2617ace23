"""Parts that are late are made a second time: one commit wins, the other call is ended, hosts are never asked twice."""

import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines import narrowing, runner
from pipelines.checks import checked_plan
from pipelines.cluster.call import NodeLostError, WorkerDiedError
from pipelines.cluster.place import Place
from pipelines.cluster.second_runs import SecondRuns
from pipelines.cluster.settings import ResourceSettings
from pipelines.progress import Progress
from pipelines.stages import WORK, Stage
from pipelines.tasks import Batch, Context, Outcome, RowFilter, Task
from pipelines.tries import read_tries
from shards.errors import BrokenRunError
from shards.lease import Lease
from shards.parts import StepFolder
from tests.pipelines.conftest import table_recipe, write_csv

AT_ONCE = ResourceSettings(second_run_after=1.5, second_run_least_s=0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ResourceSettings(second_run_after=2, second_run_least_s=0), ["oldest", "old"]),
        (ResourceSettings(second_run_after=4, second_run_least_s=0), ["oldest"]),
        (ResourceSettings(second_run_after=2, second_run_least_s=45), ["oldest"]),
        (ResourceSettings(second_run_after=None, second_run_least_s=0), []),
    ],
)
def test_late_is_who_runs_much_longer_than_half_of_the_others(settings: ResourceSettings, expected: list[str]) -> None:
    now = 0.0
    watched = SecondRuns(settings, lambda: now)
    watched.started("oldest")
    now = 20.0
    watched.started("old")
    for name, seconds in (("a", 9.0), ("b", 10.0), ("c", 1000.0)):
        watched.started(name)
        at, now = now, now + seconds
        watched.ended(name, is_committed=True)
        now = at
    now = 45.5
    watched.started("new")
    assert watched.late(["new", "old", "oldest"]) == expected


def test_nobody_is_late_before_some_have_ended_well() -> None:
    now = 0.0
    watched = SecondRuns(AT_ONCE, lambda: now)
    watched.started("late")
    for name, is_committed in (("a", True), ("b", True), ("c", False)):
        watched.started(name)
        now += 1
        watched.ended(name, is_committed)
    now = 1e6
    assert watched.late(["late"]) == []
    watched.started("d")
    watched.ended("d", is_committed=True)
    assert watched.late(["late"]) == ["late"]
    watched.begin_step()
    assert watched.late(["late"]) == []


@dataclass
class HangingPool:
    """Calls end at once, but for the first call of each part in `hang`, which ends only if it is cancelled."""

    hang: frozenset[int]
    slots: int = 4
    fails: dict[int, list[Exception]] = field(default_factory=dict)
    places: list[tuple[int, Place]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _calls: dict[object, tuple[Callable[..., Any], tuple[Any, ...]]] = field(default_factory=dict)
    _hanging: dict[object, int] = field(default_factory=dict)

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        raise AssertionError("a pool that places calls is told where")

    def start_at(
        self, place: Place, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0
    ) -> object:
        handle, task = next(self._numbers), arguments[0]
        assert isinstance(task, Task)
        if task.index in self.hang and task.index not in {index for index, _ in self.places}:
            self._hanging[handle] = task.index
        self.places.append((task.index, place))
        self._calls[handle] = function, arguments
        return handle

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        return [handle for handle in handles if handle not in self._hanging][:1]

    def result(self, handle: object) -> Any:
        function, arguments = self._calls.pop(handle)
        faults = self.fails.get(arguments[0].index)
        if faults:
            raise faults.pop(0)
        return function(*arguments)

    def has_begun(self, handle: object) -> bool:
        return True

    def cancel(self, handle: object) -> None:
        self.cancelled.append(self._hanging.pop(handle, -1))

    def close(self) -> None: ...


def run_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: HangingPool, stage: str = "idle", **settings: Any
) -> str:
    """The runner over eight parts that do nothing; returns what it told."""
    made: list[int] = []

    def work(job: Any) -> Outcome:
        made.append(job.task.index)
        return Outcome(1)

    monkeypatch.setattr(runner, "_POLL_S", 0.001)
    monkeypatch.setitem(WORK, "idle", work)
    tasks = tuple(Task("idle", index, f"{index:032x}", num_rows=2) for index in range(8))
    resources = {"second_run_after": 1.5, "second_run_least_s": 0.5} | settings  # a busy disk is slow for less
    recipe = table_recipe(write_csv(tmp_path / "t.csv", [("http://a.cn/1.png", "一")]), resources=resources)
    told = io.StringIO()
    with Lease.take(tmp_path) as lease:
        context = Context(tmp_path, checked_plan(recipe, "test"), lease.token)
        stages = [Stage(stage, "map", lambda flow: iter([Batch("idle", tasks)]), "nothing", "none")]
        runner.Runner(context, pool, Progress(told, live=False)).run(stages)
    assert len(StepFolder(tmp_path, "idle").committed()) == len(tasks)
    return told.getvalue()


def test_a_part_that_hangs_is_made_again_elsewhere_and_the_first_call_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = HangingPool(frozenset({2}))
    told = run_parts(tmp_path, monkeypatch, pool)
    assert "idle part 2 is late; it is made a second time, and the first wins" in told
    (first, second) = [place for index, place in pool.places if index == 2]
    assert first.away_from is None
    assert second.away_from is not None
    assert pool.cancelled == [2]
    assert read_tries(tmp_path) == {"idle": {"late": 1}}
    assert [index for index, place in pool.places if place.away_from is not None] == [2]


def test_nobody_asks_a_host_twice_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = HangingPool(frozenset({2}))

    def patience(handles: Sequence[object], timeout_s: float) -> list[object]:
        ended = HangingPool.wait(pool, handles, timeout_s)
        if not ended:
            pool._hanging.clear()  # it ends by itself at last
        return ended

    monkeypatch.setattr(pool, "wait", patience)
    told = run_parts(tmp_path, monkeypatch, pool, stage="fetch")
    assert "late" not in told
    assert len(pool.places) == 8


def test_the_second_call_s_failure_leaves_the_first_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = HangingPool(frozenset({2}), fails={2: [WorkerDiedError("killed")]})

    def patience(handles: Sequence[object], timeout_s: float) -> list[object]:
        ended = HangingPool.wait(pool, handles, timeout_s)
        if not ended and len(pool.places) > 8:
            pool._hanging.clear()
        return ended

    monkeypatch.setattr(pool, "wait", patience)
    told = run_parts(tmp_path, monkeypatch, pool)
    assert "idle part 2, one of two calls: killed" in told
    assert "try 1" not in told
    assert len(pool.places) == 9, "no part has a third call"


def test_a_node_that_goes_away_is_not_held_against_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = HangingPool(frozenset(), fails={3: [NodeLostError("gone") for _ in range(5)]})
    told = run_parts(tmp_path, monkeypatch, pool, second_run_after=None)
    assert "idle part 3, no fault of its own (5): gone" in told
    assert "try" not in told


def test_nodes_that_go_away_for_ever_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MAX_LOSSES", 2)
    pool = HangingPool(frozenset(), fails={3: [NodeLostError("gone") for _ in range(9)]})
    with pytest.raises(BrokenRunError, match="idle part 3 failed 3 times: gone"):
        run_parts(tmp_path, monkeypatch, pool, second_run_after=None)


def test_calls_are_placed_where_their_stage_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = HangingPool(frozenset())
    run_parts(
        tmp_path, monkeypatch, pool, stage="score", second_run_after=None, score={"node": "gpu", "memory_mb": 4096}
    )
    assert {place for _, place in pool.places} == {Place("gpu", 4096)}


@dataclass
class SpoilingPool(HangingPool):
    """The first row of each part in `spoiled` fails whatever is tried."""

    spoiled: frozenset[int] = frozenset()

    def result(self, handle: object) -> Any:
        _, arguments = self._calls[handle]
        rows = arguments[2] if len(arguments) > 2 else RowFilter()
        if arguments[0].index in self.spoiled and (rows.only or (0, 2))[0] == 0 and 0 not in rows.skip:
            del self._calls[handle]
            raise RuntimeError("poisoned")
        return super().result(handle)


@pytest.mark.parametrize(
    ("spoiled", "is_stopped"),
    [
        ({0, 1, 2}, False),
        ({0, 1, 2, 3}, True),
        ({0, 1, 2, 4, 5, 6}, False),  # one without faults stands between them
    ],
)
def test_parts_that_fail_one_after_another_stop_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoiled: set[int], is_stopped: bool
) -> None:
    monkeypatch.setattr(narrowing, "MAX_SPOILED_PARTS", 3)
    monkeypatch.setattr(narrowing, "NARROWS", frozenset({"idle"}))
    pool = SpoilingPool(frozenset(), slots=1, spoiled=frozenset(spoiled))
    if not is_stopped:
        run_parts(tmp_path, monkeypatch, pool, second_run_after=None)
        assert len(list((tmp_path / "dead").glob("idle-*.json"))) == len(spoiled)
        return
    with pytest.raises(BrokenRunError, match="idle: 3 parts in a row had rows to set aside, and part 3 fails, too"):
        run_parts(tmp_path, monkeypatch, pool, second_run_after=None)
    assert len(list((tmp_path / "dead").glob("idle-*.json"))) == 3
