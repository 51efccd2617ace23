"""What the driver of a run spends on a part: the real runner, records and Ray pool over tasks that do next to nothing.

    python infra/bench/driver.py            10,000 parts through Ray, 100,000 committed parts decided again; 2 minutes
    python infra/bench/driver.py --parts 1000 --committed 10000

The driver's CPU is this process's own, all its threads, Ray's among them; workers, raylet and control store are apart.
"""

import argparse
import io
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import machine, peak_mib

from pipelines.checks import checked_plan
from pipelines.known_parts import KNOWN_FOLDER, KnownPart, KnownParts
from pipelines.progress import Progress
from pipelines.recipe import read_recipe
from pipelines.runner import Runner
from pipelines.stages import Stage
from pipelines.tasks import Batch, Context, Flow, Task
from pipelines.workers import RayPool
from shards.lease import Lease
from shards.parts import Attempt, Record, StepFolder, fingerprint

STEP = "measure"
AIM_MS_A_PART, AIM_RESUME_S = 5.0, 5.0
_PAYLOAD = b"a part's file, of a few bytes\n"


def many(num_parts: int) -> Stage:
    """A stage of one step and many tasks."""

    def steps(flow: Flow) -> Iterator[Batch]:
        yield Batch(STEP, tuple(Task(STEP, index, _mark(index)) for index in range(num_parts)))

    return Stage(STEP, "map", steps, "next to nothing", "CPU")


class Trivial:
    """A pool that runs something trivial in place of each call of the runner's."""

    def __init__(self, pool: RayPool) -> None:
        self._pool, self.slots = pool, pool.slots

    def start(self, function: Any, *arguments: Any, cpus: float = 1.0, gpus: float = 0.0) -> object:
        return self._pool.start(make_trivial_part, *arguments, cpus=cpus, gpus=gpus)

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        return self._pool.wait(handles, timeout_s)

    def result(self, handle: object) -> Any:
        return self._pool.result(handle)

    def close(self) -> None:
        self._pool.close()


class Never:
    """The pool of a run in which everything is done."""

    slots = 2

    def start(self, function: Any, *arguments: Any, cpus: float = 1.0, gpus: float = 0.0) -> object:
        raise AssertionError("a committed part was started again")

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        return []

    def result(self, handle: object) -> Any:
        raise AssertionError("nothing was started")

    def close(self) -> None:
        pass


def make_trivial_part(task: Task, context: Context) -> Record:
    """One small file, published and committed as any part's is."""
    folder = context.folder(task.step)
    attempt = Attempt(folder, task.index)
    attempt.path("rows", "parquet").write_bytes(_PAYLOAD)
    record = Record(task.step, task.index, task.fingerprint, attempt.publish(), 1)
    return folder.commit(record, may_commit=lambda: True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=10_000, help="parts that are run")
    parser.add_argument("--committed", type=int, default=100_000, help="parts that were committed before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-driver-") as folder:
        run = _run(Path(folder) / "run", arguments.parts)
        committed = Path(folder) / "committed"
        _commit(committed, arguments.committed)
        resume = _resumed(committed, arguments.committed)
        by_records = _resumed(committed, arguments.committed, is_known=False)
    found: dict[str, Any] = {"machine": machine(), "run": run, "resume": resume, "resume_by_records": by_records}
    found["driver_peak_mib"] = peak_mib()
    found["met"] = run["driver_ms_a_part"] <= AIM_MS_A_PART and resume["seconds"] <= AIM_RESUME_S
    print(json.dumps(found))


def _run(folder: Path, num_parts: int) -> dict[str, Any]:
    pool = RayPool(workers=2)
    try:
        seconds, cpu = _measured(folder, many(num_parts), Trivial(pool))
    finally:
        pool.close()
    return {"parts": num_parts, "seconds": round(seconds, 2), "driver_ms_a_part": round(1000 * cpu / num_parts, 3)}


def _commit(folder: Path, num_parts: int) -> None:
    """Parts as workers commit them and a driver notes them, not forced to disk, which is not what is measured."""
    StepFolder.is_synced = False
    folder.mkdir()
    done, known = StepFolder(folder, STEP), KnownParts(folder / KNOWN_FOLDER / f"{STEP}.jsonl")
    for index in range(num_parts):
        attempt = Attempt(done, index)
        attempt.path("rows", "parquet").write_bytes(_PAYLOAD)
        record = Record(STEP, index, _mark(index), attempt.publish(), 1)
        done.commit(record, may_commit=lambda: True)
        known.add((index, record.fingerprint[:8]), KnownPart.of(record))


def _resumed(folder: Path, num_parts: int, is_known: bool = True) -> dict[str, Any]:
    """A run that finds all of it done: by what its driver knew, or where that is gone by each part's record."""
    if not is_known:
        shutil.rmtree(folder / KNOWN_FOLDER)
    seconds, cpu = _measured(folder, many(num_parts), Never())
    return {"parts": num_parts, "seconds": round(seconds, 2), "cpu_s": round(cpu, 2)}


def _measured(folder: Path, stage: Stage, pool: Any) -> tuple[float, float]:
    """Seconds by the clock and of CPU that one run of a stage takes of the driver."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = checked_plan(read_recipe("wukong", ['crawler.user_agent="bench/1.0 (+https://example.org/bot)"']), "recipe")
    with Lease.take(folder) as lease:
        runner = Runner(Context(folder, plan, lease.token), pool, Progress(io.StringIO(), live=False))
        began, cpu = time.perf_counter(), time.process_time()
        runner.run([stage])
        return time.perf_counter() - began, time.process_time() - cpu


def _mark(index: int) -> str:
    return fingerprint("bench", index)


if __name__ == "__main__":
    main()
