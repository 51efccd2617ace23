"""A row that eats its worker's memory is found by halving and set aside, with a worker that is really killed."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines import attempts, stages
from pipelines.launch import run_recipe
from pipelines.progress import Progress
from pipelines.tasks import Job, Outcome, Task
from pipelines.workers import RayPool
from shards.catalog import committed_files
from tests.pipelines.conftest import FinishedRun

pytestmark = pytest.mark.slow

_GREEDY_ROW = 3
_LIMIT_MB, _EATEN_MB = 1500, 3000


class GreedyPool(RayPool):
    """Ray's workers, in which a part of `measure` eats memory where a certain row is among those that it works on."""

    def start_at(self, place: Any, function: Callable[..., Any], *arguments: object, **shares: float) -> object:
        return super().start_at(place, in_greedy_worker, function, *arguments, **shares)


def in_greedy_worker(function: Callable[..., Any], task: Task, *arguments: object) -> Any:
    """In the worker, whose table of work is its own."""
    table = {"measure": eating(stages.WORK["measure"])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "WORK", {**stages.WORK, **table})
        return function(task, *arguments)


def eating(work: Callable[[Job], Outcome]) -> Callable[[Job], Outcome]:
    def work_greedily(job: Job) -> Outcome:
        start, stop = job.rows.only or (0, job.task.num_rows or 0)
        if start <= _GREEDY_ROW < stop and _GREEDY_ROW not in job.rows.skip:
            held = bytearray(_EATEN_MB * 2**20)
            held[:: 2**10] = b"\1" * len(held[:: 2**10])
        return work(job)

    return work_greedily


@pytest.fixture
def pool() -> Iterator[RayPool]:
    opened = GreedyPool(workers=1)
    yield opened
    opened.close()


def test_a_row_that_eats_its_worker_s_memory_is_set_aside_alone(
    tmp_path: Path, finished: FinishedRun, pool: RayPool
) -> None:
    run = finished.copy(tmp_path, "fetch")
    recipe = finished.recipe | {"resources": {"measure": {"memory_mb": _LIMIT_MB}}}
    told = io.StringIO()
    result = run_recipe(recipe, "recipe test", str(run), lambda: pool, Progress(told, live=False))
    assert result.num_dead == 1
    assert "measure part 0, try 3: the worker died under its task" in told.getvalue()
    (grave,) = [json.loads(path.read_bytes()) for path in (run / "dead").glob("*.json")]
    assert (grave["step"], grave["row"]) == ("measure", _GREEDY_ROW)
    (before,) = committed_files(finished.folder, "measure", "rows")
    (after,) = committed_files(run, "measure", "rows")
    was, now = (pq.read_table(path, columns=["uid", "drop_reason"]).to_pylist() for path in (before, after))
    changed = [place for place, (one, other) in enumerate(zip(was, now, strict=True)) if one != other]
    reason = was[_GREEDY_ROW]["drop_reason"]  # a row that had fallen before keeps its reason
    assert changed == ([_GREEDY_ROW] if reason is None else [])
    assert now[_GREEDY_ROW]["drop_reason"] == (reason or "worker_oom")
