"""How fast a finished run is decided again: `curate release` over made-up measures, by recipes that differ.

    python infra/bench/release_again.py            about 1,000,000 measured rows; the run takes 10 minutes to make
    python infra/bench/release_again.py --quick    50,000 candidates, under 50 s

Each figure is one call of what the command does, in a process of its own on a Ray pool of two workers (its start is
told apart): manifest, uids, report and digests, without tars. No peer decides again: img2dataset would start anew.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine
from measured_run import make_run
from process_tree import RAY_REAPED, TreeMeter, ray_role

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-release"
CHANGES = {
    "scores": ["rules.weak_match=clip_score >= 0.2"],
    "pixels": ["rules.plain=entropy >= 2"],
    "originals": ["rules.too_small=min_side > 200"],
    "texts": ["rules.too_long=zh_chars < 20"],
}
"""What is decided anew, from the latest stage to the earliest, and the overrides that ask for it."""

AIM_S = 60
QUICK_ROWS = 50_000
WORKERS = 2

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.run)))
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
        "aim": f"a million measured rows decided again in {AIM_S} s on 2 cores, whatever the rule",
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
    return parser.parse_args()


def _in_own_process(name: str, run: Path) -> Figures:
    command = [sys.executable, __file__, "--one", name, "--run", str(run)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _one(name: str, run: Path) -> Figures:
    """One call of what the command does. The pool is closed after the meter, which must see its workers."""
    from pipelines.progress import Progress
    from pipelines.recipe import read_recipe
    from pipelines.release_again import release_again
    from pipelines.workers import RayPool

    class _Pool(RayPool):
        def close(self) -> None:
            """Later."""

    started = time.monotonic()
    pool = _Pool(workers=WORKERS)
    ray_start_s = time.monotonic() - started
    mapping = read_recipe(str(run / "recipe.yaml"), CHANGES[name])
    with tempfile.TemporaryDirectory(dir=run.parent) as folder, TreeMeter(os.getpid(), None, ray_role, RAY_REAPED) as m:
        started = time.monotonic()
        made = release_again(run, mapping, name, f"{folder}/out", False, lambda: pool, Progress())
        seconds = time.monotonic() - started
    RayPool.close(pool)
    return {
        "changed": CHANGES[name],
        "seconds": round(seconds, 1),
        "ray_start_s": round(ray_start_s, 1),
        "samples": made.stats["samples"],
        "kept": made.stats["kept"],
        "lacking": made.lacking,
        "cpu_s": m.usage.cpu_s,
        "peak_of_one_worker_mib": m.usage.peak_of_one_mib.get("workers", 0.0),
        "foreign_cpu_s": m.usage.foreign_cpu_s,
    }


def _num_measured(run: Path) -> int:
    import duckdb

    from shards.catalog import committed_files
    from shards.database import quoted

    files = quoted(committed_files(run, "measure", "rows"))
    ((number,),) = duckdb.execute(f"SELECT count(entropy) FROM read_parquet({files})").fetchall()
    return int(number)


if __name__ == "__main__":
    main()
