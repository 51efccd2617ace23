"""A new measure of images that were fetched: what it costs, in requests, in decodes and in CPU seconds.

    python infra/bench/measure_again.py            20,000 images; some 5 minutes, most of them to fetch
    python infra/bench/measure_again.py --quick    1,000 images; under 50 s once the images are there

A server on loopback counts what it is asked. A run fetches and measures; then the same run with one measure more. No
peer keeps what it measured: img2dataset and data-juicer would begin with all of it.
"""

import argparse
import csv
import io
import json
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

from image_measures import stored_copies
from machine import machine
from one_process import OneProcess

from pipelines.checks import checked_plan
from pipelines.launch import recipe_text
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import STAGES
from pipelines.tasks import Context, Flow
from shards.images import decode_stored
from shards.lease import Lease
from shards.storage import put_whole
from shards.tables import read_rows

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-images"
NUM_PICTURES = 200
FIRST, NEW = ["entropy"], "sharpness"
_LAST_STAGE = "measure"


def main() -> None:
    arguments = _arguments()
    count = 1_000 if arguments.quick else arguments.count
    pictures = [path.read_bytes() for path in sorted(stored_copies(arguments.workdir, NUM_PICTURES).glob("*.jpg"))]
    with tempfile.TemporaryDirectory(dir=arguments.workdir) as folder, Server(pictures) as server, counted() as decoded:
        table, run = Path(folder) / "images.csv", Path(folder) / "run"
        _write_table(table, server.origin, count)
        first = _run(run, _recipe(table, server, FIRST), server, decoded)
        again = _run(run, _recipe(table, server, [*FIRST, NEW]), server, decoded)
        same = _run(run, _recipe(table, server, [*FIRST, NEW]), server, decoded)
    met = again["requests"] == 0 and again["decodes"] == again["measured"] == count
    result = {
        "name": "measure_again",
        "machine": machine(),
        "images": count,
        "ours": {"first": first, f"with {NEW} too": again, "the same again": same},
        "peer": None,
        "ratio": None,
        "aim": "no request, and one decode of each stored copy",
        "met": met,
    }
    print(json.dumps(result))


class Server:
    """Pictures by number on a port of loopback; `num_requests` counts whatever is asked."""

    def __init__(self, pictures: list[bytes]) -> None:
        self.num_requests = 0
        counting, server = threading.Lock(), self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with counting:
                    server.num_requests += 1
                number = self.path.strip("/").partition(".")[0]
                data = pictures[int(number) % len(pictures)] if number.isdigit() else b""
                self.send_response(200 if data else 404)
                self.send_header("Content-Type", "image/jpeg")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.origin = f"http://{self.address}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def counted() -> Iterator[list[int]]:
    """How many stored copies were decoded, in a list of one number."""
    number = [0]

    def counting(data: bytes) -> Any:
        number[0] += 1
        return decode_stored(data)

    with patch("pipelines.flow.stored.decode_stored", counting):
        yield number


def _run(run: Path, mapping: dict[str, Any], server: Server, decoded: list[int]) -> dict[str, Any]:
    """The recipe up to measuring, in this process."""
    plan = checked_plan(mapping, "bench")
    run.mkdir(exist_ok=True)
    stages = STAGES[: [stage.name for stage in STAGES].index(_LAST_STAGE) + 1]
    requests, decodes, began, cpu_s = server.num_requests, decoded[0], time.monotonic(), _cpu_s()
    with Lease.take(run) as lease:
        put_whole(run / "recipe.yaml", recipe_text(plan).encode())
        flow = Runner(Context(run, plan, lease.token), OneProcess(), Progress(io.StringIO(), live=False)).run(stages)
    return {
        "requests": server.num_requests - requests,
        "decodes": decoded[0] - decodes,
        "measured": _num_measured(flow, plan.measures[-1]),
        "seconds": round(time.monotonic() - began, 1),
        "cpu_s": round(_cpu_s() - cpu_s, 1),
    }


def _cpu_s() -> float:
    """Of this process, the server in it too, and of its children that ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _num_measured(flow: Flow, name: str) -> int:
    tables = (read_rows(flow.context.path(ref), [name]) for ref in flow.refs(_LAST_STAGE))
    return sum(len(table) - table[name].null_count for table in tables)


def _write_table(path: Path, origin: str, count: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["url", "caption"])
        rows.writerows([f"{origin}/{number}.jpg", f"第{number}张照片"] for number in range(count))


def _recipe(table: Path, server: Server, measures: list[str]) -> dict[str, Any]:
    return {
        "name": "again",
        "source": {"kind": "table", "layout": "wukong", "paths": [str(table)]},
        "crawler": {
            "user_agent": "bench/1.0 (+http://127.0.0.1/)",
            "per_host": {"concurrency": 32, "delay_s": 0},
            "lanes": 1,
        },
        "network": {"allow_private": [server.address]},
        "text": {"names": None},
        "measures": list(measures),
        "rules": {"too_small": "min_side >= 16"},
        "release": {"caption": ["caption"]},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--workdir", type=Path, default=DEFAULT_WORK, help="where pictures are made and a run lies")
    return parser.parse_args()


if __name__ == "__main__":
    main()
