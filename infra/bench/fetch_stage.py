"""Our side of the fetch bench: the real stages over a list of URLs on Ray, metered from fetch on.

    python infra/bench/fetch_stage.py JOB.json      prints the figures as JSON on its last line

A process of its own for each run. `fetch.py` writes the job: a recipe, a folder, the last stage, the number of
workers, the server's pid.
"""

import io
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from process_tree import RAY_PRIORITY, RAY_REAPED, TreeMeter, ray_role

from pipelines.checks import checked_plan
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import STAGES
from pipelines.tasks import Batch, Context, Flow
from pipelines.workers import RayPool
from shards.lease import Lease
from shards.tables import read_rows

STATUSES = "statuses.json"
"""In the run's folder: what became of each uid."""


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(run_stages(job, Path(job["folder"]))))


def run_stages(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Runs the recipe up to its last stage. `seconds`: from the first fetch part planned to the last committed."""
    os.environ.update(RAY_PRIORITY)
    started = time.monotonic()
    plan = checked_plan(job["recipe"], "bench")
    pool = RayPool(workers=job["workers"])
    warm_up(pool, job["workers"], job["last_stage"])
    names = [stage.name for stage in STAGES]
    stages = STAGES[: names.index(job["last_stage"]) + 1]
    clock = StageClock(job["last_stage"], TreeMeter(os.getpid(), job["server"], ray_role, RAY_REAPED))
    with Lease.take(folder) as lease:
        flow = Runner(Context(folder, plan, lease.token), pool, clock).run(stages)
    statuses = _statuses(flow)
    (folder / STATUSES).write_text(json.dumps(statuses))
    pool.close()
    usage = clock.meter.usage
    own_cpu_s = usage.cpu_s["root"] + usage.cpu_s["workers"]
    return {
        "seconds": round(clock.seconds, 2),
        "start_s": round(clock.began - started, 2),
        "images": sum(status == "success" for status in statuses.values()),
        "cpu_s": round(own_cpu_s, 2),
        "daemons_cpu_s": usage.cpu_s["daemons"],
        "peak_mib": round(usage.peak_mib["root"] + usage.peak_mib["workers"], 1),
        "peak_of_driver_mib": usage.peak_mib["root"],
        "peak_of_workers_mib": usage.peak_mib["workers"],
        "peak_of_daemons_mib": usage.peak_mib["daemons"],
        "server_cpu_s": usage.server_cpu_s,
        "foreign_cpu_s": usage.foreign_cpu_s,
    }


def warm_up(pool: RayPool, workers: int, last_stage: str) -> None:
    """Starts each worker and imports what it needs: start-up, as the peer's processes have it before their clock."""
    handles = [pool.start(_import_work, last_stage) for _ in range(workers)]
    while handles:
        for handle in pool.wait(handles, 1.0):
            pool.result(handle)
            handles.remove(handle)


def _import_work(last_stage: str) -> None:
    names = ["pipelines.stages", "crawler.download", "crawler.part_downloads", "aiohttp"]
    if last_stage == "measure":
        names += ["filters.pixel_kernels", "filters.colour_kernels", "dedup.lanczos_kernels", "scipy.fftpack"]
    for name in names:
        import_module(name)
    time.sleep(1)  # so that one worker does not take both calls


class StageClock(Progress):
    """A silent progress that meters from the first fetch part planned until the last stage is done."""

    def __init__(self, last_stage: str, meter: TreeMeter) -> None:
        super().__init__(io.StringIO(), live=False)
        self.meter = meter
        self.began = self.seconds = 0.0
        self._last_stage = last_stage

    def begin(self, stage: str, batch: Batch) -> None:
        if stage == "fetch" and not self.began:
            self.meter.__enter__()
            self.began = time.monotonic()
        super().begin(stage, batch)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def end(self, stage: str) -> None:
        if stage == self._last_stage:
            self.seconds = time.monotonic() - self.began
            self.meter.__exit__(None, None, None)
        super().end(stage)


def _statuses(flow: Flow) -> dict[str, str]:
    """By uid, `success` or the reason it fell for."""
    found = {}
    for task in flow.tasks("fetch"):
        rows = read_rows(flow.context.path(task.ref), ["uid", "drop_reason", "detail"])
        for row in rows.to_pylist():
            reason = f"{row['drop_reason']} {row['detail'] or ''}".rstrip()
            found[row["uid"]] = "success" if row["drop_reason"] is None else reason
    return found


if __name__ == "__main__":
    main()
