"""A node's room for copies of what lies on an object store: bounded, the least recently used leave it first."""

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shards.errors import UsageError

PLACE_VARIABLE = "CURATE_SCRATCH"
BOUND_VARIABLE = "CURATE_SCRATCH_GB"
INCOMING = "incoming"
_LOCK = "lock"
_USES = "uses"
_GRACE_S = 600.0
"""Whoever was just given a path opens it within ten minutes, or says how long it needs it by `Scratch.using`."""

_LOOK_EVERY = 0.05
"""Room is looked for whenever a process has brought this share of the bound."""


def scratch_folder() -> Path:
    """Where this node keeps copies: $CURATE_SCRATCH, or a folder of the user's below the system's temporary one.

    Raises `UsageError` where that is somebody else's.
    """
    given = os.environ.get(PLACE_VARIABLE)
    place = Path(given).expanduser().resolve() if given else Path(tempfile.gettempdir()) / f"curate-{os.getuid()}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not given and (found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode)):
        raise UsageError(f"{place}: is not this user's folder; set {PLACE_VARIABLE} to one that is")
    return place


class Scratch:
    """The copies of one run. Many processes of a node share them: `home` holds what they agree by."""

    def __init__(self, home: Path, root: Path) -> None:
        self._home = home
        self._root = root
        self._num_brought = 0

    def prepare(self) -> None:
        for folder in (self._root, self._home / INCOMING, self._home / _USES):
            folder.mkdir(parents=True, exist_ok=True)

    def incoming(self, name: str) -> Path:
        """Where a file is written before it takes its place: what lies there belongs to nobody after a kill."""
        return self._home / INCOMING / f"{name[:100]}.{secrets.token_hex(4)}"

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Nothing is dropped meanwhile."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """One process at a time."""
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def using(self) -> Iterator[None]:
        """What is asked for from here on stays until the end of the block, however long that takes."""
        path = self._home / _USES / secrets.token_hex(8)
        with path.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def grown(self, num_bytes: int) -> None:
        """Tell of bytes that came; makes room where there is need."""
        self._num_brought += num_bytes
        bound = self._bound()
        if self._num_brought > _LOOK_EVERY * bound:
            self._num_brought = 0
            self.make_room(bound)

    def make_room(self, max_bytes: int) -> int:
        """Drop copies, the least recently used first, until at most `max_bytes` are left; returns how many went.

        Nothing that was asked for within ten minutes goes, nor since the oldest call of `using` that still lasts.
        """
        with self._locked(fcntl.LOCK_EX):
            since = min(time.time() - _GRACE_S, self._oldest_use())
            copies = sorted(self._copies())
            left = sum(size for _, size, _ in copies)
            num_dropped = 0
            for used_at, size, path in copies:
                if left <= max_bytes or used_at >= since:
                    break
                os.unlink(path)
                left -= size
                num_dropped += 1
            return num_dropped

    def _copies(self) -> Iterator[tuple[float, int, str]]:
        """(last used, bytes, path) of what can be brought again: no records, no beginnings of an attempt's files."""
        for folder, inner, names in os.walk(self._root):
            if folder == str(self._root):  # the run's own files are few and small
                continue
            inner[:] = [name for name in inner if name != "_done"]
            for name in names:
                if name.startswith("."):
                    continue
                with suppress(FileNotFoundError):
                    found = os.stat(f"{folder}/{name}")
                    if is_sent(found):
                        yield found.st_atime, found.st_size, f"{folder}/{name}"

    def _oldest_use(self) -> float:
        """When the oldest living use began; those of dead processes are forgotten."""
        oldest = float("inf")
        for path in (self._home / _USES).iterdir():
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    oldest = min(oldest, os.fstat(file.fileno()).st_mtime)
                else:
                    path.unlink(missing_ok=True)
        return oldest

    def _bound(self) -> int:
        """$CURATE_SCRATCH_GB, or half of what the disk would have free without the copies of this moment."""
        given = os.environ.get(BOUND_VARIABLE)
        if given:
            try:
                return int(float(given) * 10**9)
            except ValueError:
                raise UsageError(f"{BOUND_VARIABLE}={given}: expected a number of gigabytes") from None
        return shutil.disk_usage(self._home).free // 2 + self._num_brought

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        descriptor = os.open(self._home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


_NS = 10**9
_SENT = 1 << 28


def mark_as_copy(path: str | Path, content: str, modified_s: float | None = None) -> None:
    """Note in a file's modification time (its nanoseconds) which content it is a copy of."""
    moment = int(time.time() if modified_s is None else modified_s)
    os.utime(path, ns=(time.time_ns(), moment * _NS + _mark(content)))


def is_copy_of(found: os.stat_result, content: str) -> bool:
    """Whether the file was marked as a copy of this content."""
    return found.st_mtime_ns % _NS == _mark(content)


def is_sent(found: os.stat_result) -> bool:
    """Whether the file was marked as a copy of anything: what was not may be this node's alone."""
    return _SENT <= found.st_mtime_ns % _NS < 2 * _SENT and found.st_mtime_ns % 2 == 1


def _mark(content: str) -> int:
    """27 bits of a digest of the content's name, odd, and in a range that a clock's nanoseconds are seldom in."""
    return _SENT | zlib.crc32(content.encode()) & (_SENT - 2) | 1
