"""How tests damage a release and ask `curate verify` about it."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.live_line import LiveLine
from pipelines.verify.command import verify
from shards.tars import TarWriter, members
from tests.pipelines.conftest import FinishedRun

Members = list[tuple[str, bytes]]


def faults_of(path: Path) -> list[str]:
    """What `curate verify` tells of a path, a line a fault; it tells as many as it counts."""
    told: list[str] = []
    verdict = verify(path, told.append, LiveLine(io.StringIO(), live=False))
    assert (verdict.num_faults > 0) == bool(told)
    assert all("\n" not in line and len(line) < 1000 for line in told)
    return told


def copied_release(finished: FinishedRun, into: Path) -> Path:
    """A release as a user has it who copied it from somewhere: without its run and its commit records."""
    release = into / "copied"
    shutil.copytree(finished.folder / "release", release, ignore=lambda *_: ["_done"])
    return release


def resign(release: Path) -> None:
    """Make digests fit whatever lies there, as somebody would who wants to deceive."""
    paths = sorted(path for path in release.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(release).as_posix()}\n" for path in paths
    ]
    (release / "SHA256SUMS").write_text("".join(sorted(lines, key=lambda line: line[66:])))


@contextmanager
def flipped(path: Path, offset: int, bit: int = 1) -> Iterator[None]:
    """One bit of a file changed, for a while."""
    data = path.read_bytes()
    damaged = bytearray(data)
    damaged[offset] ^= bit
    path.write_bytes(damaged)
    try:
        yield
    finally:
        path.write_bytes(data)


def change_members(tar: Path, change: Callable[[Members], Members]) -> None:
    """Write a tar again with other members."""
    changed = change(list(members(tar.read_bytes())))
    with TarWriter(tar) as writer:
        for name, data in changed:
            writer.add(name, data)


def change_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a Parquet file again with other rows."""
    pq.write_table(change(pq.read_table(path)), path)


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
