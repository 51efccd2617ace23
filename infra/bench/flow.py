"""How fast collect and admit are: a made-up table of captions through the real stages with wukong's text rules.

    python infra/bench/flow.py            1, 2 and 4 million rows; about 10 minutes
    python infra/bench/flow.py --quick    200,000 rows, under 50 s

Each figure comes from a process of its own: `curate run`'s runner on a Ray pool of two workers, stopped after admit.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from caption_table import write_caption_table
from duckdb_pass import duckdb_pass
from machine import machine
from process_tree import RAY_REAPED, TreeMeter, TreeUsage, ray_role

WORKERS = 2
ROWS_PER_FILE = 250_000
QUICK_ROWS, QUICK_FILES = 200_000, 4
AIM_ROWS_PER_S = 100_000
_UNMASKED = "text.names=null"

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.rows, Path(arguments.folder))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-flow-", dir=arguments.folder) as folder:
        result = _quick(Path(folder)) if arguments.quick else _full(Path(folder), arguments.repeat)
    print(json.dumps(result, ensure_ascii=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller table, under 50 s")
    parser.add_argument("--repeat", type=int, default=3, help="times that the main size is measured")
    parser.add_argument("--folder", help="where the table and the runs may lie; default: the system's temporary folder")
    parser.add_argument("--one", choices=["ours", "ours-masked", "peer"], help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


def _quick(folder: Path) -> Figures:
    rows = QUICK_ROWS
    write_caption_table(folder / "table", rows, QUICK_FILES)
    ours, masked, peer = (_in_own_process(which, rows, folder) for which in ("ours", "ours-masked", "peer"))
    return _verdict({"unmasked": ours, "masked": masked}, peer, ours["rows_per_s"])


def _full(folder: Path, repeat: int) -> Figures:
    _say("writing 4,000,000 rows")
    write_caption_table(folder / "table", 4_000_000, num_files=4_000_000 // ROWS_PER_FILE)
    runs = [
        (_in_own_process("ours", 2_000_000, folder), _in_own_process("peer", 2_000_000, folder)) for _ in range(repeat)
    ]
    ours, peers = ([run[place] for run in runs] for place in (0, 1))
    sizes = {rows: _in_own_process("ours", rows, folder) for rows in (1_000_000, 4_000_000)}
    masked = _in_own_process("ours-masked", 2_000_000, folder)
    middle = _median_run(ours)
    figures = {
        "unmasked": middle,
        "unmasked_rows_per_s_of_all": [run["rows_per_s"] for run in ours],
        "masked": masked,
        "unmasked_1m": sizes[1_000_000],
        "unmasked_4m": sizes[4_000_000],
    }
    growth = {
        f"{name}_4m_over_1m": round(sizes[4_000_000][name] / sizes[1_000_000][name], 2)
        for name in ("peak_of_one_worker_mib", "peak_mib")
    }
    return _verdict(figures | growth, _median_run(peers), middle["rows_per_s"])


def _verdict(ours: Figures, peer: Figures, rows_per_s: float) -> Figures:
    return {
        "name": "flow",
        "machine": machine(),
        "ours": ours,
        "peer": {"what": "one DuckDB query with much the same rules; see duckdb_pass.py for what it lacks"} | peer,
        "ratio": round(rows_per_s / peer["rows_per_s"], 3),
        "aim": f"at least {AIM_ROWS_PER_S} rows/s without name masking on 2 cores",
        "met": rows_per_s >= AIM_ROWS_PER_S,
    }


def _median_run(runs: list[Figures]) -> Figures:
    middle = statistics.median_low(run["rows_per_s"] for run in runs)
    return next(run for run in runs if run["rows_per_s"] == middle)


def _in_own_process(which: str, rows: int, folder: Path) -> Figures:
    command = [sys.executable, __file__, "--one", which, "--rows", str(rows), "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    _say(f"{which} {rows}: {figures['rows_per_s']} rows/s, {figures['cpu_s_per_million']} CPU-s per million rows")
    return figures


def _one(which: str, rows: int, folder: Path) -> Figures:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        if which == "peer":
            return _measured_peer(rows, folder / "table", Path(scratch))
        return _measured_stages(rows, folder / "table", Path(scratch), is_masked=which == "ours-masked")


def _measured_peer(rows: int, table: Path, scratch: Path) -> Figures:
    with TreeMeter(os.getpid()) as meter:
        started = time.monotonic()
        num_samples = duckdb_pass(_files(table, rows), scratch / "samples.parquet", WORKERS)
        seconds = time.monotonic() - started
    return _figures(rows, seconds, meter.usage) | {"samples": num_samples}


def _measured_stages(rows: int, table: Path, scratch: Path, is_masked: bool) -> Figures:
    """Collect and admit of the wukong recipe. Starting Ray is told apart; what workers import and build is not."""
    from pipelines.checks import checked_plan
    from pipelines.progress import Progress
    from pipelines.recipe import read_recipe
    from pipelines.runner import Runner
    from pipelines.stages import STAGES
    from pipelines.tasks import Context
    from pipelines.workers import RayPool
    from shards.lease import Lease

    mapping = read_recipe("wukong", [] if is_masked else [_UNMASKED])
    mapping["crawler"] = {"user_agent": "bench/1.0 (+http://127.0.0.1/)"}
    mapping["source"]["paths"] = [str(path) for path in _files(table, rows)]
    plan = checked_plan(mapping, "wukong")
    started = time.monotonic()
    pool = RayPool(workers=WORKERS)
    ray_start_s = time.monotonic() - started
    with Lease.take(scratch) as lease, TreeMeter(os.getpid(), None, ray_role, RAY_REAPED) as meter:
        runner = Runner(Context(scratch, plan, lease.token), pool, Progress(io.StringIO(), live=False))
        started = time.monotonic()
        flow = runner.run([stage for stage in STAGES if stage.name in ("collect", "admit")])
        seconds = time.monotonic() - started
    pool.close()
    merged_rows = sum(record.meta["candidates"] for record in flow.records("admit"))
    if not rows == flow.rows("collect") == merged_rows:
        raise AssertionError(f"{rows} rows in, {flow.rows('collect')} candidates, {merged_rows} of them merged")
    return _figures(rows, seconds, meter.usage) | {"samples": flow.rows("admit"), "ray_start_s": round(ray_start_s, 2)}


def _figures(rows: int, seconds: float, usage: TreeUsage) -> Figures:
    """Rows/s by the wall clock; CPU seconds and memory of driver and workers, without Ray's daemons."""
    own = sum(usage.cpu_s.get(role, 0.0) for role in ("root", "workers"))
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "cpu_s_per_million": round(own * 1e6 / rows, 2),
        "cpu_s": usage.cpu_s,
        "peak_mib": round(sum(usage.peak_mib.get(role, 0.0) for role in ("root", "workers")), 1),
        "peak_of_one_worker_mib": usage.peak_of_one_mib.get("workers", 0.0),
        "foreign_cpu_s": usage.foreign_cpu_s,
    }


def _files(table: Path, rows: int) -> list[Path]:
    """The files that hold the first `rows` rows."""
    paths = sorted(table.glob("*.csv"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return paths if rows == QUICK_ROWS else paths[: rows // ROWS_PER_FILE]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
