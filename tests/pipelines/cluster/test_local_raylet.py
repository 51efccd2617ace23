"""Ray's node process of this machine is killed: no fault of the part, and nothing to wait for."""

import os
import signal
from collections.abc import Iterator

import pytest

from pipelines.workers import RayPool
from shards.errors import TryAgainError
from tests.random_kills import processes_below

pytestmark = pytest.mark.slow


@pytest.fixture
def pool() -> Iterator[RayPool]:
    opened = RayPool(workers=1)
    yield opened
    opened.close()


def double(number: int) -> int:
    return 2 * number


def test_a_killed_raylet_ends_the_run_resumable(pool: RayPool) -> None:
    assert pool.result(pool.start(double, 4)) == 8
    (raylet,) = processes_below(os.getpid())["raylet"]
    os.kill(raylet, signal.SIGKILL)
    handle = pool.start(double, 5, cpus=0.5)  # another share: no worker that waits can take it
    assert pool.wait([handle], 120.0) == [handle]
    with pytest.raises(TryAgainError, match=r"raylet.* start the same command again"):
        pool.result(handle)
