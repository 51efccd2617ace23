"""A name that only one of many gets, on file systems with hard links, without them, and without anything else."""

import errno
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shards import name_once as naming
from shards.errors import DiskError
from shards.lease import Lease
from shards.name_once import name_once
from shards.storage import put_if_absent

_context = multiprocessing.get_context("forkserver")
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
WAYS = ("link", "rename", "lock")
"""The best that a file system offers."""


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def offer(patch: pytest.MonkeyPatch, way: str, number: int = errno.EPERM) -> None:
    """From now on, file systems offer this and nothing better."""
    if way != "link":
        patch.setattr(os, "link", refusing(number))
    if way == "lock":
        patch.setattr(naming, "_rename_new", lambda: refusing(errno.EINVAL))


@pytest.mark.parametrize("way", WAYS)
def test_the_second_of_two_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    offer(monkeypatch, way)
    assert put_if_absent(tmp_path / "record", b"first")
    assert not put_if_absent(tmp_path / "record", b"second, and longer")
    assert (tmp_path / "record").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


@pytest.mark.parametrize("number", NO_LINKS)
def test_each_way_to_say_that_there_are_no_links_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    offer(monkeypatch, "lock", number)
    assert put_if_absent(tmp_path / "record", b"first")
    assert not put_if_absent(tmp_path / "record", b"second")


@pytest.mark.parametrize("broken", ["link", "rename"])
def test_a_disk_that_is_full_is_told_and_not_taken_for_one_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    offer(monkeypatch, "link" if broken == "link" else "rename")
    if broken == "link":
        monkeypatch.setattr(os, "link", refusing(errno.ENOSPC))
    else:
        monkeypatch.setattr(naming, "_rename_new", lambda: refusing(errno.ENOSPC))
    with pytest.raises(DiskError, match="No space left"):
        put_if_absent(tmp_path / "record", b"first")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_without_renameat2_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "rename")
    monkeypatch.setattr(naming, "_rename_new", lambda: None)
    assert put_if_absent(tmp_path / "record", b"first")
    assert not put_if_absent(tmp_path / "record", b"second")


@pytest.mark.parametrize("way", WAYS)
def test_of_many_threads_one_is_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    offer(monkeypatch, way)
    start, firsts = threading.Barrier(16), []

    def put(number: int) -> None:
        start.wait()
        if put_if_absent(tmp_path / "record", bytes([number]) * 1000, is_synced=False):
            firsts.append(number)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (first,) = firsts
    assert (tmp_path / "record").read_bytes() == bytes([first]) * 1000


def test_a_link_whose_answer_was_lost_is_still_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS: the request is sent again, and is told of its own first effect."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert put_if_absent(tmp_path / "record", b"mine")
    with Lease.take(tmp_path) as lease:
        assert lease.token


def put_until_death(folder: Path, way: str, calls: int) -> None:
    """In a process of its own: put a record, and die at the `calls`-th step of naming it, before or after a call."""
    with pytest.MonkeyPatch.context() as patch:
        offer(patch, way)
        step = iter(range(1, 1000))

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                _die_at(next(step), calls)
                found = real(*arguments, **named)
                _die_at(next(step), calls)
                return found

            return call

        patch.setattr(os, "rename", dying(os.rename))
        patch.setattr(fcntl, "flock", dying(fcntl.flock))
        if way == "rename":
            real = naming._rename_new()
            assert real is not None
            patch.setattr(naming, "_rename_new", lambda: dying(real))
        put_if_absent(folder / "record", b"whole" * 1000)


def _die_at(step: int, last: int) -> None:
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("way", "num_steps"), [("rename", 2), ("lock", 4)])
def test_whoever_dies_on_the_way_leaves_a_whole_record_or_none_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, num_steps: int
) -> None:
    for last in range(1, num_steps + 2):
        folder = tmp_path / str(last)
        folder.mkdir()
        process = _context.Process(target=put_until_death, args=(folder, way, last))
        process.start()
        process.join()
        assert process.exitcode == (-signal.SIGKILL if last <= num_steps else 0)
        was_there = (folder / "record").exists()
        assert was_there == (last >= num_steps)
        with monkeypatch.context() as patch:
            offer(patch, way)
            assert put_if_absent(folder / "record", b"another" * 10) != was_there
        assert (folder / "record").read_bytes() == (b"whole" * 1000 if was_there else b"another" * 10)


def test_a_plain_name_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "lock")
    monkeypatch.chdir(tmp_path)
    Path("written").write_bytes(b"x")
    assert name_once(Path("written"), Path("named"))
    assert Path("named").read_bytes() == b"x"
