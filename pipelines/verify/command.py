"""`curate verify`: what a path is, all that is checked of it, and one line in the end."""

import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.live_line import LiveLine, printable
from pipelines.verify.counts import STATS
from pipelines.verify.faults import Faults
from pipelines.verify.listing import SUMS
from pipelines.verify.meter import Meter, shown_bytes
from pipelines.verify.records import read_records
from pipelines.verify.release import RELEASE, ReleaseFound, check_release
from pipelines.verify.run import RunFound, check_run
from pipelines.verify.uids import UIDS
from shards.catalog import PLAN_FILE
from shards.errors import BadInputError, UsageError

_MEMORY_BYTES = 4 << 30
"""What a verification may take on top of what it began with: a file that claims more is told as a fault."""

_COPY = "take it again from where the release came from"
_REMAKE = "delete it and run again: it is made anew"
_REDO = "delete it and run again: its part is redone (a download is asked for again)"


@dataclass(frozen=True)
class Verdict:
    """How a verification ended."""

    num_faults: int
    summary: str


def verify(path: Path, tell: Callable[[str], None], line: LiveLine) -> Verdict:
    """Check a run or a release, and tell each fault as it is found.

    Raises `UsageError` for what is neither, `BadInputError` for what cannot be read, `OutputInUseError` for a run that
    somebody writes.
    """

    def tell_above(fault: str) -> None:
        line.clear()
        tell(printable(fault))

    meter = Meter(line)
    with _reading(path), _bounded_memory():
        if (path / PLAN_FILE).is_file():
            faults = Faults(tell_above, _REDO)
            told = _told_run(check_run(path, faults, meter, _REMAKE))
        elif _is_release(path):
            is_in_run = path.name == RELEASE and (path.parent / PLAN_FILE).is_file()
            faults = Faults(tell_above, _REMAKE if is_in_run else _COPY)
            records = list(read_records(path, RELEASE, faults))
            told = _told_release(check_release(path, records, faults, meter))
        else:
            raise UsageError(
                f"{path} is no run of curate, and no release or export: neither {PLAN_FILE} nor {SUMS} is there"
            )
    for rest in faults.rest():
        tell_above(rest)
    line.clear()
    read = f"{_counted(meter.num_files, 'file')}, {shown_bytes(meter.num_bytes)}"
    return Verdict(len(faults), f"{path.name}: {read}, {told}: {_counted(len(faults), 'fault')}")


def _is_release(path: Path) -> bool:
    """A folder with digests, or with so much of a release that they must be missing."""
    return (path / SUMS).exists() or sum((path / name).exists() for name in (STATS, "manifest", UIDS)) >= 2


def _counted(number: int, what: str) -> str:
    return f"no {what}" if not number else f"{number:,} {what}{'' if number == 1 else 's'}"


def _told_release(found: ReleaseFound) -> str:
    if not found.has_manifest:
        return "digests alone, since no manifest lies there"
    shards = f"{found.num_in_shards:,} in {_counted(found.num_shards, 'shard')}" if found.num_shards else "no shards"
    return f"{_counted(found.num_samples, 'sample')} ({found.num_kept:,} kept, {shards})"


def _told_run(found: RunFound) -> str:
    told = f"{found.num_parts:,} parts, "
    if found.release is not None:
        told += _told_release(found.release)
    else:
        told += "no release yet"
    missing = sum(found.missing.values())
    return f"{told} (unfinished: {missing:,} planned parts are not there yet)" if missing else told


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What keeps the path itself from being read is bad input, not a bug."""
    try:
        yield
    except OSError as error:
        raise BadInputError(f"{error.filename or path} cannot be read: {error.strerror or error}") from error


@contextmanager
def _bounded_memory() -> Iterator[None]:
    """Where the system can, bound what this process may allocate: a hostile file runs into it, and is told."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    taken = _data_bytes()
    wanted = taken + _MEMORY_BYTES
    if taken and (before[0] == resource.RLIM_INFINITY or before[0] > wanted):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_bytes() -> int:
    """Private writable memory of this process as RLIMIT_DATA counts it; 0 where the system does not say."""
    if not sys.platform.startswith("linux"):
        return 0
    fields = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next((int(field.split()[1]) * 1024 for field in fields if field.startswith("VmData:")), 0)
