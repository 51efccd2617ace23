"""How fast `curate explore` answers over a million samples: each interaction of the page, asked over HTTP as it asks.

    python infra/bench/explore.py            1,400,000 candidates, 1.27 million rows; the run takes 10 minutes to make
    python infra/bench/explore.py --quick    50,000 candidates, under 50 s

Each interaction is asked several times; the slowest median counts. The server is a process of its own, as the command
starts it. `--work` may name a folder in which `release_again.py` or `semantic.py` made such a run: it is only read.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from machine import machine

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-release"
AIM_MS = 300
QUICK_ROWS, ROWS = 50_000, 1_400_000
REPEATS = 7
_SLIDER = {"measure": "clip_score", "operator": ">=", "rule": "weak_match"}

INTERACTIONS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "open the page": [("api/about", {}), ("api/samples", {})],
    "filter by numbers": [("api/samples", {"where": "clip_score >= 0.3 and zh_chars > 5"})],
    "filter by a word in the text": [("api/samples", {"where": "text like '%猫%'"})],
    "filter by a regular expression": [("api/samples", {"where": "regexp_matches(text, '[0-9]{4}年')"})],
    "choose a reason": [("api/samples", {"reason": "near_duplicate", "counted": "1"})],
    "sort by a measure": [("api/samples", {"sort": "clip_score", "counted": "1"})],
    "sort and filter": [("api/samples", {"sort": "entropy", "way": "up", "where": "min_side > 300"})],
    "the last page": [("api/samples", {"sort": "clip_score", "page": "199", "counted": "1"})],
    "look at one sample": [("api/sample", {"uid": None})],
    "choose a rule for the slider": [("api/spread", {**_SLIDER, "value": 0.1})],
    "move the slider": [("api/move", {**_SLIDER, "value": 0.2})],
    "move the slider under a filter": [("api/move", {**_SLIDER, "value": 0.2, "where": "text like '%猫%'"})],
}
"""What a user does -> the questions that the page asks for it, one after another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows")
    parser.add_argument("--rows", type=int, default=ROWS, help="candidates of the run")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where the run is kept, for another call")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    run = _run(arguments.work, QUICK_ROWS if arguments.quick else arguments.rows)
    command = [sys.executable, "-m", "pipelines.cli", "explore", str(run), "--no-open"]
    began, busy = time.monotonic(), _busy_s()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        ready_s = time.monotonic() - began
        try:
            samples, ours = _measured(url.netloc, url.path, process.pid)
            peak_mib, own_cpu_s = _peak_mib(process.pid), _cpu_s(process.pid)
        finally:
            process.terminate()
    slowest = max(ours.values(), key=lambda told: told["median_ms"])["median_ms"]
    result = {
        "name": "explore",
        "machine": machine(),
        "ours": {
            "samples": samples,
            "ready_s": round(ready_s, 1),
            "slowest_median_ms": slowest,
            "interactions": ours,
            "peak_mib": peak_mib,
            "cpu_s": round(own_cpu_s, 1),
            "foreign_cpu_s": round(max(0.0, _busy_s() - busy - own_cpu_s), 1),
        },
        "peer": None,
        "ratio": None,
        "aim": f"each interaction over 1,000,000 rows in under {AIM_MS} ms on 2 cores",
        "met": slowest < AIM_MS,
    }
    print(json.dumps(result, ensure_ascii=False))


def _run(work: Path, rows: int) -> Path:
    from measured_run import make_run

    return make_run(work, rows)


def _measured(host: str, root: str, pid: int) -> tuple[int, dict[str, Any]]:
    """How many samples there are, and by interaction its milliseconds by the clock and of the server's CPU."""
    connection = HTTPConnection(host, timeout=60)
    about = _ask(connection, f"{root}api/about")
    uids = [card["uid"] for page in range(REPEATS) for card in _cards(connection, root, page)]
    told: dict[str, Any] = {}
    for name, questions in INTERACTIONS.items():
        times, cpu_s = [], _cpu_s(pid)
        for repeat in range(REPEATS):
            began = time.monotonic()
            for path, words in questions:
                given = {word: uids[repeat * 24] if value is None else value for word, value in words.items()}
                _ask(connection, f"{root}{path}?{urlencode(given)}")
            times.append(1000 * (time.monotonic() - began))
        told[name] = {
            "median_ms": round(statistics.median(times)),
            "most_ms": round(max(times)),
            "cpu_ms": round(1000 * (_cpu_s(pid) - cpu_s) / REPEATS),
        }
    return int(about["samples"]), told


def _cards(connection: HTTPConnection, root: str, page: int) -> list[dict[str, Any]]:
    cards: list[dict[str, Any]] = _ask(connection, f"{root}api/samples?page={page * 20}&counted=1")["cards"]
    return cards


def _ask(connection: HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {data[:200]!r}")
    return json.loads(data)


def _peak_mib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(round(int(line.split()[1]) / 1024) for line in lines if line.startswith("VmHWM:"))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _busy_s() -> float:
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return sum(int(fields[place]) for place in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
