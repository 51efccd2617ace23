"""A call that holds more than its memory is killed, in a real process; a modest one is left alone."""

import os
import signal
import subprocess
import sys

import pytest

from pipelines.cluster.call import Around, WorkerDiedError, make_call
from pipelines.cluster.memory_limit import held_mb

_HOLD = """
import sys, time
from pipelines.cluster.call import Around, make_call

def hold(megabytes):
    held = bytearray(megabytes * 2**20)
    held[:: 2**10] = b"\\1" * len(held[:: 2**10])
    time.sleep(float(sys.argv[3]))
    return len(held)

print(make_call(Around(memory_mb=int(sys.argv[1])), "", hold, int(sys.argv[2])))
"""

_CHILD = """
import sys
held = bytearray(300 * 2**20)
held[:: 2**10] = b"1" * len(held[:: 2**10])
print(flush=True)
sys.stdin.read()
"""


def held(limit_mb: int, megabytes: int, seconds: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _HOLD, str(limit_mb), str(megabytes), str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_who_exceeds_the_limit_is_killed() -> None:
    ended = held(400, 800, 50)
    assert ended.returncode == -signal.SIGKILL
    assert "of 400, and is ended" in ended.stderr


def test_who_keeps_to_it_is_not() -> None:
    ended = held(800, 200, 0.3)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == f"({200 * 2**20}, None)"


def test_children_count() -> None:
    before = held_mb(os.getpid())
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert held_mb(os.getpid()) - before > 280


def test_an_allocation_that_fails_is_a_death_of_its_worker() -> None:
    def allocate() -> None:
        raise MemoryError("realloc of size 2**40 failed")

    value, error = make_call(Around(), "", allocate)
    assert value is None
    with pytest.raises(WorkerDiedError, match=r"out of memory: realloc of size"):
        raise error or AssertionError("no error")
