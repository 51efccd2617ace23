"""A limit on what one call may hold in memory: whoever exceeds it dies, as under a machine's own killer."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MIB = 2**20
_LOOK_EVERY_S = 0.1
_ANONYMOUS = b"RssAnon:"


@contextmanager
def memory_limit(limit_mb: int) -> Iterator[None]:
    """While inside, this process is killed once it and its children hold more than so many MiB that are their own."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(limit_mb, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def held_mb(pid: int) -> float:
    """MiB of anonymous memory, resident, of a process and all that descend from it; 0 where the system tells nothing.

    Files that are mapped, libraries and what is shared are not counted: the system can take them back.
    """
    total, waiting = 0, [pid]
    while waiting:
        process = waiting.pop()
        total += _anonymous_bytes(process)
        waiting += _children(process)
    return total / _MIB


def _watch(limit_mb: int, ended: threading.Event) -> None:
    while not ended.wait(_LOOK_EVERY_S):
        held = held_mb(os.getpid())
        if held > limit_mb:
            sys.stderr.write(f"memory_mb: this part holds {held:.0f} MiB of {limit_mb}, and is ended\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def _anonymous_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:  # it ended meanwhile
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(_ANONYMOUS))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.scandir(f"/proc/{pid}/task"):
            found += [int(child) for child in Path(thread.path, "children").read_bytes().split()]
    except OSError:
        return found
    return found
