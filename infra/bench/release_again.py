"""How fast a finished run is decided again: `curate release` over made-up measures, by recipes that differ.

    python infra/bench/release_again.py            about 1,000,000 measured rows; the run takes 10 minutes to make
    python infra/bench/release_again.py --quick    50,000 candidates, under 50 s

Each figure is one call of what the command does, in a process of its own with two threads, from the start of its
process to the end: manifest, uids, report and digests, without tars. `manifest_s` is when the last file of the manifest
was there. No peer decides again: img2dataset would start anew.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine
from measured_run import make_run
from process_tree import TreeMeter

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-release"
CHANGES = {
    "scores": ["rules.weak_match=clip_score >= 0.2"],
    "pixels": ["rules.plain=entropy >= 2"],
    "originals": ["rules.too_small=min_side > 200"],
    "texts": ["rules.too_long=zh_chars < 20"],
}
"""What is decided anew, from the latest stage to the earliest, and the overrides that ask for it."""

AIM_S = 10
QUICK_ROWS = 50_000
WORKERS = 2

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.run, arguments.started)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    run = make_run(arguments.work, QUICK_ROWS if arguments.quick else arguments.rows)
    wanted = arguments.only or (["scores", "texts"] if arguments.quick else list(CHANGES))
    runs = {name: _in_own_process(name, run) for name in wanted}
    result = {
        "name": "release_again",
        "machine": machine(),
        "ours": {"measured": _num_measured(run), **runs},
        "peer": None,
        "ratio": None,
        "aim": f"a million measured rows decided again, manifest and uids, in {AIM_S} s on 2 cores",
        "met": max(figures["seconds"] for figures in runs.values()) <= AIM_S,
    }
    print(json.dumps(result, ensure_ascii=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows, two recipes")
    parser.add_argument(
        "--rows", type=int, default=1_400_000, help="candidates of the run; about 1.0 million are measured"
    )
    parser.add_argument("--only", nargs="*", choices=list(CHANGES), help="some of the recipes")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where the run is kept, for another call")
    parser.add_argument("--one", choices=list(CHANGES), help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_own_process(name: str, run: Path) -> Figures:
    command = [sys.executable, __file__, "--one", name, "--run", str(run), "--started", str(time.monotonic())]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _one(name: str, run: Path, started: float) -> Figures:
    """One call of what the command does, from the start of its process to its end."""
    from pipelines.progress import Progress
    from pipelines.recipe import read_recipe
    from pipelines.release_again import release_again
    from pipelines.threads import ThreadPool

    imports_s, imports_cpu_s = time.monotonic() - started, time.process_time()
    steps = _metered_steps()
    with tempfile.TemporaryDirectory(dir=run.parent) as folder, TreeMeter(os.getpid(), None) as meter:
        mapping = read_recipe(str(run / "recipe.yaml"), CHANGES[name])
        out = f"{folder}/out"
        made = release_again(run, mapping, name, out, False, lambda: ThreadPool(WORKERS), Progress())
        seconds = time.monotonic() - started
    return {
        "changed": CHANGES[name],
        "seconds": round(seconds, 1),
        "imports_s": round(imports_s, 1),
        "manifest_s": round(max(end for step, _, end in steps if step in _MANIFEST) - started, 1),
        "samples": made.stats["samples"],
        "kept": made.stats["kept"],
        "lacking": made.lacking,
        "cpu_s": round(imports_cpu_s + sum(meter.usage.cpu_s.values()), 1),
        "step_cpu_s": _sums(steps),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "foreign_cpu_s": meter.usage.foreign_cpu_s,
    }


_Step = tuple[str, float, float]
"""What was made, the CPU seconds of its thread, and when it was there."""

_MANIFEST = ("release kept", "release dropped", "release decided")


def _metered_steps() -> list[_Step]:
    """A list that grows by each part that is made from now on."""
    from pipelines import attempts
    from pipelines.tasks import Job, Outcome

    steps: list[_Step] = []
    work = attempts._work

    def metered(job: Job) -> Outcome:
        before = time.thread_time()
        outcome = work(job)
        step = f"{job.task.step} {job.task.inputs.get('kind', '')}".strip()
        steps.append((step, time.thread_time() - before, time.monotonic()))
        return outcome

    attempts._work = metered
    return steps


def _sums(steps: list[_Step]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for step, cpu_s, _ in steps:
        sums[step] = sums.get(step, 0.0) + cpu_s
    return {step: round(cpu_s, 1) for step, cpu_s in sums.items()}


def _num_measured(run: Path) -> int:
    import duckdb

    from shards.catalog import committed_files
    from shards.database import quoted

    files = quoted(committed_files(run, "measure", "rows"))
    ((number,),) = duckdb.execute(f"SELECT count(entropy) FROM read_parquet({files})").fetchall()
    return int(number)


if __name__ == "__main__":
    main()
