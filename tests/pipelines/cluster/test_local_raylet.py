"""Ray's node process of this machine is killed: no fault of the part, and nothing to wait for."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.workers import RayPool
from shards.errors import TryAgainError
from tests.random_kills import processes_below

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[3]


def double(number: int) -> int:
    return 2 * number


def lose_the_raylet() -> None:
    """In a process of its own, since Ray never waits for the dead process."""
    with closing(RayPool(workers=1)) as pool:
        assert pool.result(pool.start(double, 4)) == 8
        (raylet,) = processes_below(os.getpid())["raylet"]
        os.kill(raylet, signal.SIGKILL)
        handle = pool.start(double, 5, cpus=0.5)  # another share: no worker that waits can take it
        assert pool.wait([handle], 120.0) == [handle]
        try:
            pool.result(handle)
        except TryAgainError as error:
            print(f"ended: {error}", flush=True)


def test_a_killed_raylet_ends_the_run_resumable() -> None:
    program = f"from {__name__} import lose_the_raylet; lose_the_raylet()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert "ended: Ray's node process (raylet) of this machine was killed" in done.stdout, done.stderr[-3000:]
    assert "start the same command again" in done.stdout
