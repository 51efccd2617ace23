"""Runs that die by SIGKILL at the very calls that make files lasting: `fsync`, `rename` and `link`."""

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Literal

from tests.pipelines.conftest import InlinePool, run_inline

When = Literal["before", "after"]

CALLS = ("fsync", "rename", "link", "replace")
_RANDOM = re.compile(r"\.[0-9a-f]{8}(?=\.)")
"""The part of a name that tells an attempt's files from another's."""

_DYING = threading.Lock()
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.pipelines.conftest", "pipelines.stages", "pipelines.flow.fetch"])


class Deaths:
    """Which calls of a run have been died at: a line each in a file, which outlives whoever writes it."""

    def __init__(self, folder: Path, notes: Path, when: When) -> None:
        self._folder, self._notes, self._when = folder, notes, when
        self._known = set(notes.read_text().splitlines()) if notes.exists() else set()

    def lie_in_wait(self) -> None:
        """From here on, the process dies at the first call that none has died at before."""
        for name in CALLS:
            setattr(os, name, self._deadly(name, getattr(os, name)))

    def _deadly(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def called(place: Any, *rest: Any, **options: Any) -> Any:
            met = f"{name} {self._named(place)}"
            if met in self._known:
                return call(place, *rest, **options)
            if self._when == "after":
                call(place, *rest, **options)
            self._die(met)

        return called

    def _named(self, place: Any) -> str:
        path = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else os.fspath(place)
        return _RANDOM.sub("", os.path.relpath(path, self._folder))

    def _die(self, met: str) -> None:
        with _DYING:  # of several threads at a call, the first one is noted; the others die with it
            with self._notes.open("a") as notes:
                notes.write(met + "\n")
            os.kill(os.getpid(), signal.SIGKILL)


def run_until_death(recipe: dict[str, Any], folder: Path, notes: Path, when: When) -> bool:
    """One run in a process of its own, up to a call that none has died at. Returns whether it came to its end."""
    process = _context.Process(target=_run, args=(recipe, folder, notes, when))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"the run ended with {process.exitcode}"
    return process.exitcode == 0


def _run(recipe: dict[str, Any], folder: Path, notes: Path, when: When) -> None:
    Deaths(folder, notes, when).lie_in_wait()
    run_inline(recipe, folder, InlinePool())
