"""Storage: files appear whole or not at all, the first writer wins, and a broken disk is named."""

import errno
import hashlib
import threading
from pathlib import Path

import pytest

from shards.errors import DiskError, UsageError
from shards.storage import (
    disk_faults,
    list_names,
    open_run_folder,
    publish,
    put_if_absent,
    put_whole,
    read_whole,
    sha256_of,
)


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    put_whole(tmp_path / "a", b"old and longer")
    put_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert list_names(tmp_path) == ["a"]


def test_the_first_writer_wins(tmp_path: Path) -> None:
    assert put_if_absent(tmp_path / "a", b"first")
    assert not put_if_absent(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert list_names(tmp_path) == ["a"]


def test_of_many_writers_at_once_exactly_one_wins(tmp_path: Path) -> None:
    won: list[int] = []
    begin = threading.Barrier(8)

    def write(number: int) -> None:
        begin.wait()
        if put_if_absent(tmp_path / "a", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(number).encode() for number in won] == [(tmp_path / "a").read_bytes()]


def test_a_published_file_takes_its_final_name(tmp_path: Path) -> None:
    (tmp_path / ".a.tmp").write_bytes(b"x")
    publish(tmp_path / ".a.tmp", tmp_path / "a")
    assert list_names(tmp_path) == ["a"]


def test_names_are_sorted_files_only_and_a_missing_folder_has_none(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert list_names(tmp_path) == ["a", "b", "c"]
    assert list_names(tmp_path / "none") == []


@pytest.mark.parametrize("size", [0, 1, 2**14 - 1, 2**14, 2**14 + 1, 100_000])
def test_a_small_file_is_read_to_its_last_byte(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)
    assert read_whole(str(tmp_path / "a")) == b"x" * size


@pytest.mark.parametrize("data", [b"", b"x", b"x" * (2**20 + 1)])
def test_a_digest_is_that_of_all_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_fault_of_the_disk_names_the_file_and_says_that_the_run_resumes(tmp_path: Path, number: int) -> None:
    with pytest.raises(DiskError, match=r"cannot write /d/part: .*it resumes") as caught, disk_faults(tmp_path):
        raise OSError(number, "the disk's own words", "/d/part")
    assert caught.value.exit_code == 74


def test_a_folder_that_is_gone_is_a_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"run is gone: .* bytes are free") as caught:
        put_whole(tmp_path / "run" / "run.json", b"{}")
    assert caught.value.exit_code == 74


def test_a_file_that_is_not_there_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_faults(tmp_path):
        (tmp_path / "none").read_bytes()


def test_a_run_folder_is_an_absolute_local_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_run_folder("run") == tmp_path.resolve() / "run"
    with pytest.raises(UsageError, match="a local folder or at an s3:// URL"):
        open_run_folder("gs://bucket/run")
