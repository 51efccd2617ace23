"""Our fetch stage beside img2dataset: the same images, server and 2 cores, in alternation; medians of 3.

    python infra/bench/fetch.py            about 25 minutes, and once some 15 more to make what it needs
    python infra/bench/fetch.py --quick    under 50 s once it has that: http at 256 px, one worker each; the hang

nginx serves over 64 loopback hosts. Cases: (a) 256 px over http, (b) over https, (c) keep the original, (d) fetch and
measure, against the peer's (a); then a server that drips for ever, and images that the peer spoils. Images/s are of
the stage: ours from the first fetch part planned to the last committed, the peer's from its first shard begun to its
end. CPU is of all processes: ours without Ray's own, the peer's without what a run over a handful of URLs takes.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fetch_faults import hang_figures, spoiled_figures
from fetch_stage import STATUSES
from image_corpus import GOOD_KINDS, CorpusImage, make_corpus, read_corpus
from image_server import ImageServer, serve_images
from img2dataset_peer import PeerRun, ensure_peer, run_peer, write_url_list
from machine import machine

from crawler.lanes import num_lanes
from shards.schema import uid_of

DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-bench-fetch"
COUNT, QUICK_COUNT = 10_000, 400
PEER_HTTPS_SHARE = 0.25
"""Of the images that the peer fetches over https: it needs five times as long for each, and its rate is the same."""

TUNING_SHARE = 0.2
"""Of the images that the peer fetches with each number of threads that is tried."""

PEER_THREADS = (64, 128, 256)
MAX_WORKERS = 2
PER_SHARD = 1_250
"""Rows of the peer's shards: few enough to share out, and no process is started anew (it is after five)."""
USER_AGENT = "bench/1.0 (+https://example.org/bot; bot@example.org)"
CHEAP_MEASURES = ("sharpness", "brightness", "contrast", "entropy", "colorfulness", "is_grayscale", "border_share")

Figures = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One comparison. Without peer options, ours is compared with the peer's run of the case `against`."""

    name: str
    aim: float
    image: dict[str, Any]
    peer_options: tuple[str, ...] = ()
    scheme: str = "http"
    measures: tuple[str, ...] = ()
    against: str | None = None


_SMALL = {"short_side_px": 256, "max_side_px": 8192, "quality": 95}
_PEER_SMALL = (
    *("--image_size", "256", "--resize_mode", "keep_ratio"),
    *("--resize_only_if_bigger", "True", "--encode_quality", "95"),
)
_PEER_ORIGINAL = ("--resize_mode", "no", "--skip_reencode", "True")
CASES = (
    Case("http_256", 2.0, _SMALL, _PEER_SMALL),
    Case("https_256", 5.0, _SMALL, _PEER_SMALL, scheme="https"),
    Case("http_original", 2.0, {"keep": "original", "max_side_px": 8192}, _PEER_ORIGINAL),
    Case("http_256_measured", 1.5, _SMALL, measures=(*CHEAP_MEASURES, "phash"), against="http_256"),
)


@dataclass
class Bench:
    """What all runs share, and the peer's runs by case."""

    server: ImageServer
    images: list[CorpusImage]
    peer: Path
    scratch: Path
    threads: int = 128
    peer_start: Figures = field(default_factory=dict)
    num_runs: int = 0

    @property
    def workers(self) -> int:
        """Ours has a lane, and so a worker, for each 2,500 URLs: a quick run has one, and the peer one process."""
        return num_lanes(len(self.images), MAX_WORKERS)

    def urls(self, case: Case, share: float = 1.0) -> list[str]:
        images = self.images[: round(share * len(self.images))]
        return [self.server.url(image.id, image.path, case.scheme) for image in images]

    def new_folder(self, name: str) -> Path:
        self.num_runs += 1
        return self.scratch / f"{self.num_runs:02d}-{name}"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends with us
    arguments = _arguments()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    peer = ensure_peer(arguments.peer_env or work / "peer-env")
    corpus, images = _corpus(arguments)
    _warm(corpus / "www", images)
    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=work) as scratch,
        serve_images(corpus / "www", work / "nginx") as server,
    ):
        bench = Bench(server, images, peer, Path(scratch))
        result = _quick(bench) if arguments.quick else _full(bench, arguments.cases, arguments.repeat)
    print(json.dumps(result, ensure_ascii=False))


def _arguments() -> argparse.Namespace:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images, one round, http and the hang alone")
    parser.add_argument("--count", type=int, help=f"URLs of a run; default {COUNT}, quick {QUICK_COUNT}")
    parser.add_argument("--repeat", type=int, default=3, help="rounds of each case")
    parser.add_argument("--cases", nargs="*", choices=names, default=names, help="cases to run")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where images and environments are kept")
    parser.add_argument("--corpus", type=Path, help="a corpus made before (truth.parquet and www)")
    parser.add_argument("--peer-env", type=Path, help="an environment with img2dataset in it")
    return parser.parse_args()


def _corpus(arguments: argparse.Namespace) -> tuple[Path, list[CorpusImage]]:
    count = arguments.count or (QUICK_COUNT if arguments.quick else COUNT)
    if arguments.corpus is not None:
        return arguments.corpus, read_corpus(arguments.corpus, count)
    folder: Path = arguments.work / ("corpus-quick" if arguments.quick else "corpus")
    return folder, make_corpus(folder, count, with_wallpapers=not arguments.quick)


def _quick(bench: Bench) -> Figures:
    _measure_peer_start(bench)
    case = CASES[0]
    rounds = [(_ours(bench, case), _peer(bench, case))]
    cases = {case.name: _compared(bench, case, [ours for ours, _ in rounds], [peer for _, peer in rounds])}
    return _verdict(bench, cases, {"hang": hang_figures(bench.peer, bench.scratch, peer_limit_s=10)})


def _full(bench: Bench, names: Sequence[str], repeat: int) -> Figures:
    _measure_peer_start(bench)
    chosen = [case for case in CASES if case.name in names]
    tried = _choose_threads(bench)
    ours: dict[str, list[Figures]] = {case.name: [] for case in chosen}
    peers: dict[str, list[Figures]] = {case.name: [] for case in CASES}
    for number in range(repeat):
        for case in chosen:
            for side in (_ours, _peer) if number % 2 == 0 else (_peer, _ours):
                if side is _ours:
                    ours[case.name].append(_ours(bench, case))
                elif case.against is None:
                    peers[case.name].append(_peer(bench, case))
    cases = {
        case.name: _compared(bench, case, ours[case.name], peers[case.against or case.name])
        for case in chosen
        if peers[case.against or case.name]
    }
    faults = {
        "hang": hang_figures(bench.peer, bench.scratch, peer_limit_s=90),
        "spoiled": spoiled_figures(bench.peer, bench.scratch, _SMALL, list(_PEER_SMALL)),
    }
    return _verdict(bench, cases, {"peer_threads_tried": tried, **faults})


def _warm(www: Path, images: list[CorpusImage]) -> None:
    """Brings every file into the system's cache, for both sides alike."""
    for image in images:
        if image.kind != "404":
            (www / image.path).read_bytes()


def _measure_peer_start(bench: Bench) -> None:
    """What the peer takes for one URL to each process: interpreters, imports, its end."""
    images = [image for image in bench.images if image.kind == "ok"][: bench.workers]
    urls = bench.new_folder("peer-start.parquet")
    write_url_list(urls, [bench.server.url(image.id, image.path) for image in images])
    options = [*_PEER_SMALL, "--thread_count", str(bench.threads)]
    folder = bench.new_folder("peer-start")
    run = run_peer(bench.peer, urls, folder, options, per_shard=1, processes=bench.workers)
    bench.peer_start = {"wall_s": run.wall_s, "cpu_s": run.cpu_s}
    _say(f"peer's start: {bench.peer_start}")


def _choose_threads(bench: Bench) -> dict[str, float]:
    """Images/s of the peer by number of threads; the best is used from here on."""
    tried = {}
    for threads in PEER_THREADS:
        bench.threads = threads
        tried[str(threads)] = float(_peer(bench, CASES[0], TUNING_SHARE)["images_per_s"])
    bench.threads = int(max(tried, key=lambda name: tried[name]))
    return tried


def _ours(bench: Bench, case: Case) -> Figures:
    urls = bench.urls(case)
    folder = bench.new_folder(f"ours-{case.name}")
    folder.mkdir()
    write_url_list(folder / "urls.parquet", urls)
    job = {
        "folder": str(folder / "run"),
        "server": bench.server.pid,
        "workers": bench.workers,
        "last_stage": "measure" if case.measures else "fetch",
        "recipe": _recipe(bench, case, folder / "urls.parquet"),
    }
    (folder / "run").mkdir()
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, str(Path(__file__).with_name("fetch_stage.py")), str(folder / "job.json")]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    statuses = json.loads((folder / "run" / STATUSES).read_text())
    subprocess.run(["rm", "-rf", str(folder / "run")], check=True)
    figures["statuses"] = {url: statuses.get(uid_of(url), "missing") for url in urls}
    figures["images_per_s"] = round(figures["images"] / figures["seconds"], 1)
    figures["cpu_ms"] = round(1000 * figures["cpu_s"] / figures["images"], 2)
    _report("ours", case, figures)
    return figures


def _recipe(bench: Bench, case: Case, urls: Path) -> Figures:
    port = bench.server.https_port if case.scheme == "https" else bench.server.http_port
    return {
        "name": "bench",
        "source": {"kind": "table", "paths": [str(urls)], "layout": "wukong"},
        "crawler": {"user_agent": USER_AGENT, "per_host": {"concurrency": 32, "delay_s": 0}},
        "network": {"allow_private": [f"127.0.1.0/24:{port}"], "ca_file": str(bench.server.ca_file)},
        "text": {"contacts": "keep", "names": None},
        "image": case.image,
        "measures": list(case.measures),
    }


def _peer(bench: Bench, case: Case, share: float = 1.0) -> Figures:
    urls = bench.urls(case, PEER_HTTPS_SHARE if case.scheme == "https" and bench.workers > 1 else share)
    folder = bench.new_folder(f"peer-{case.name}")
    folder.mkdir()
    write_url_list(folder / "urls.parquet", urls)
    options = [*case.peer_options, "--thread_count", str(bench.threads)]
    bundle = bench.server.bundle_file if case.scheme == "https" else None
    run = run_peer(
        bench.peer,
        folder / "urls.parquet",
        folder / "out",
        options,
        per_shard=min(PER_SHARD, -(-len(urls) // bench.workers)),
        processes=bench.workers,
        bundle=bundle,
        server=bench.server.pid,
    )
    subprocess.run(["rm", "-rf", str(folder / "out")], check=True)
    figures = _peer_figures(run, bench.peer_start)
    _report("peer", case, figures)
    return figures


def _peer_figures(run: PeerRun, start: Figures) -> Figures:
    images = sum(status == "success" for status in run.statuses.values())
    if not images:
        raise RuntimeError("img2dataset kept nothing: see its log")
    return {
        "wall_s": run.wall_s,
        "seconds": run.work_s,
        "images": images,
        "images_per_s": round(images / run.work_s, 1),
        "images_per_s_with_start": round(images / run.wall_s, 1),
        "cpu_s": run.cpu_s,
        "cpu_ms": round(1000 * (run.cpu_s - start["cpu_s"]) / images, 2),
        "cpu_ms_with_start": round(1000 * run.cpu_s / images, 2),
        "peak_mib": run.peak_mib,
        "server_cpu_s": run.server_cpu_s,
        "foreign_cpu_s": run.foreign_cpu_s,
        "statuses": run.statuses,
    }


def _compared(bench: Bench, case: Case, ours: list[Figures], peers: list[Figures]) -> Figures:
    """Both sides' median runs, ratios of medians, and how the images that came out differ."""
    mine, theirs = _medians(ours), _medians(peers)
    return {
        "ours": mine,
        "peer": theirs,
        "images_per_s_ratio": round(mine["images_per_s"] / theirs["images_per_s"], 2),
        "cpu_ratio": round(theirs["cpu_ms"] / mine["cpu_ms"], 2),
        "memory_share_of_peer": round(mine["peak_mib"] / theirs["peak_mib"], 2),
        "aim": case.aim,
        "met": mine["images_per_s"] >= case.aim * theirs["images_per_s"] and mine["peak_mib"] <= theirs["peak_mib"],
        "outcome": _outcome(bench, ours[-1]["statuses"], peers[-1]["statuses"]),
    }


def _medians(runs: list[Figures]) -> Figures:
    numbers = [name for name, value in runs[0].items() if isinstance(value, int | float)]
    medians: Figures = {name: round(statistics.median(run[name] for run in runs), 2) for name in numbers}
    return medians | {"images_per_s_of_all": [run["images_per_s"] for run in runs]}


def _outcome(bench: Bench, ours: dict[str, str], peer: dict[str, str]) -> Figures:
    """How many ought to be kept and were, and what one side alone kept: by kind, with the other side's reason."""
    kinds = {}
    for image in bench.images:
        for scheme in ("http", "https"):
            kinds[bench.server.url(image.id, image.path, scheme)] = image.kind
    common = ours.keys() & peer.keys()
    kept_by_us = {url for url in common if ours[url] == "success"}
    kept_by_peer = {url for url in common if peer[url] == "success"}
    return {
        "urls": len(common),
        "good": sum(kinds[url] in GOOD_KINDS for url in common),
        "ours": len(kept_by_us),
        "peer": len(kept_by_peer),
        "only_peer": Counter(f"{kinds[url]}: {_short(ours.get(url))}" for url in kept_by_peer - kept_by_us),
        "only_ours": Counter(f"{kinds[url]}: {_short(peer.get(url))}" for url in kept_by_us - kept_by_peer),
    }


def _short(status: str | None) -> str:
    return " ".join((status or "missing").split()[:4])[:60]


def _verdict(bench: Bench, cases: Figures, more: Figures) -> Figures:
    first = next(iter(cases.values()))
    return {
        "name": "fetch",
        "machine": machine(),
        "urls": len(bench.images),
        "workers_of_each": bench.workers,
        "ours": {name: case["ours"] for name, case in cases.items()},
        "peer": {"what": f"img2dataset, {bench.threads} threads", "start": bench.peer_start}
        | {name: case["peer"] for name, case in cases.items()},
        "cases": {
            name: {key: value for key, value in case.items() if key not in ("ours", "peer")}
            for name, case in cases.items()
        },
        **more,
        "ratio": first["images_per_s_ratio"],
        "aim": "images/s: 2x at 256 px over http, 5x over https, 2x keeping originals, 1.5x with measures; no more "
        "memory; a server that drips for ever ends, odd images come out right",
        "met": all(case["met"] for case in cases.values()) and all(more[name]["met"] for name in more if "met" in more),
    }


def _report(side: str, case: Case, figures: Figures) -> None:
    _say(
        f"{case.name:18} {side}: {figures['images']} images in {figures['seconds']} s, {figures['images_per_s']}/s, "
        f"{figures['cpu_ms']} ms CPU, {figures['peak_mib']} MiB, foreign {figures['foreign_cpu_s']} CPU-s"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
