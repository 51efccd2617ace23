"""The demo's recipe in processes of their own, on a site that the test serves: to be killed, resumed and compared."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.demo.photo_site import build_site, serve
from shards.parts import StepFolder

DEADLINE_S = 240


@dataclass(frozen=True)
class DemoSite:
    """The demo's site on a port of its own, with its log of requests."""

    port: int
    log: Path

    def num_requests(self) -> int:
        return len(self.log.read_text().splitlines())


@contextmanager
def demo_site(folder: Path, port: int) -> Iterator[DemoSite]:
    """Serve the demo's site from this process."""
    site_folder, log = folder / "site", folder / "access.log"
    site_folder.mkdir()
    log.touch()
    with serve(build_site(site_folder, port), port, log):
        yield DemoSite(port, log)


@dataclass(frozen=True)
class DemoRun:
    """One run folder, and how to start `curate run` on it."""

    site: DemoSite
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        origin = f"127.0.0.1:{self.site.port}"
        return [
            *(sys.executable, "-m", "pipelines.cli", "run", "demo", "--out", str(self.folder), "--workers", "2"),
            *("--set", f'source.seeds=["http://{origin}/"]'),
            *("--set", f'network.allow_private=["{origin}"]'),
            *("--set", "fetch.part_rows=25"),
            *("--set", "release.shard_size=4"),
            *arguments,
        ]

    def finish(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        ended = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        return ended

    def kill_when(self, is_time: Callable[[], bool]) -> None:
        """Start, and kill the driver with SIGKILL as soon as it is time."""
        with subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            ends = time.monotonic() + DEADLINE_S
            while not is_time():
                assert process.poll() is None, "the run ended before it could be killed"
                assert time.monotonic() < ends, "the run never came to where it should be killed"
                time.sleep(0.003)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    def planned(self, step: str) -> list[tuple[int, str]]:
        try:
            return [
                (index, mark) for index, mark in json.loads((self.folder / "parts.json").read_bytes()).get(step, [])
            ]
        except (FileNotFoundError, ValueError):
            return []

    def num_committed(self, step: str) -> int:
        done = StepFolder(self.folder, step).committed()
        return sum((index, mark[:8]) in done for index, mark in self.planned(step))

    def release_digests(self) -> dict[str, str]:
        """sha256 of every file of the release, by name."""
        release = self.folder / "release"
        paths = [path for path in release.rglob("*") if path.is_file()]
        return {str(path.relative_to(release)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}
