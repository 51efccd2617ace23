"""What a run of 1 and 10 billion rows would be: the real runner and stages over made-up rows, and what grows how.

    python infra/bench/simulate.py                    1 and 3 million rows; some 15 minutes, 5 GB of disk
    python infra/bench/simulate.py --rows 10000000    16 GB of disk; some 40 minutes
    python infra/bench/simulate.py --quick            50,000 rows, under a minute

Each size is a run in a process of its own, by one pool that calls at once: collect, admit, lanes, dedup, select and
release (manifest, report) are the real ones, downloads, measures and scores are made up (measured_run.py), and there
are no images. What no later stage reads is deleted as it goes, after it was counted. The largest run is extrapolated.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import machine, peak_mib
from one_process import OneProcess
from simulated_scale import Limits, Measured, Prices, Shuffle, Step, extrapolated, first_to_break

SIZES, QUICK_SIZES = (1_000_000, 3_000_000), (50_000,)
ASKED = (1e9, 1e10)
SPENT = {
    "fetch": ("admit-shuffle", "admit-count", "collect"),
    "score": ("measure", "dedup-*"),
    "release": ("admit", "fetch-lanes", "dedup", "score", "select-shuffle", "select-rows", "select-judge"),
}
"""Stage -> the steps whose files nothing reads from there on."""

SINGLE = frozenset({"select-order", "select-tally"})
"""Steps that are one part whatever the size."""

SHUFFLES = {"admit-shuffle": 1_000_000, "dedup-shuffle": 1_000_000, "select-shuffle": 500_000}
"""The shuffles of global stages, and the rows of a bucket of theirs (`buckets_for`, pipelines/flow/gather.py)."""

FULL_ROWS = {
    **dict.fromkeys(("fetch", "measure", "dedup-stand", "dedup", "score"), 10_000),
    **dict.fromkeys(("admit-shuffle", "admit", "fetch-hosts", "fetch-lanes"), 1_000_000),
    **dict.fromkeys(("dedup-shuffle", "dedup-distinct", "dedup-groups", "select-shuffle"), 1_000_000),
    **dict.fromkeys(("select-rows", "select-judge", "select"), 500_000),
}
"""Rows that a part holds when there are enough: `fetch.part_rows`, and what tasks of global stages take."""

RAY_DRIVER_MS = 4.6
"""What a part costs the driver where Ray runs it (driver.py); here it is called without."""

_PLANNED_BYTES = 50
"""Of a part in the file of what is planned: its number and fingerprint, in JSON."""

Figures = dict[str, Any]


class MeteredPool(OneProcess):
    """A pool that calls at once, in this process, and keeps the CPU of each step's parts."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu_s: dict[str, float] = {}

    def start(self, function: Callable[..., Any], *arguments: Any, cpus: float = 1.0, gpus: float = 0.0) -> object:
        step, began = arguments[0].step, time.process_time()
        handle = super().start(function, *arguments)
        self.cpu_s[step] = self.cpu_s.get(step, 0.0) + time.process_time() - began
        return handle


class Watched:
    """The stages of a run, each counting and deleting what is spent before it begins."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self.found: dict[str, Figures] = {}
        self.shuffles: dict[str, Figures] = {}
        self.began_s = self.began_cpu_s = 0.0
        """When the first stage began: before that the list of URLs is made."""

    def stages(self) -> list[Any]:
        from dataclasses import replace

        from pipelines.stages import STAGES

        return [replace(stage, steps=self._watched(stage.name, stage.steps)) for stage in STAGES]

    def count(self) -> None:
        """What lies in the run now, but for what was deleted, which keeps its figures."""
        for done in sorted(self._run.glob("*/_done")):
            if done.parent.name not in self.found:
                self.found[done.parent.name] = _step_figures(done)

    def _watched(self, stage: str, steps: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def watched(flow: Any) -> Iterator[Any]:
            if not self.began_s:
                self.began_s, self.began_cpu_s = time.monotonic(), time.process_time()
            if stage in SPENT:
                self._note_shuffles()
                for pattern in SPENT[stage]:
                    for folder in self._run.glob(pattern):
                        self.found[folder.name] = _step_figures(folder / "_done")
                        _delete_files(folder)
            yield from steps(flow)

        return watched

    def _note_shuffles(self) -> None:
        for step in SHUFFLES:
            if step not in self.shuffles and (self._run / step).is_dir():
                self.shuffles[step] = _shuffle_figures(self._run, step)


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(arguments.one, arguments.folder)))
        return
    sizes = arguments.rows or (QUICK_SIZES if arguments.quick else SIZES)
    with tempfile.TemporaryDirectory(prefix="bench-simulate-", dir=arguments.folder) as folder:
        runs = [_in_own_process(rows, Path(folder)) for rows in sizes]
    print(json.dumps(_verdict(runs, _prices(arguments.price))))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--rows", type=int, nargs="*", help="candidates of each run")
    parser.add_argument("--price", nargs="*", default=[], metavar="NAME=DOLLARS", help=f"of {asdict(Prices())}")
    parser.add_argument("--folder", type=Path, help="where runs may lie; default: the system's temporary folder")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _prices(given: Sequence[str]) -> Prices:
    pairs = (text.partition("=") for text in given)
    return Prices(**{name: float(dollars) for name, _, dollars in pairs})


def _verdict(runs: list[Figures], prices: Prices) -> Figures:
    measured = _measured(runs[-1])
    breaks = first_to_break(measured)
    return {
        "name": "simulate",
        "machine": machine(),
        "ours": {
            "runs": runs,
            "extrapolated": [extrapolated(measured, rows, prices) for rows in ASKED],
            "prices": asdict(prices),
            "limits": asdict(Limits()),
            "breaks": [{"limit": name, "at_rows": rows} for name, rows in breaks],
        },
        "peer": None,
        "ratio": None,
        "aim": "nothing breaks below 1e9 rows, and what breaks first is named",
        "met": not breaks or breaks[0][1] > 1e9,
    }


def _measured(run: Figures) -> Measured:
    return Measured(
        run["rows"],
        max(run["driver_ms_a_part"], RAY_DRIVER_MS),
        run["driver_bytes_a_part"],
        run["resume_us_a_part"],
        _PLANNED_BYTES,
        run["footer_s_a_gb"],
        tuple(Step(name, **figures, full_rows=FULL_ROWS.get(name, 0)) for name, figures in run["steps"].items()),
        tuple(Shuffle(name, **figures, bucket_rows=SHUFFLES[name]) for name, figures in run["shuffles"].items()),
        kept_share=run["kept"] / run["rows"],
        single=SINGLE,
    )


def _in_own_process(rows: int, folder: Path) -> Figures:
    command = [sys.executable, __file__, "--one", str(rows), "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    shutil.rmtree(folder / f"run-{rows}")
    shutil.rmtree(folder / f"table-{rows}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{rows}: {figures['seconds']} s", file=sys.stderr, flush=True)
    return figures


def _one(rows: int, folder: Path) -> Figures:
    from measured_run import make_run

    pool, watched = MeteredPool(), Watched(folder / f"run-{rows}")
    run = make_run(folder, rows, pool, watched.stages())
    driver_s = time.process_time() - watched.began_cpu_s - sum(pool.cpu_s.values())
    watched.count()
    num_parts = sum(figures["parts"] for figures in watched.found.values())
    steps = {name: figures | {"cpu_s": round(pool.cpu_s.get(name, 0.0), 2)} for name, figures in watched.found.items()}
    return {
        "rows": rows,
        "kept": json.loads((run / "release" / "stats.json").read_bytes())["kept"],
        "seconds": round(time.monotonic() - watched.began_s, 1),
        "parts": num_parts,
        "objects": sum(figures["files"] + figures["parts"] for figures in steps.values()),
        "bytes": sum(figures["bytes"] for figures in steps.values()),
        "cpu_s_a_million": round(sum(pool.cpu_s.values()) / rows * 1e6, 1),
        "driver_ms_a_part": round(1000 * driver_s / num_parts, 3),
        "driver_bytes_a_part": _driver_bytes_a_part(),
        "peak_mib": peak_mib(),
        "footer_s_a_gb": _footer_s_a_gb(folder / "footer.parquet"),
        **_decided_again(run, list(watched.found)),
        "steps": steps,
        "shuffles": watched.shuffles,
    }


def _step_figures(done: Path) -> Figures:
    """A step by its commit records: `largest_part_rows` is the skew of its keys where a part is a bucket."""
    from shards.parts import StepFolder

    records = StepFolder(done.parents[1], done.parent.name).records()
    return {
        "parts": len(records),
        "rows": sum(record.rows for record in records),
        "files": sum(len(record.files) for record in records),
        "bytes": sum(file.bytes for record in records for file in record.files),
        "record_bytes": sum(path.stat().st_size for path in done.iterdir()),
        "largest_part_rows": max((record.rows for record in records), default=0),
    }


def _shuffle_figures(run: Path, step: str) -> Figures:
    """Of a shuffle's files: rows of its largest bucket over the mean, and what each bucket adds to a file's footer."""
    import pyarrow.parquet as pq

    from shards.parts import StepFolder

    folder = StepFolder(run, step)
    found = [pq.read_metadata(folder.file(record, "rows")) for record in folder.records()]
    buckets = found[0].num_row_groups
    rows = [sum(file.row_group(bucket).num_rows for file in found) for bucket in range(buckets)]
    return {
        "group_footer_bytes": round(sum(file.serialized_size for file in found) / len(found) / buckets),
        "columns": found[0].num_columns,
        "max_over_mean": round(max(rows) * buckets / max(1, sum(rows)), 4),
    }


def _decided_again(run: Path, steps: Sequence[str]) -> Figures:
    """Seconds of one listing of all steps, and of one reading of all records, as a resume takes them."""
    from shards.parts import StepFolder

    folders = [StepFolder(run, name) for name in steps]
    began = time.process_time()
    num_parts = sum(len(folder.committed()) for folder in folders)
    listing = time.process_time() - began
    began = time.process_time()
    for folder in folders:
        folder.records()
    reading = time.process_time() - began
    return {
        "listing_us_a_part": round(1e6 * listing / num_parts, 1),
        "resume_us_a_part": round(1e6 * reading / num_parts, 1),
    }


def _driver_bytes_a_part() -> int:
    """What the runner and its plan hold of a part: ten thousand of them are made, and counted."""
    import tracemalloc

    from pipelines.tasks import PartRef, Task
    from shards.parts import fingerprint

    tracemalloc.start()
    held = [Task("step", place, fingerprint(place), {"part": PartRef("step", place, "")}) for place in range(10_000)]
    planned = [(task.index, task.fingerprint) for task in held]
    files = {(task.index, task.fingerprint[:8]): (f"part-{task.index:06d}.parquet",) for task in held}
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return round(size / max(len(planned), len(files)))


def _footer_s_a_gb(path: Path) -> float:
    """CPU seconds that reading a gigabyte of Parquet footer takes, by one of 500 row groups of 60 columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({f"column_{number}": ["a", "b"] for number in range(60)})
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(500):
            writer.write_table(table)
    began = time.process_time()
    size: int = pq.read_metadata(path).serialized_size
    seconds = time.process_time() - began
    path.unlink()
    return round(seconds / size * 1e9, 1)


def _delete_files(folder: Path) -> None:
    """All files of a step but its records, which later stages plan by."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


if __name__ == "__main__":
    main()
