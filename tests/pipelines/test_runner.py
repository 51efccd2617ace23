"""The runner: what is committed is skipped, what fails is tried again, and a row that fails always is set aside."""

import io
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tarfile import TarFile
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines import call_faults, narrowing, runner
from pipelines.checks import checked_plan
from pipelines.cluster.call import WorkerDiedError
from pipelines.progress import Progress
from pipelines.stages import WORK, Stage
from pipelines.tasks import Batch, Context, Job, Outcome, RowFilter, Task
from shards.catalog import committed_files
from shards.errors import BrokenRunError, DiskError, TryAgainError
from shards.lease import Lease
from shards.parts import StepFolder
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline, table_recipe, write_csv


@dataclass
class Failing:
    """Fails some step's attempts: the first few, or each that has one of the poisoned rows before it."""

    step: str
    error: Callable[[], Exception] = lambda: RuntimeError("poisoned")
    times: int | None = None
    rows: set[int] = field(default_factory=set)
    seen: int = 0

    def __call__(self, task: Task, rows: RowFilter) -> None:
        if task.step != self.step:
            return
        self.seen += 1
        start, stop = rows.only or (0, task.num_rows or 0)
        is_hit = any(start <= row < stop and row not in rows.skip for row in self.rows)
        if self.seen <= self.times if self.times is not None else is_hit:
            raise self.error()


def set_aside(run: Path) -> dict[str, tuple[str, str, str]]:
    """uid -> stage and reason of what the manifest says was set aside."""
    rows = pq.read_table(run / "release" / "manifest" / "dropped-000000.parquet").to_pylist()
    found = {row["uid"]: (row["dropped_at"], row["drop_reason"], row["detail"]) for row in rows}
    return {uid: fate for uid, fate in found.items() if fate[1] in ("bad_row", "worker_oom")}


def test_a_finished_run_starts_nothing(finished: FinishedRun) -> None:
    pool = InlinePool()
    assert run_inline(finished.recipe, finished.folder, pool).stats["kept"] == finished.kept
    assert pool.calls == []


def test_each_step_s_plan_is_committed_in_full(finished: FinishedRun) -> None:
    planned = json.loads((finished.folder / "parts.json").read_bytes())
    assert {"collect", "admit", "fetch", "measure", "dedup", "select", "release"} <= set(planned)
    for step, parts in planned.items():
        assert {(index, mark[:8]) for index, mark in parts} <= StepFolder(finished.folder, step).committed()


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_a_part_whose_file_is_damaged_is_done_again_alone(tmp_path: Path, finished: FinishedRun, damage: str) -> None:
    run = finished.copy(tmp_path)
    before = (run / "release" / "SHA256SUMS").read_bytes()
    (path,) = committed_files(run, "measure", "rows")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    pool = InlinePool()
    run_inline(finished.recipe, run, pool)
    assert pool.steps() == ["measure"]
    assert (run / "release" / "SHA256SUMS").read_bytes() == before


def test_a_release_file_that_was_taken_away_comes_back(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    shard = run / "release" / "shards" / "000001.tar"
    before = shard.read_bytes()
    shard.unlink()
    run_inline(finished.recipe, run)
    assert shard.read_bytes() == before


@pytest.mark.parametrize(
    ("step", "after"),
    [("collect", "crawl"), ("measure", "fetch"), ("release", "select")],
)
def test_a_task_that_fails_twice_works_the_third_time(
    tmp_path: Path, finished: FinishedRun, step: str, after: str
) -> None:
    run = finished.copy(tmp_path, after)
    keep_downloads(finished, run)
    pool = InlinePool(fault=Failing(step, times=2))
    result = run_inline(finished.recipe, run, pool)
    assert result.stats["kept"] == finished.kept
    assert result.num_dead == 0
    assert "probe" not in {name for name, _ in pool.calls}


@pytest.mark.parametrize(("step", "after"), [("dedup", "measure"), ("release", "select")])
def test_a_task_without_rows_to_blame_ends_the_run_which_resumes(
    tmp_path: Path, finished: FinishedRun, step: str, after: str
) -> None:
    run = finished.copy(tmp_path, after)
    keep_downloads(finished, run)
    pool = InlinePool(fault=Failing(step, times=99))
    with pytest.raises(BrokenRunError, match=rf"{step} part \d+ failed 3 times: poisoned"):
        run_inline(finished.recipe, run, pool)
    assert run_inline(finished.recipe, run).stats["kept"] == finished.kept


@pytest.mark.parametrize("error", [DiskError("full"), TryAgainError("no network")])
def test_a_fault_that_no_try_can_heal_ends_the_run_at_once(
    tmp_path: Path, finished: FinishedRun, error: Exception
) -> None:
    pool = InlinePool(slots=1, fault=Failing("measure", error=lambda: error, times=99))
    with pytest.raises(type(error), match=str(error)):
        run_inline(finished.recipe, finished.copy(tmp_path, "fetch"), pool)
    assert pool.steps() == ["measure"]
    assert pool.is_closed


@pytest.mark.parametrize("rows", [{9}, {0, 4}])
def test_a_row_that_fails_always_is_set_aside_alone(tmp_path: Path, finished: FinishedRun, rows: set[int]) -> None:
    run = finished.copy(tmp_path, "fetch")
    before = measured(finished.folder)
    result = run_inline(finished.recipe, run, InlinePool(fault=Failing("measure", rows=rows)))
    assert result.num_dead == len(rows)
    after = measured(run)
    hit = {uid for place, uid in enumerate(before) if place in rows}
    for uid, reason in before.items():
        assert after[uid] == (reason or "bad_row" if uid in hit else reason)
    expected = {uid: ("measure", "bad_row", "set aside in dead/") for uid in hit if before[uid] is None}
    assert set_aside(run) == expected
    assert result.stats["kept"] + result.stats["dropped"] == result.stats["samples"]
    graves = [json.loads(path.read_bytes()) for path in sorted((run / "dead").iterdir())]
    assert [(grave["step"], grave["row"]) for grave in graves] == [("measure", row) for row in sorted(rows)]
    assert all("Traceback" in grave["fault"] and "RuntimeError: poisoned" in grave["fault"] for grave in graves)


def test_a_row_that_fails_in_fetch_is_set_aside_and_the_others_are_fetched(
    tmp_path: Path, finished: FinishedRun
) -> None:
    run = finished.copy(tmp_path, "admit")
    result = run_inline(finished.recipe, run, InlinePool(fault=Failing("fetch", rows={1})))
    assert result.num_dead == 1
    assert [fate[:2] for fate in set_aside(run).values()] == [("fetch", "bad_row")]


def test_a_row_that_kills_its_worker_is_told_from_one_that_fails(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path, "fetch")
    place = list(measured(finished.folder).values()).index(None)
    fault = Failing("measure", error=lambda: WorkerDiedError("killed"), rows={place})
    run_inline(finished.recipe, run, InlinePool(fault=fault))
    assert [fate[:2] for fate in set_aside(run).values()] == [("measure", "worker_oom")]
    pool = InlinePool()
    assert run_inline(finished.recipe, run, pool).num_dead == 1  # told again by every run that finds it
    assert pool.calls == []


def test_a_damaged_stored_copy_costs_one_sample(tmp_path: Path, finished: FinishedRun) -> None:
    """The real thing: the bytes of one member change on disk between fetch and measure."""
    run = finished.copy(tmp_path, "fetch")
    before = measured(finished.folder)
    (tar,) = committed_files(run, "fetch", "tar")
    with TarFile(tar) as archive:
        member = next(member for member in archive if before[member.name.split(".")[0]] is None)
    data = bytearray(tar.read_bytes())
    data[member.offset_data : member.offset_data + 64] = bytes(64)
    tar.write_bytes(data)
    result = run_inline(finished.recipe, run)
    assert list(set_aside(run)) == [member.name.split(".")[0]]
    (grave,) = (run / "dead").iterdir()
    assert "its shard is damaged" in json.loads(grave.read_bytes())["fault"]
    assert result.num_dead == 1


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (3, "more than 3 rows fail, so the fault is not theirs"),
        (100, "every row fails, so the fault is not theirs"),  # a part smaller than the limit
    ],
)
def test_a_fault_that_hits_every_row_is_not_blamed_on_them(
    tmp_path: Path, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch, most: int, message: str
) -> None:
    run = finished.copy(tmp_path, "fetch")
    monkeypatch.setattr(narrowing, "MAX_POISON_ROWS", most)
    pool = InlinePool(fault=Failing("measure", rows=set(range(100))))
    with pytest.raises(BrokenRunError, match=message):
        run_inline(finished.recipe, run, pool)
    assert not (run / "dead").exists()


def test_parts_of_one_lane_never_run_side_by_side(tmp_path: Path, finished: FinishedRun) -> None:
    recipe = finished.recipe | {"fetch": finished.recipe["fetch"] | {"part_rows": 4}}
    pool = InlinePool(slots=3)
    assert run_inline(recipe, finished.copy(tmp_path, "admit"), pool).stats["kept"] == finished.kept
    assert pool.steps().count("fetch") == 3
    assert pool.most_of_a_lane == 1


@dataclass
class SharingPool(InlinePool):
    """An inline pool that has room by shares of CPUs."""

    most_cpus: float = 0.0
    started: list[Task] = field(default_factory=list)
    _shares: dict[object, float] = field(default_factory=dict)

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        self.slots, slots = 10**6, self.slots  # the plain pool counts calls
        handle = super().start(function, *arguments, cpus=cpus, gpus=gpus)
        self.slots = slots
        self._shares[handle] = cpus
        self.most_cpus = max(self.most_cpus, sum(self._shares.values()))
        self.started.append(self.calls[-1][1])
        return handle

    def result(self, handle: object) -> Any:
        self._shares.pop(handle)
        return super().result(handle)


def run_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: InlinePool, tasks: list[Task]) -> None:
    """The runner over tasks that do nothing but write down that they were done."""
    monkeypatch.setitem(WORK, "idle", lambda job: Outcome(1))
    stage = Stage("idle", "map", lambda flow: iter([Batch("idle", tuple(tasks))]), "nothing", "none")
    plan = checked_plan(table_recipe(write_csv(tmp_path / "t.csv", [("http://a.cn/1.png", "一")])), "test")
    with Lease.take(tmp_path) as lease:
        context = Context(tmp_path, plan, lease.token)
        runner.Runner(context, pool, Progress(io.StringIO(), live=False)).run([stage])
    assert len(StepFolder(tmp_path, "idle").committed()) == len(tasks)


def idle(index: int, lane: int | None = None, cpus: float = 1.0, remaining_s: float = 0.0) -> Task:
    return Task("idle", index, f"{index:032x}", lane=lane, cpus=cpus, remaining_s=remaining_s)


def test_the_pool_is_filled_by_shares_of_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SharingPool(slots=2)
    run_tasks(tmp_path, monkeypatch, pool, [idle(index, index, cpus=0.1) for index in range(50)])
    assert pool.most_cpus == pytest.approx(2.0)


def test_a_task_that_wants_more_than_there_is_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SharingPool(slots=1)
    run_tasks(tmp_path, monkeypatch, pool, [idle(0, cpus=1.0), idle(1, cpus=4.0), idle(2, cpus=1.0)])
    assert pool.most_cpus == 4.0


def test_the_longest_lanes_start_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [
        idle(0, 0, remaining_s=20),
        idle(1, 1, remaining_s=90),
        idle(2, 0, remaining_s=10),
        idle(3, 1, remaining_s=15),
    ]
    pool = SharingPool(slots=1)
    run_tasks(tmp_path, monkeypatch, pool, tasks)
    assert [task.index for task in pool.started] == [1, 0, 3, 2]


def test_a_lane_rests_after_its_worker_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead worker's last requests may still be under way: its lane waits, other lanes do not."""
    monkeypatch.setattr(call_faults, "QUIET_S", 0.2)
    monkeypatch.setattr(runner, "_POLL_S", 0.01)
    deaths: list[float] = []
    again: list[float] = []

    def die(task: Task, rows: RowFilter) -> None:
        if task.index == 0 and not deaths:
            deaths.append(time.monotonic())
            raise WorkerDiedError("killed")
        if task.index == 0:
            again.append(time.monotonic())

    pool = SharingPool(slots=2, fault=die)
    run_tasks(tmp_path, monkeypatch, pool, [idle(0, 0, remaining_s=9), idle(1, 0, remaining_s=5), idle(2, 1), idle(3)])
    assert again[0] - deaths[0] >= 0.2
    assert pool.most_of_a_lane == 1
    assert [task.index for task in pool.started][-2:] == [0, 1]


def test_what_a_killed_attempt_left_stays_until_its_stage_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "idle" / ".lane-00003.jsonl"
    seen: list[bool] = []

    def look(job: Job) -> Outcome:
        seen.append(left.is_file())
        return Outcome(1)

    monkeypatch.setitem(WORK, "idle", look)
    batches = [Batch("idle", (idle(index),)) for index in range(2)]
    stage = Stage("idle", "map", lambda flow: iter(batches), "nothing", "none")
    plan = checked_plan(table_recipe(write_csv(tmp_path / "t.csv", [("http://a.cn/1.png", "一")])), "test")
    left.parent.mkdir()
    left.touch()
    with Lease.take(tmp_path) as lease:
        context = Context(tmp_path, plan, lease.token)
        runner.Runner(context, InlinePool(), Progress(io.StringIO(), live=False)).run([stage])
    assert seen == [True, True]
    assert not left.exists()


def test_a_run_that_lost_its_folder_commits_nothing_more(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path, "fetch")
    lease = {"token": "thief", "pid": 1, "host": "another-host", "expires": time.time() + 100}

    def steal(task: Task, rows: RowFilter) -> None:
        (run / "lease.json").write_text(json.dumps(lease))

    with pytest.raises(BrokenRunError, match="another run took over this folder"):
        run_inline(finished.recipe, run, InlinePool(fault=steal))
    assert StepFolder(run, "measure").committed() == set()
    assert json.loads((run / "lease.json").read_bytes())["token"] == "thief"


def measured(run: Path) -> dict[str, str | None]:
    """uid -> drop reason after measure, in the order in which the part's rows are counted."""
    (path,) = committed_files(run, "measure", "rows")
    return {row["uid"]: row["drop_reason"] for row in pq.read_table(path, columns=["uid", "drop_reason"]).to_pylist()}


def keep_downloads(finished: FinishedRun, run: Path) -> None:
    """Fetch is keyed by uid: with its parts there, an earlier stage that is redone costs no download."""
    for step in ("fetch", "fetch-lanes"):
        shutil.copytree(finished.folder / step, run / step, dirs_exist_ok=True)
