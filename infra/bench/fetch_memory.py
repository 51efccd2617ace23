"""How much memory a fetch worker and its decoder take: by the number of images, and by the number of hosts.

    python infra/bench/fetch_memory.py            10,000 and 100,000 images; 50 and 5,000 hosts; about 25 minutes
    python infra/bench/fetch_memory.py --quick    500 and 2,000 images; 20 and 200 hosts; under 50 s

The same few images under different query strings, so that nothing else changes, in parts of 10,000 as a lane has
them, with the lane's memory of its hosts. Each figure comes from a process of its own. Peaks are proportional (PSS).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from image_corpus import CorpusImage, make_corpus, read_corpus
from image_server import ImageServer, serve_images
from machine import machine
from process_tree import TreeMeter

AIM_GROWTH = 1.10
_WORK = Path(tempfile.gettempdir()) / "curate-bench-fetch"
_AGENT = "bench/1.0 (+https://example.org/bot; bot@example.org)"
_SMALL_BYTES = 40_000
_NUM_SMALL, _NUM_LARGE = 190, 10
_CORPUS = 1_000
"""Images among which the served ones are chosen: 190 small ones, so that it ends today, and the 10 largest."""

_IN_FLIGHT = 64
"""Requests in flight: few enough to be reached with any number of hosts, so that it does not change with them."""

Figures = dict[str, Any]


def main() -> None:
    arguments = _arguments()
    if arguments.one:
        print(json.dumps(_one(json.loads(arguments.one))))
        return
    is_quick = arguments.quick
    corpus = arguments.corpus or arguments.work / ("corpus-quick" if is_quick else "corpus")
    count = 300 if is_quick else _CORPUS
    images = read_corpus(corpus, count) if arguments.corpus else make_corpus(corpus, count, not is_quick)
    sizes = arguments.images or ([500, 2_000] if is_quick else [10_000, 100_000])
    hosts = arguments.hosts or ([20, 200] if is_quick else [50, 5_000])
    part_rows = sizes[0]
    arguments.work.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="memory-", dir=arguments.work) as scratch,
        serve_images(corpus / "www", arguments.work / "nginx-many", many_hosts(hosts[1])) as server,
    ):
        job = {"paths": _paths(images, corpus / "www"), "part_rows": part_rows, "folder": scratch}
        job |= {"port": server.http_port, "server": server.pid}
        job["most_hosts"] = hosts[1]
        by_size = {size: _in_own_process(job | {"images": size, "hosts": server.hosts[: hosts[0]]}) for size in sizes}
        by_hosts = {number: _hosts_run(job, server, number, sizes[0], by_size) for number in hosts}
    print(json.dumps(_verdict(by_size, by_hosts)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and hosts, under 50 s")
    parser.add_argument("--images", type=int, nargs=2, help="other numbers of images; a part has the first")
    parser.add_argument("--hosts", type=int, nargs=2, help="other numbers of hosts")
    parser.add_argument("--work", type=Path, default=_WORK, help="where images are kept")
    parser.add_argument("--corpus", type=Path, help="a corpus made before (truth.parquet and www)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def many_hosts(number: int) -> list[str]:
    """Loopback addresses, 250 of each /24 from 127.20.0.0 on."""
    return [f"127.20.{place // 250}.{1 + place % 250}" for place in range(number)]


def _paths(images: list[CorpusImage], www: Path) -> list[str]:
    sized = sorted(((www / image.path).stat().st_size, image.path) for image in images if image.kind == "ok")
    small = [path for size, path in sized if size <= _SMALL_BYTES][-_NUM_SMALL:]
    return small + [path for _, path in sized[-_NUM_LARGE:]]


def _hosts_run(job: Figures, server: ImageServer, number: int, size: int, by_size: dict[int, Figures]) -> Figures:
    """The run by size over as few hosts serves for both comparisons."""
    known = by_size[size]
    if known["hosts"] == number:
        return known
    return _in_own_process(job | {"images": size, "hosts": server.hosts[:number]})


def _verdict(by_size: dict[int, Figures], by_hosts: dict[int, Figures]) -> Figures:
    growths = {}
    for name, runs in (("images", by_size), ("hosts", by_hosts)):
        few, many = (runs[number]["peak_mib"] for number in sorted(runs))
        growths[name] = round(many / few, 3)
    return {
        "name": "fetch_memory",
        "machine": machine(),
        "ours": {"by_images": by_size, "by_hosts": by_hosts, "growth": growths},
        "peer": {"what": "the smaller run"},
        "ratio": growths["images"],
        "aim": f"ten times the images and a hundred times the hosts take at most {AIM_GROWTH} times the memory",
        "met": max(growths.values()) <= AIM_GROWTH,
    }


def _in_own_process(job: Figures) -> Figures:
    command = [sys.executable, __file__, "--one", json.dumps(job)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{figures}", file=sys.stderr, flush=True)
    return figures


def _one(job: Figures) -> Figures:
    with tempfile.TemporaryDirectory(dir=job["folder"]) as scratch:
        started = time.monotonic()
        with TreeMeter(os.getpid(), job["server"], lambda parent_role, command: "decoders", every_s=0.2) as meter:
            stored = sum(_part(job, part, Path(scratch)) for part in _parts(job))
    usage = meter.usage
    return {
        "images": job["images"],
        "hosts": len(job["hosts"]),
        "stored": stored,
        "seconds": round(time.monotonic() - started, 1),
        "cpu_ms": round(1000 * sum(usage.cpu_s.values()) / max(1, stored), 2),
        "peak_mib": usage.peak_mib["all"],
        "peak_of_parent_mib": usage.peak_mib["root"],
        "peak_of_decoders_mib": usage.peak_mib.get("decoders", 0.0),
        "open_files_limit": os.sysconf("SC_OPEN_MAX"),
    }


def _parts(job: Figures) -> Iterator[pa.Table]:
    """Samples of each part, made when its turn comes."""
    from shards.schema import uid_of

    for start in range(0, job["images"], job["part_rows"]):
        numbers = range(start, min(start + job["part_rows"], job["images"]))
        hosts = [job["hosts"][number % len(job["hosts"])] for number in numbers]
        urls = [
            f"http://{host}:{job['port']}/{job['paths'][number % len(job['paths'])]}?copy={number}"
            for number, host in zip(numbers, hosts, strict=True)
        ]
        yield pa.table({"uid": [uid_of(url) for url in urls], "canonical_url": urls, "host": hosts})


def _part(job: Figures, samples: pa.Table, folder: Path) -> int:
    """How many of a part's images were stored. Its files go, as those of a committed part leave the worker alone."""
    from crawler.download import download_images
    from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
    from shards.image_settings import ImageSettings

    # As many of a part's workers, and bodies that wait for the decoder, with few hosts as with many.
    concurrency = min(256, max(1, job["most_hosts"] // len(job["hosts"])))
    blocks = sorted({f"{host.rpartition('.')[0]}.0/24:{job['port']}" for host in job["hosts"]})
    rows = download_images(
        samples,
        CrawlerSettings(user_agent=_AGENT, per_host=PerHost(concurrency=concurrency, delay_s=0)),
        FetchSettings(max_in_flight=_IN_FLIGHT),
        NetworkSettings(allow_private=blocks),
        ImageSettings(short_side_px=256, max_side_px=8192),
        tar_path=folder / "copies.tar",
        spool_path=folder / "spool",
        memory_path=folder / "hosts",
    )
    for name in ("copies.tar", "spool"):
        (folder / name).unlink()
    return int(rows["drop_reason"].null_count)


if __name__ == "__main__":
    main()
