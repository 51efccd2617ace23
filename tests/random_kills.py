"""SIGKILL at random instants to every kind of process of a run: `python -m tests.random_kills --kills 100`.

A small site is crawled, its images fetched, measured, scored and released, again and again, until so many processes
have been killed; a run that ends of a kill is resumed. The figures come as JSON.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shards.parts import StepFolder
from shards.schema import uid_of
from shards.tables import read_rows
from tests.crawler.conftest import Request, Server, serve
from tests.pipelines.conftest import AGENT, photograph

ROOT = Path(__file__).parents[1]
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
PAGES, PHOTOS = 5, 4
"""Pages of a host beside its first, and photographs of each."""

CONCURRENCY = 2
DEADLINE_S = 900
MOST_UNSTARTED = 5
SOONER = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5", "RAY_worker_niceness": "0"}
"""By itself Ray hopes for its head to come back for a minute, and lets all others go before its workers."""

_LOOK_S = 0.01
_LONGEST_WAIT_S = 1.0

ENDING = ("driver", "raylet", "head")
"""Kinds without which a run ends: each kill costs a start of Ray."""

SHARES = {
    "driver": 12,
    "raylet": 4,
    "head": 4,
    "worker": 25,
    "score worker": 10,
    "scrapy": 15,
    "parse": 15,
    "decode": 15,
}
"""How a hundred kills are dealt out."""


def kind_of(command: bytes) -> str | None:
    """What a process below the driver is; None for what no run would miss."""
    first, *rest = command.split(b"\0")
    program = b" ".join(rest)
    if first.endswith(b"/raylet"):
        return "raylet"
    if first.endswith(b"/gcs_server"):
        return "head"
    if first.startswith(b"ray::") and b"IDLE" not in first and b"Agent" not in first:
        return "worker"
    for name, kind in ((b"crawl.child", "scrapy"), (b"parse_child", "parse"), (b"decoder_child", "decode")):
        if name in program:
            return kind
    return None


def processes_below(root: int) -> dict[str, list[int]]:
    """Process ids below a process, by kind."""
    commands, children = {}, dict[int, list[int]]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: dict[str, list[int]] = {"driver": [root]}
    level = children.get(root, [])
    while level:
        for pid in level:
            kind = kind_of(commands[pid])
            if kind is not None:
                found.setdefault(kind, []).append(pid)
        level = [child for pid in level for child in children.get(pid, [])]
    return found


@dataclass
class Site:
    """Three hosts of pages with photographs; what each was asked, and when."""

    servers: list[Server] = field(default_factory=list)

    @classmethod
    def open(cls) -> "Site":
        site = cls([Server(host) for host in HOSTS])
        for place, server in enumerate(site.servers):
            links = "".join(f'<a href="/{page}.html">第{page}页</a>' for page in range(PAGES))
            server.pages["/"] = _page(f"<p>照片{place}</p>{links}")
            for page in range(PAGES):
                shown = "".join(_figure(place, page, photo) for photo in range(PHOTOS))
                server.pages[f"/{page}.html"] = _page(shown)
                for photo in range(PHOTOS):
                    seed = 1000 * place + 10 * page + (photo or 1)  # the first two of a page are alike
                    server.pages[f"/{page}-{photo}.png"] = serve(photograph(seed, 160, 120), Content_Type="image/png")
        return site

    @property
    def log(self) -> list[tuple[str, Request]]:
        """URL and request, but for robots.txt and other files that are no page's, which each attempt asks for."""
        entries = [(server.url(request.path), request) for server in self.servers for request in server.log]
        return [(url, request) for url, request in entries if url.endswith(("/", ".html", ".png"))]

    def forget(self) -> None:
        for server in self.servers:
            server.log.clear()

    def close(self) -> None:
        for server in self.servers:
            server.close()


def _page(body: str) -> Any:
    html = (
        f'<!DOCTYPE html><html lang="zh-CN"><head><meta charset="utf-8"><title>照片</title></head><body>{body}</body>'
    )
    return serve(html.encode(), Content_Type="text/html; charset=utf-8")


def _figure(place: int, page: int, photo: int) -> str:
    return f'<figure><img src="/{page}-{photo}.png" alt="第{place}站第{page}页的照片{photo}"></figure>'


def write_recipe(path: Path, site: Site) -> None:
    recipe = {
        "name": "killed",
        "source": {
            "kind": "crawl",
            "seeds": [server.url("/") for server in site.servers],
            "rounds": 2,
            "max_depth": 1,
            "sitemaps": False,
        },
        "crawler": {"user_agent": AGENT, "per_host": {"concurrency": CONCURRENCY, "delay_s": 0.05}, "lanes": 3},
        "network": {"allow_private": [server.address for server in site.servers]},
        "fetch": {"retries": 0, "total_timeout_s": 20, "part_rows": 6},
        "score": {"model": "local-dir:package:pipelines/demo/scorer", "pretrained": None, "device": "cpu"},
        "measures": ["brightness"],
        "release": {"shard_size": 8, "caption": "best_score"},
        "rules": {
            "no_chinese": "zh_chars >= 1",
            "blurred": "sharpness > 0",
            "duplicate": "dup_rank = 1",
            "unlike": "clip_score > -1",
        },
    }
    path.write_text(json.dumps(recipe))


@dataclass
class Killing:
    """How many of each kind are still to be killed, and what was."""

    chance: random.Random
    left: Counter[str]
    killed: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, num_kills: int, seed: int) -> "Killing":
        """A hundred kills as `SHARES` says; fewer, in much the same shares."""
        dealt = Counter({kind: share * num_kills // 100 for kind, share in SHARES.items()})
        for kind in sorted(SHARES, key=lambda kind: -SHARES[kind])[: num_kills - dealt.total()]:
            dealt[kind] += 1
        return cls(random.Random(seed), dealt)

    def choose(self, alive: dict[str, list[int]]) -> tuple[str, int] | None:
        """One of the living that are still to be killed: kinds with most left are likelier."""
        kinds = [kind for kind in sorted(alive) if self.left[kind] > 0]
        if not kinds:
            return None
        (kind,) = self.chance.choices(kinds, [self.left[kind] for kind in kinds])
        return kind, self.chance.choice(sorted(alive[kind]))

    def kill(self, kind: str, pid: int) -> bool:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.left[kind] -= 1
        self.killed[kind] += 1
        print(f"kill {self.killed.total()}: {kind} {pid}", file=sys.stderr, flush=True)
        return True


@dataclass
class KilledRun:
    """One run folder, filled by one driver after another."""

    recipe: Path
    folder: Path

    def start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "pipelines.cli", "run", str(self.recipe), "--out", str(self.folder)]
        return subprocess.Popen(
            [*command, "--workers", "2"],
            cwd=ROOT,
            env=os.environ | SOONER,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def finish(self) -> None:
        process = self.start()
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, said.decode()[-3000:]

    def finish_killed(self, killing: Killing) -> int:
        """To its end, whatever is killed on the way; returns how many drivers it took."""
        unstarted = 0
        for drivers in range(1, 200):
            process, before = self.start(), killing.killed.total()
            has_begun = self._kill_below(process, killing)
            _, said = process.communicate(timeout=DEADLINE_S)
            if process.returncode == 0:
                return drivers
            unstarted += not has_begun  # a busy machine may be too slow for Ray to start
            assert killing.killed.total() > before or unstarted <= MOST_UNSTARTED, said.decode()[-3000:]
        raise AssertionError("the run never came to its end")

    def _kill_below(self, process: "subprocess.Popen[bytes]", killing: Killing) -> bool:
        """One kill at a random instant after each part that is committed: what dies three times under a part is its.

        Returns whether there was anything to kill.
        """
        committed, has_begun = -1, False
        while process.poll() is None and killing.left.total() > 0:
            if self.num_committed() > committed:
                ends = time.monotonic() + killing.chance.uniform(0, _LONGEST_WAIT_S)
                while time.monotonic() < ends and process.poll() is None:
                    time.sleep(_LOOK_S)
                alive = self._alive(process.pid)
                has_begun = has_begun or bool(alive)
                chosen = killing.choose(alive)
                if chosen is not None and process.poll() is None and killing.kill(*chosen):
                    committed = self.num_committed()
                    if chosen[0] in ENDING:
                        break
            time.sleep(_LOOK_S)
        return has_begun

    def _alive(self, driver: int) -> dict[str, list[int]]:
        alive = processes_below(driver)
        if "worker" in alive and (self.folder / "score").is_dir() and not (self.folder / "select-rows").is_dir():
            alive["score worker"] = alive.pop("worker")
        return alive if "worker" in alive or "score worker" in alive else {}  # else Ray may be starting still

    def num_committed(self) -> int:
        return sum(1 for _ in self.folder.glob("*/_done/*.json"))

    def release_digests(self) -> dict[str, str]:
        release = self.folder / "release"
        files = sorted(path for path in release.rglob("*") if path.is_file())
        return {str(path.relative_to(release)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def commit_times(self) -> dict[str, float]:
        """By the uid of a page's or an image's URL: when its part's record was written, by the monotonic clock."""
        offset = time.monotonic() - time.time()
        times: dict[str, float] = {}
        for step, role, column in (("crawl", "pages", "url"), ("fetch", "rows", "uid")):
            folder = StepFolder(self.folder, step)
            for record in folder.records():
                name = f"{record.index:06d}-{record.fingerprint[:8]}.json"
                written = (folder.path / "_done" / name).stat().st_mtime + offset
                for value in read_rows(folder.file(record, role), [column])[column].to_pylist():
                    times[value if column == "uid" else uid_of(value)] = written
        return times


def kill_at_random(folder: Path, num_kills: int, seed: int) -> dict[str, Any]:
    """Runs until so many processes were killed. Raises AssertionError where a run did not come out as if left alone."""
    site, killing = Site.open(), Killing.of(num_kills, seed)
    try:
        write_recipe(folder / "recipe.json", site)
        undisturbed = KilledRun(folder / "recipe.json", folder / "undisturbed")
        undisturbed.finish()
        once = Counter(url for url, _ in site.log)
        runs = list(_killed_runs(folder, site, killing, undisturbed.release_digests(), once))
    finally:
        site.close()
    totals = {name: sum(run[name] for run in runs) for name in ("drivers", "requests", "repeated", "in_flight")}
    return {"kills": dict(sorted(killing.killed.items())), "runs": len(runs), "urls": len(once), **totals}


def _killed_runs(
    folder: Path, site: Site, killing: Killing, expected: dict[str, str], once: Counter[str]
) -> Iterator[dict[str, int]]:
    number = 0
    while killing.left.total() > 0:
        number += 1
        site.forget()
        run, before = KilledRun(folder / "recipe.json", folder / f"killed-{number}"), killing.killed.copy()
        drivers = run.finish_killed(killing)
        kills = (killing.killed - before).total()
        assert run.release_digests() == expected
        assert not list(run.folder.rglob("*.tmp"))
        assert not list((run.folder / "dead").glob("*.json"))  # a run that ended of a kill may have left its story
        times = run.commit_times()
        late = [url for url, request in site.log if request.started > times[uid_of(url)]]
        assert not late, f"asked again after they were committed: {late}"
        asked = Counter(url for url, _ in site.log)
        assert asked.keys() == once.keys()
        repeated, in_flight = (asked - once).total(), kills * CONCURRENCY * len(HOSTS)
        assert repeated <= in_flight
        yield {"drivers": drivers, "requests": asked.total(), "repeated": repeated, "in_flight": in_flight}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the runs are left to be looked at; default: nowhere")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="random-kills-") as folder:
        print(json.dumps(kill_at_random(arguments.folder or Path(folder), arguments.kills, arguments.seed)))


if __name__ == "__main__":
    main()
