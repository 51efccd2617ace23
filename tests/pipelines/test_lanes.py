"""Fetch lanes in the flow: giants apart, pieces joined to parts, the same parts in every plan."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crawler.lanes import LanePlan, plan_lanes
from pipelines.checks import checked_plan
from pipelines.flow import lanes
from pipelines.flow.lanes import BUSY_SHARE, cpu_share, sample_parts
from pipelines.tasks import Batch, Context, Flow, Job, Task
from shards.lease import Lease
from shards.parts import Attempt, Record
from shards.schema import uid_of
from shards.tables import read_row_groups, write_table
from tests.pipelines.conftest import table_recipe, write_csv


class LaneFlow:
    """The fetch stage up to its plan, over made-up samples: each step is done here, nothing is fetched."""

    def __init__(self, run: Path, groups: list[list[tuple[str, str]]], **sections: Any) -> None:
        run.mkdir(exist_ok=True)
        table = write_csv(run / "t.csv", [("http://a.cn/1.png", "一")])
        plan = checked_plan(table_recipe(table, **sections), "test")
        with Lease.take(run) as lease:
            self.context = Context(run, plan, lease.token)
        self.flow = Flow(self.context)
        admitted = tuple(self._admit(index, group) for index, group in enumerate(groups))
        self.flow.finish(Batch("admit", admitted))
        self.batches = {batch.step: batch for batch in self._steps()}

    def _admit(self, index: int, group: list[tuple[str, str]]) -> Task:
        task = Task("admit", index, f"{index}{uid_of(str(group))}"[:32])
        rows = [{"uid": uid_of(url), "url": url, "canonical_url": url, "host": host} for url, host in group]
        columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}
        columns["drop_reason"] = pa.array([None] * len(rows), pa.string())
        columns["expected_sha256"] = pa.array([None] * len(rows), pa.string())
        self._commit(task, lambda job: write_table(job.attempt.path("rows", "parquet"), _sorted(columns)), len(rows))
        return task

    def _steps(self) -> Iterator[Batch]:
        for batch in lanes.steps(self.flow):
            for task in batch.tasks:
                if batch.step != "fetch":
                    work = {"fetch-hosts": lanes.count_hosts, "fetch-lanes": lanes.deal_lanes}[batch.step]
                    self._commit(task, work, None)
            self.flow.finish(batch)
            yield batch

    def _commit(self, task: Task, work: Any, rows: int | None) -> None:
        folder = self.context.folder(task.step)
        attempt = Attempt(folder, task.index)
        outcome = work(Job(task, self.context, attempt))
        meta = outcome.meta if rows is None else {}
        counts = {} if rows is None else {"standing": rows}
        record = Record(task.step, task.index, task.fingerprint, attempt.publish(), rows or outcome.rows, counts, meta)
        folder.commit(record, may_commit=lambda: True)

    @property
    def fetches(self) -> tuple[Task, ...]:
        return self.batches["fetch"].tasks

    def hosts_of(self, task: Task) -> set[str]:
        pieces = [read_row_groups(self.context.path(ref), [group]) for ref, group in task.inputs["samples"]]
        return set(pa.concat_tables(pieces)["host"].to_pylist())


def _sorted(columns: dict[str, pa.Array]) -> pa.Table:
    return pa.table(columns).sort_by("uid")


def urls_of(host: str, count: int, first: int = 0) -> list[tuple[str, str]]:
    return [(f"http://{host}/{number}.png", host) for number in range(first, first + count)]


def test_a_giant_s_parts_hold_nobody_else(tmp_path: Path) -> None:
    small = [row for number in range(100) for row in urls_of(f"h{number}.cn", 20)]
    made = LaneFlow(tmp_path / "run", [urls_of("giant.cn", 2_000) + small], fetch={"part_rows": 700})
    giants = [task for task in made.fetches if "giant.cn" in made.hosts_of(task)]
    assert len(giants) == 3
    assert {task.lane for task in giants} == {2}
    assert all(made.hosts_of(task) == {"giant.cn"} for task in giants)
    assert {task.lane for task in made.fetches} == {0, 1, 2}
    for task in made.fetches:
        plan: LanePlan = task.inputs["plan"]
        assert (plan.lanes, plan.giants) == (2, ("giant.cn",))
        assert {plan.lane_of(host) for host in made.hosts_of(task)} == {task.lane}
    assert sum(task.num_rows or 0 for task in made.fetches) == 4_000


def test_a_lane_s_pieces_of_several_groups_make_one_part(tmp_path: Path) -> None:
    groups = [[row for number in range(30) for row in urls_of(f"h{number}.cn", 2, 2 * place)] for place in range(5)]
    recipe: dict[str, Any] = {"fetch": {"part_rows": 130}}
    made = LaneFlow(tmp_path / "run", groups, **recipe)
    assert len(made.batches["fetch-lanes"].tasks) == 1  # groups of admit parts hold a million rows
    (tmp_path / "more").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "grouped_by_rows", lambda refs, rows: ([ref] for ref in refs))
        cut = LaneFlow(tmp_path / "cut", groups, **recipe)
        assert len(cut.batches["fetch-lanes"].tasks) == 5
        assert [task.num_rows for task in cut.fetches] == [120, 120, 60]
        assert [task.index for task in cut.fetches] == [0, 1, 2]
        assert [len(task.inputs["samples"]) for task in cut.fetches] == [2, 2, 1]
        parts = sample_parts(cut.flow)
    assert [(part.fetched, part.num_rows) for part in parts] == [(task.ref, task.num_rows) for task in cut.fetches]


def test_the_same_samples_make_the_same_parts(tmp_path: Path) -> None:
    rows = urls_of("giant.cn", 1_500) + [row for number in range(60) for row in urls_of(f"h{number}.cn", 30)]
    first, second = (LaneFlow(tmp_path / name, [rows]) for name in ("a", "b"))
    assert [task.ref for task in first.fetches] == [task.ref for task in second.fetches]


def test_politeness_settings_change_shares_and_no_part(tmp_path: Path) -> None:
    rows = urls_of("giant.cn", 2_000) + [row for number in range(100) for row in urls_of(f"h{number}.cn", 20)]
    agent = table_recipe(tmp_path)["crawler"]
    quick, slow = (
        LaneFlow(tmp_path / name, [rows], crawler=agent | {"hosts": {"giant.cn": {"delay_s": delay_s}}})
        for name, delay_s in (("quick", 0), ("slow", 5))
    )
    assert [task.ref for task in quick.fetches] == [task.ref for task in slow.fetches]
    (before,) = (task for task in quick.fetches if task.lane == 2)
    (after,) = (task for task in slow.fetches if task.lane == 2)
    assert (before.cpus, after.cpus) == (BUSY_SHARE, 0.1)
    assert after.remaining_s == pytest.approx(10_000)


def test_a_lane_s_parts_say_what_is_left_of_it(tmp_path: Path) -> None:
    agent = table_recipe(tmp_path)["crawler"] | {"per_host": {"delay_s": 1.0}}
    made = LaneFlow(tmp_path / "run", [urls_of("a.cn", 100)], crawler=agent, fetch={"part_rows": 40})
    assert [task.remaining_s for task in made.fetches] == pytest.approx([100, 60, 20])


def test_hosts_are_counted_over_groups(tmp_path: Path) -> None:
    groups = [urls_of("giant.cn", 800, 800 * place) + urls_of(f"h{place}.cn", 700) for place in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "grouped_by_rows", lambda refs, rows: ([ref] for ref in refs))
        made = LaneFlow(tmp_path / "run", groups)
    assert plan_lanes({"giant.cn": 2_400}, 4_500, 2).giants == ("giant.cn",)
    assert {task.inputs["plan"].giants for task in made.fetches} == {("giant.cn",)}


def test_hosts_of_one_size_fill_all_lanes_alike(tmp_path: Path) -> None:
    rows = [row for number in range(64) for row in urls_of(f"h{number}.cn", 157)]
    groups = [[row for row in rows if len(row[0]) % 2 == place] for place in range(2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "grouped_by_rows", lambda refs, rows: ([ref] for ref in refs))
        first, second = (LaneFlow(tmp_path / name, groups) for name in ("a", "b"))
    assert {task.lane: task.num_rows for task in first.fetches} == {0: 32 * 157, 1: 32 * 157}
    assert [task.ref for task in first.fetches] == [task.ref for task in second.fetches]


def test_a_host_is_asked_in_one_lane_alone(tmp_path: Path) -> None:
    """Large ones and small ones, over groups and parts: two workers never meet at a host."""
    sizes = {f"h{number}.cn": 1 + 7_000 // (number + 5) for number in range(300)}
    rows = [row for host, size in sizes.items() for row in urls_of(host, size)]
    groups = [[row for row in rows if len(row[0]) % 3 == place] for place in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "grouped_by_rows", lambda refs, rows: ([ref] for ref in refs))
        made = LaneFlow(tmp_path / "run", groups, fetch={"part_rows": 500})
    lanes_of: dict[str, set[int | None]] = {}
    for task in made.fetches:
        for host in made.hosts_of(task):
            lanes_of.setdefault(host, set()).add(task.lane)
            assert task.inputs["plan"].lane_of(host) == task.lane
    assert set(lanes_of) == set(sizes)
    assert all(len(found) == 1 for found in lanes_of.values())


@pytest.mark.parametrize(
    ("cpu_s", "polite_s", "share"),
    [(50, 0, 0.8), (50, 49.9, 0.8), (50, 50, 0.4), (50, 230, 0.2), (50, 5_000, 0.1), (0, 0, 0.1), (0.01, 0, 0.8)],
)
def test_a_part_gets_the_share_of_a_cpu_that_it_can_use(cpu_s: float, polite_s: float, share: float) -> None:
    assert cpu_share(cpu_s, polite_s) == share
