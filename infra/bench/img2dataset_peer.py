"""The peer, img2dataset 1.47.0: an environment of its own, one run of it, and what became of each URL."""

import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from peer_environment import ensure_environment
from process_tree import TreeMeter, TreeUsage

VERSION = "1.47.0"
_POLL_S = 0.05


@dataclass(frozen=True)
class PeerRun:
    """One run, from the command to its end or to `limit_s`.

    `work_s` begins when the first shard is begun, so that interpreters and imports are left out, and lasts to the end
    of the last shard. `cpu_s` is of the command and all its processes.
    """

    wall_s: float
    work_s: float
    cpu_s: float
    peak_mib: float
    foreign_cpu_s: float
    server_cpu_s: float
    is_ended: bool
    statuses: dict[str, str]


def ensure_peer(folder: Path) -> Path:
    """The img2dataset command of an environment under `folder`, made where it is missing (about two minutes)."""
    command = folder / "bin" / "img2dataset"
    if not command.exists():
        ensure_environment(folder, [f"img2dataset=={VERSION}"])
    return command


def write_url_list(path: Path, urls: list[str]) -> None:
    """A list with one text to each URL, for the peer and for us."""
    texts = [f"第{number}张照片" for number in range(len(urls))]
    pq.write_table(pa.table({"url": urls, "caption": texts}), path)


def run_peer(
    command: Path,
    urls: Path,
    output: Path,
    options: list[str],
    *,
    per_shard: int,
    processes: int = 2,
    bundle: Path | None = None,
    server: int | None = None,
    limit_s: float = 600,
) -> PeerRun:
    """Downloads a list into WebDataset shards, as its README says to. `bundle` is a file of certificates to trust."""
    environment = dict(os.environ) | {"NO_ALBUMENTATIONS_UPDATE": "1"}  # else it asks the network for its version
    if bundle is not None:
        environment["SSL_CERT_FILE"] = str(bundle)
    arguments = ["--url_list", str(urls), "--output_folder", str(output), "--input_format", "parquet"]
    arguments += ["--url_col", "url", "--caption_col", "caption", "--output_format", "webdataset"]
    arguments += ["--processes_count", str(processes), "--number_sample_per_shard", str(per_shard)]
    arguments += ["--enable_wandb", "False", *options]
    begun = _Begun(output)
    with Path(f"{output}.log").open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(command), *arguments], stdout=log, stderr=log, env=environment, start_new_session=True
        )
        with begun, TreeMeter(process.pid, server) as meter:
            is_ended = _wait(process, limit_s)
            wall_s = time.monotonic() - started
    if not is_ended:
        os.killpg(process.pid, signal.SIGKILL)  # its whole session: it does not end by itself
    _, status, reaped = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = reaped.ru_utime + reaped.ru_stime if is_ended else sum(meter.usage.cpu_s.values())
    return _peer_run(wall_s, started + wall_s - (begun.at or started), cpu_s, meter.usage, is_ended, output)


def _peer_run(wall_s: float, work_s: float, cpu_s: float, usage: TreeUsage, is_ended: bool, output: Path) -> PeerRun:
    foreign = usage.foreign_cpu_s + sum(usage.cpu_s.values()) - cpu_s
    statuses = dict(_statuses(output)) if is_ended else {}  # what was killed leaves half files
    return PeerRun(
        wall_s=round(wall_s, 2),
        work_s=round(work_s, 2),
        cpu_s=round(cpu_s, 2),
        peak_mib=usage.peak_mib["all"],
        foreign_cpu_s=round(max(0.0, foreign), 2),
        server_cpu_s=usage.server_cpu_s,
        is_ended=is_ended,
        statuses=statuses,
    )


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> bool:
    """Whether it ended in time. It is left unreaped, so that the kernel's account of it can still be read."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        time.sleep(_POLL_S)
    return False


class _Begun:
    """Notes when the first shard appears in the output folder."""

    def __init__(self, output: Path) -> None:
        self.at: float | None = None
        self._output = output
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_S):
            if next(self._output.glob("*.tar"), None) is not None:
                self.at = time.monotonic()
                return


def _statuses(output: Path) -> Iterator[tuple[str, str]]:
    """(URL, status or error) of each row of the finished shards."""
    for path in sorted(output.glob("*.parquet")):
        rows = pq.read_table(path, columns=["url", "status", "error_message"])
        for row in rows.to_pylist():
            yield row["url"], "success" if row["status"] == "success" else str(row["error_message"])


def stored_images(output: Path) -> dict[str, bytes]:
    """By URL, the stored images of a small run."""
    keys: dict[str, str] = {}
    for path in sorted(output.glob("*.parquet")):
        keys |= {row["key"]: row["url"] for row in pq.read_table(path, columns=["key", "url"]).to_pylist()}
    found = {}
    for path in sorted(output.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                content = tar.extractfile(member)
                if extension in ("jpg", "png", "webp") and content is not None:
                    found[keys[key]] = content.read()
    return found
