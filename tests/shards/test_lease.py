"""The lease: one owner a folder, taken over only from the dead."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shards.errors import OutputInUseError
from shards.lease import Lease, holder_of, holds


def put_lease(run: Path, pid: int, host: str, expires: float) -> None:
    lease = {"token": "other", "pid": pid, "host": host, "expires": expires}
    (run / "lease.json").write_text(json.dumps(lease))


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_lease_is_held_until_its_block_ends(tmp_path: Path) -> None:
    with Lease.take(tmp_path) as lease:
        assert holds(tmp_path, lease.token)
        holder = holder_of(tmp_path)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert not holds(tmp_path, lease.token)
    assert holder_of(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with Lease.take(tmp_path), pytest.raises(OutputInUseError, match=f"in use by process {os.getpid()} on ") as caught:
        Lease.take(tmp_path)
    assert caught.value.exit_code == 73


@pytest.mark.parametrize(
    ("pid", "host", "lives_s", "is_free"),
    [
        (os.getppid(), socket.gethostname(), 10, False),
        (os.getppid(), socket.gethostname(), -1, True),  # expired
        (1, "another-host", 10, False),  # its pid says nothing here
        (1, "another-host", -1, True),
        (1, socket.gethostname(), 10, False),
    ],
)
def test_a_lease_is_taken_over_when_it_has_run_out(
    tmp_path: Path, pid: int, host: str, lives_s: float, is_free: bool
) -> None:
    put_lease(tmp_path, pid, host, time.time() + lives_s)
    if is_free:
        with Lease.take(tmp_path) as lease:
            assert holds(tmp_path, lease.token)
    else:
        with pytest.raises(OutputInUseError):
            Lease.take(tmp_path)


def test_a_lease_of_a_dead_process_of_this_machine_is_taken_at_once(tmp_path: Path) -> None:
    put_lease(tmp_path, dead_pid(), socket.gethostname(), time.time() + 1000)
    with Lease.take(tmp_path) as lease:
        assert holds(tmp_path, lease.token)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"token": "a"}', b"\xff\xfe"])
def test_a_damaged_lease_holds_nobody_out(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "lease.json").write_bytes(data)
    assert holder_of(tmp_path) is None
    with Lease.take(tmp_path) as lease:
        assert holds(tmp_path, lease.token)


def test_who_lost_the_folder_leaves_the_new_owner_s_lease_alone(tmp_path: Path) -> None:
    with Lease.take(tmp_path) as lease:
        put_lease(tmp_path, 1, "another-host", time.time() + 10)
        assert not holds(tmp_path, lease.token)
    assert holds(tmp_path, "other")
