"""A node's room for copies: bounded, least recently used first, nothing in use, nothing that only this node has."""

import os
import time
from pathlib import Path

import pytest

from shards.errors import UsageError
from shards.stores.scratch import Scratch, is_copy_of, mark_as_copy, scratch_folder

HOUR_S = 3600.0


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    made = Scratch(tmp_path / "home", tmp_path / "home" / "run")
    made.prepare()
    return made


def copy(tmp_path: Path, name: str, used_s_ago: float, content: str | None = "ab12") -> Path:
    """A file of 100 bytes below the run's folder; without `content` none that the store has."""
    path = tmp_path / "home" / "run" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(100))
    if content is None:
        os.utime(path, ns=(0, 5 * 10**9))
    else:
        mark_as_copy(path, content)
    os.utime(path, ns=(int((time.time() - used_s_ago) * 1e9), path.stat().st_mtime_ns))
    return path


@pytest.mark.parametrize("content", ["0", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd9-12", "no hex at all"])
def test_a_copy_tells_which_content_it_is_of(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    assert not is_copy_of(path.stat(), content)
    mark_as_copy(path, content, 1_700_000_000.5)
    assert is_copy_of(path.stat(), content)
    assert not is_copy_of(path.stat(), f"{content}1")
    assert int(path.stat().st_mtime) == 1_700_000_000


def test_the_least_recently_used_copies_go_until_the_rest_has_room(scratch: Scratch, tmp_path: Path) -> None:
    old, older, new = (
        copy(tmp_path, f"fetch/{name}", hours * HOUR_S) for name, hours in (("a", 2), ("b", 3), ("c", 1))
    )
    assert scratch.make_room(250) == 1
    assert (older.exists(), old.exists(), new.exists()) == (False, True, True)
    assert scratch.make_room(0) == 2


def test_what_the_store_may_not_have_stays(scratch: Scratch, tmp_path: Path) -> None:
    kept = [
        copy(tmp_path, "fetch/half-written", HOUR_S, content=None),
        copy(tmp_path, "fetch/.part-000000.spool", HOUR_S),
        copy(tmp_path, "fetch/_done/000000-00000000.json", HOUR_S),
        copy(tmp_path, "run.json", HOUR_S),
    ]
    assert scratch.make_room(0) == 0
    assert all(path.exists() for path in kept)


def test_what_was_asked_for_lately_stays_and_so_does_what_a_living_use_asked_for(
    scratch: Scratch, tmp_path: Path
) -> None:
    copy(tmp_path, "fetch/just-now", 1)
    copy(tmp_path, "fetch/before", HOUR_S)
    with scratch.using():
        (marker,) = (tmp_path / "home" / "uses").iterdir()
        os.utime(marker, (time.time() - 2 * HOUR_S, time.time() - 2 * HOUR_S))
        assert scratch.make_room(0) == 0
    assert scratch.make_room(0) == 1


def test_a_use_of_a_dead_process_holds_nothing(scratch: Scratch, tmp_path: Path) -> None:
    copy(tmp_path, "fetch/before", HOUR_S)
    marker = tmp_path / "home" / "uses" / "dead"
    marker.touch()
    os.utime(marker, (0, 0))
    assert scratch.make_room(0) == 1
    assert not marker.exists()


def test_room_is_made_as_copies_come(scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_SCRATCH_GB", "0.00000015")
    first = copy(tmp_path, "fetch/first", HOUR_S)
    copy(tmp_path, "fetch/second", 0)
    scratch.grown(100)
    assert not first.exists()


def test_a_bound_that_is_no_number_is_refused(scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_SCRATCH_GB", "much")
    with pytest.raises(UsageError, match="CURATE_SCRATCH_GB=much: expected a number of gigabytes"):
        scratch.grown(1)


def test_the_folder_is_the_one_that_is_set_or_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_SCRATCH", str(tmp_path / "fast" / "disk"))
    assert scratch_folder() == tmp_path / "fast" / "disk"
    monkeypatch.delenv("CURATE_SCRATCH")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = scratch_folder()
    assert place == tmp_path / f"curate-{os.getuid()}"
    assert place.stat().st_mode & 0o777 == 0o700
    place.rmdir()
    place.symlink_to(tmp_path / "fast")
    with pytest.raises(UsageError, match="is not this user's folder; set CURATE_SCRATCH"):
        scratch_folder()
