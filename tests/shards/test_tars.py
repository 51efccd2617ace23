"""Tars: the same bytes from the same members, read back by offset and by other tar readers."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.errors import BrokenRunError
from shards.tars import TarReader, TarWriter, member_header, members

UID = "0123456789abcdef" * 2
NAMES = st.builds(
    "{}.{}".format, st.text("0123456789abcdef", min_size=32, max_size=32), st.sampled_from(["jpg", "txt"])
)
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=8)


def write(path: Path, entries: list[tuple[str, bytes]]) -> list[int]:
    with TarWriter(path) as tar:
        return [tar.add(name, data) for name, data in entries]


@given(MEMBERS)
@settings(max_examples=40, deadline=None)
def test_a_tar_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    offsets = write(path, entries)
    assert list(members(path.read_bytes())) == entries
    with TarReader(path) as reader:
        assert [reader.read(at, len(data)) for at, (_, data) in zip(offsets, entries, strict=True)] == [
            data for _, data in entries
        ]


def test_headers_hold_nothing_of_the_machine_or_the_moment(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", [(f"{UID}.jpg", b"x")])
    with tarfile.open(tmp_path / "a.tar") as tar:
        (member,) = tar.getmembers()
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
    assert member.mode == 0o644
    assert member.isreg()


def test_the_same_members_make_the_same_bytes(tmp_path: Path) -> None:
    entries = [(f"{UID}.jpg", b"x" * 513), (f"{UID}.txt", "字".encode())]
    write(tmp_path / "a.tar", entries)
    write(tmp_path / "b.tar", entries)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert (tmp_path / "a.tar").stat().st_size % tarfile.RECORDSIZE == 0


@pytest.mark.parametrize(
    "name",
    ["a.jpg", f"{UID}", f"{UID}.", f"../{UID}.jpg", f"{UID}.jpg\n", f"{UID.upper()}.jpg", f"{UID}.json.gz", ""],
)
def test_a_member_of_another_name_is_refused(tmp_path: Path, name: str) -> None:
    with TarWriter(tmp_path / "a.tar") as tar, pytest.raises(ValueError, match="is not named"):
        tar.add(name, b"")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a.jpg"])
def test_a_foreign_tar_is_refused_by_its_names(name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(BrokenRunError, match="not a file named"):
        list(members(buffer.getvalue()))


def test_a_link_in_a_tar_is_refused() -> None:
    buffer = io.BytesIO()
    info = tarfile.TarInfo(f"{UID}.jpg")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(info)
    with pytest.raises(BrokenRunError, match="not a file named"):
        list(members(buffer.getvalue()))


def test_a_tar_cut_short_is_told_from_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    (offset,) = write(path, [(f"{UID}.jpg", b"x" * 100)])
    path.write_bytes(path.read_bytes()[: offset + 40])
    with TarReader(path) as reader, pytest.raises(BrokenRunError, match="has 40 bytes, expected 100"):
        reader.read(offset, 100)


def write_two(tar: TarWriter) -> None:
    tar.add(f"{UID}.jpg", b"x")
    tar.add("wrong", b"")


def test_a_tar_whose_making_failed_has_no_end_of_archive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not named"), TarWriter(tmp_path / "a.tar") as tar:
        write_two(tar)
    assert (tmp_path / "a.tar").stat().st_size == 1024


@given(NAMES, st.integers(0, 8**11 - 1))
def test_a_header_is_the_one_that_the_standard_library_writes(name: str, num_bytes: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = num_bytes, 0o644
    assert member_header(name, num_bytes) == info.tobuf(tarfile.USTAR_FORMAT)


def test_a_member_too_large_for_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        member_header(f"{UID}.jpg", 8**11)
