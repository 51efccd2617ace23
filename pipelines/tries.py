"""How often parts were tried beyond their first time, by stage and cause, kept in a run's folder for who watches it."""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from shards.storage import put_whole

TRIES_FILE = "tries.json"
Cause = Literal["failed", "worker_died", "node_lost", "late", "narrowed"]
"""The attempt before raised, its worker died or its machine went; a second call of a slow part; rows were set aside."""

_KEEP_EVERY_S = 10.0

Counts = dict[str, dict[str, int]]


class Tries:
    """The counts of all calls of one run. The file is there once anything was tried again, and is no part of a result.

    It lags behind by some seconds, and a driver that is killed takes those with it.
    """

    def __init__(self, run: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._clock = run, clock
        self._counts = read_tries(run)
        self._kept_at, self._is_kept = -math.inf, True

    def again(self, stage: str, cause: Cause) -> None:
        """A part of the stage is tried once more."""
        causes = self._counts.setdefault(stage, {})
        causes[cause] = causes.get(cause, 0) + 1
        self._is_kept = False
        if self._clock() - self._kept_at >= _KEEP_EVERY_S:
            self.keep()

    def keep(self) -> None:
        """See that the file says what is known now."""
        if self._is_kept:
            return
        put_whole(self._run / TRIES_FILE, json.dumps(self._counts, sort_keys=True, indent=1).encode() + b"\n")
        self._kept_at, self._is_kept = self._clock(), True


def read_tries(run: Path) -> Counts:
    """Stage -> cause -> number; nothing without a file, or with a damaged one, for nothing is decided by it."""
    try:
        told = json.loads((run / TRIES_FILE).read_bytes())
        return {str(stage): {str(cause): int(number) for cause, number in told[stage].items()} for stage in told}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}
