"""Politeness over workers: 200,000 URLs on 2,000 loopback hosts, some dead, some dripping, one with half of all URLs.

    python infra/bench/hosts.py            with and without the giant, each through the real fetch stage; 20 minutes
    python infra/bench/hosts.py --quick    3,000 URLs on 200 hosts, under 50 s on a quiet machine

The server's own log says when which host was asked: how many requests were in flight, how far apart they began,
when the giant and when the others were done. Two Ray workers; each run in a process of its own.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import machine
from process_tree import RAY_PRIORITY

WORKERS = 2
PORT = 18_632
CONCURRENCY = 2
DEAD_SHARE, DRIPPING_SHARE = 0.05, 0.02
TOLERANCE_S = 0.002
"""By how much a start may seem early, by the clock of the kernel that receives it: two processes' clocks meet here."""
WINDOW = 20
"""Starts over which the giant's mean gap is held against its delay, since the tolerance is longer than that delay."""
PAUSE_S = 0.1
"""A gap of the giant's that is longer than this is no gap but a pause: a part ends, and the next one begins."""
AIM_OTHERS, AIM_GIANT = 1.3, 1.1

Figures = dict[str, Any]
Log = npt.NDArray[Any]


@dataclass(frozen=True)
class Size:
    """How much is fetched. Other hosts' delay makes each lane wait longer than it works, as on the web."""

    urls: int
    hosts: int
    lanes: int
    giant_delay_s: float
    delay_s: float


FULL = Size(200_000, 2_000, 4, 0.008, 4.0)
QUICK = Size(3_000, 200, 2, 0.010, 0.5)


def main() -> None:
    arguments = _arguments()
    size = QUICK if arguments.quick else FULL
    if arguments.one:
        print(json.dumps(_one(size, arguments.one == "with", Path(arguments.folder))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-hosts-", dir=arguments.folder) as folder:
        alone, together = (_in_own_process(which, arguments.quick, Path(folder)) for which in ("without", "with"))
    print(json.dumps(_verdict(alone, together), ensure_ascii=False))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer URLs, under 50 s")
    parser.add_argument("--folder", help="where tables and runs may lie; default: the system's temporary folder")
    parser.add_argument("--one", choices=["with", "without"], help=argparse.SUPPRESS)
    return parser.parse_args()


def _verdict(alone: Figures, together: Figures) -> Figures:
    others = round(together["others_s"] / alone["others_s"], 3)
    giant = together["giant_over_bound"]
    is_polite = all(run["is_polite"] for run in (alone, together))
    return {
        "name": "hosts",
        "machine": machine(),
        "ours": {"others_with_over_without": others, "with": together, "without": alone},
        "peer": {"what": "the same run without the giant"} | {"others_s": alone["others_s"]},
        "ratio": others,
        "aim": f"others within {AIM_OTHERS}x of a run without the giant; giant within {AIM_GIANT}x of count x delay; "
        "no host asked more often than its limits say",
        "met": others <= AIM_OTHERS and giant <= AIM_GIANT and is_polite,
    }


def _in_own_process(which: str, is_quick: bool, folder: Path) -> Figures:
    command = [sys.executable, __file__, "--one", which, "--folder", str(folder), *(["--quick"] if is_quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{which} the giant: {json.dumps(figures)}", file=sys.stderr, flush=True)
    return figures


def _one(size: Size, has_giant: bool, folder: Path) -> Figures:
    hosts = addresses(size.hosts)
    alive, dripping = _fates(hosts)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        num_urls = _write_table(scratch / "table.csv", size, hosts, has_giant)
        with _server(scratch, alive, dripping):
            fetched = _fetch(size, hosts[0], scratch)
        log = np.load(scratch / "log.npy")
    return fetched | {"urls": num_urls} | _figures(log, size, has_giant)


def addresses(count: int) -> list[str]:
    """127.0.2.1 and on, 250 to a /24: the giant is the first."""
    return [f"127.0.{2 + number // 250}.{1 + number % 250}" for number in range(count)]


def _fates(hosts: list[str]) -> tuple[list[str], list[str]]:
    """Who listens, and who of them drips, spread over all blocks; the giant is sound."""
    dead = set(hosts[7 :: round(1 / DEAD_SHARE)])
    dripping = hosts[11 :: round(1 / DRIPPING_SHARE)]
    return [host for host in hosts if host not in dead], dripping


def _write_table(path: Path, size: Size, hosts: list[str], has_giant: bool) -> int:
    """Half of the URLs on the giant, the others evenly on the other hosts."""
    half = size.urls // 2
    urls = [f"http://{hosts[1 + number % (len(hosts) - 1)]}:{PORT}/{number}.png" for number in range(half)]
    if has_giant:
        urls += [f"http://{hosts[0]}:{PORT}/{number}.png" for number in range(half)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("url", "caption"))
        writer.writerows((url, "一张小图") for url in urls)
    return len(urls)


@contextmanager
def _server(scratch: Path, alive: list[str], dripping: list[str]) -> Iterator[None]:
    setup = {"port": PORT, "latency_s": 0.002, "hosts": alive, "dripping": dripping}
    (scratch / "hosts.json").write_text(json.dumps(setup))
    script = Path(__file__).with_name("host_server.py")
    command = [sys.executable, str(script), str(scratch / "hosts.json"), str(scratch / "log.npy")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        if server.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the server of {len(alive)} hosts did not start on port {PORT}")
        try:
            yield
        finally:
            server.stdin.close()
            server.wait()


def _fetch(size: Size, giant: str, scratch: Path) -> Figures:
    """Collect, admit and fetch on a Ray pool; seconds are of fetch alone."""
    from pipelines.checks import checked_plan
    from pipelines.progress import Progress
    from pipelines.runner import Runner
    from pipelines.stages import STAGES
    from pipelines.tasks import Context
    from pipelines.workers import RayPool
    from shards.lease import Lease

    os.environ.update(RAY_PRIORITY)
    blocks = sorted({".".join(address.split(".")[:3]) for address in addresses(size.hosts)})
    mapping = {
        "name": "hosts",
        "source": {"kind": "table", "layout": "wukong", "paths": [str(scratch / "table.csv")]},
        "crawler": {
            "user_agent": "bench/1.0 (+http://127.0.0.1/)",
            "per_host": {"concurrency": CONCURRENCY, "delay_s": size.delay_s},
            "hosts": {giant: {"delay_s": size.giant_delay_s}},
            "lanes": size.lanes,
        },
        "network": {"allow_private": [f"{block}.0/24:{PORT}" for block in blocks]},
        # With cool-downs of the default 60 s, parts this short would mostly wait for their dead hosts.
        "fetch": {"retries": 1, "rate_grace_s": 2, "breaker_reopen_s": 5},
        "release": {"caption": ["caption"]},
    }
    plan = checked_plan(mapping, "hosts")
    pool = RayPool(workers=WORKERS)
    said = io.StringIO()
    run = scratch / "run"
    run.mkdir()
    with Lease.take(run) as lease:
        runner = Runner(Context(run, plan, lease.token), pool, Progress(said, live=False))
        flow = runner.run([stage for stage in STAGES if stage.name in ("collect", "admit")])
        started = time.monotonic()
        flow = runner.run([stage for stage in STAGES if stage.name in ("collect", "admit", "fetch")])
        seconds = time.monotonic() - started
    pool.close()
    records = list(flow.records("fetch"))
    lanes = {task.lane for task in flow.tasks("fetch")}
    reasons: dict[str, int] = {}
    for record in records:
        for reason, count in record.counts.items():
            reasons[reason] = reasons.get(reason, 0) + count
    print(said.getvalue(), file=sys.stderr, flush=True)
    return {"fetch_s": round(seconds, 1), "parts": len(records), "lanes": len(lanes), "reasons": reasons}


def _figures(log: Log, size: Size, has_giant: bool) -> Figures:
    """What the server saw. Times begin with the first request of all."""
    first = float(log["start"].min())
    images = log[log["is_image"]]
    others = images[images["host"] != 0]
    figures: Figures = {
        "requests": len(log),
        "others_s": round(float(others["end"].max()) - first, 1),
        "others_99_s": round(float(np.quantile(others["end"], 0.99)) - first, 1),
        "most_in_flight": most_in_flight(log),
        "early_starts": _early_starts(log[log["host"] != 0], size.delay_s),
        "least_gap_s": round(_least_gap(log[log["host"] != 0]), 4),
        "tolerance_s": TOLERANCE_S,
    }
    is_polite = figures["most_in_flight"] <= CONCURRENCY and figures["early_starts"] == 0
    if has_giant:
        giant = images[images["host"] == 0]
        seconds = float(giant["end"].max() - giant["start"].min())
        starts = np.sort(log[log["host"] == 0]["start"])
        spans = starts[WINDOW:] - starts[:-WINDOW]
        gaps = np.diff(starts)
        figures |= {
            "giant_s": round(seconds, 1),
            "giant_over_bound": round(seconds / (len(giant) * size.giant_delay_s), 3),
            "giant_mean_gap_s": round(float(gaps[gaps < PAUSE_S].mean()), 5),
            "giant_pauses_s": round(float(gaps[gaps >= PAUSE_S].sum()), 1),
            "giant_least_mean_gap_s": round(float(spans.min()) / WINDOW, 5),
            "giant_delay_s": size.giant_delay_s,
        }
        is_polite = is_polite and float(spans.min()) >= WINDOW * size.giant_delay_s - TOLERANCE_S
    return figures | {"is_polite": bool(is_polite)}


def most_in_flight(log: Log) -> int:
    """The most requests that any one host had open at once."""
    hosts = np.concatenate([log["host"], log["host"]])
    times = np.concatenate([log["seen"], log["end"]])
    steps = np.concatenate([np.ones(len(log), np.int64), -np.ones(len(log), np.int64)])
    order = np.lexsort((steps, times, hosts))  # an end at the very moment of a start comes first
    return int(np.cumsum(steps[order]).max())


def _gaps(log: Log) -> npt.NDArray[np.float64]:
    """Seconds between one start and the next at the same host."""
    order = np.lexsort((log["start"], log["host"]))
    hosts, starts = log["host"][order], log["start"][order]
    return np.asarray(np.diff(starts)[hosts[1:] == hosts[:-1]], np.float64)


def _least_gap(log: Log) -> float:
    gaps = _gaps(log)
    return float(gaps.min()) if len(gaps) else float("inf")


def _early_starts(log: Log, delay_s: float) -> int:
    return int((_gaps(log) < delay_s - TOLERANCE_S).sum())


if __name__ == "__main__":
    main()
