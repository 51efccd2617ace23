"""Files that are digested while they are written: the bytes that were given, their digest, and faults that are told."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.digested_writer import DigestedWriter

PIECES = st.lists(st.binary(max_size=40), max_size=12)


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.digested_writer._BLOCK_BYTES", 16)


@given(PIECES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_file_holds_what_was_given_and_its_digest_is_the_file_s(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], is_copied: bool
) -> None:
    folder = tmp_path_factory.mktemp("digested")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shards.digested_writer._BLOCK_BYTES", 16)
        writer = DigestedWriter(folder / "file")
        for piece in pieces:
            write(writer, piece, folder / "other" if is_copied else None)
        digest = writer.sha256()
    data = b"".join(pieces)
    assert (folder / "file").read_bytes() == data
    assert (writer.num_bytes, digest) == (len(data), hashlib.sha256(data).hexdigest())


def write(writer: DigestedWriter, piece: bytes, source: Path | None) -> None:
    """From memory, or from amidst another file."""
    if source is None:
        return writer.write(piece)
    source.write_bytes(b"before" + piece + b"behind")
    with source.open("rb") as file:
        assert writer.copy(file.fileno(), 6, len(piece)) == len(piece)
    return None


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("num_bytes", [0, 1, 15, 16, 17, 40])
def test_a_file_that_ends_early_gives_what_it_has(tmp_path: Path, num_bytes: int) -> None:
    (tmp_path / "short").write_bytes(b"x" * num_bytes)
    writer = DigestedWriter(tmp_path / "file")
    writer.write(b"ab")
    with (tmp_path / "short").open("rb") as file:
        assert writer.copy(file.fileno(), 0, 50) == num_bytes
    writer.write(b"cd")
    writer.sha256()
    assert writer.num_bytes == num_bytes + 4
    assert (tmp_path / "file").read_bytes() == b"ab" + b"x" * num_bytes + b"cd"


@pytest.mark.usefixtures("tiny_blocks")
def test_a_full_disk_is_told_at_the_latest_with_the_digest(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is not there")
    writer = DigestedWriter(Path("/dev/full"), is_synced=False)
    writer.write(b"x" * 20)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        writer.sha256()


@pytest.mark.usefixtures("tiny_blocks")
def test_who_goes_on_writing_to_a_full_disk_is_stopped(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is not there")
    writer = DigestedWriter(Path("/dev/full"), is_synced=False)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        writer.write(b"x" * 1600)
    writer.close()


@pytest.mark.usefixtures("tiny_blocks")
def test_few_blocks_are_in_memory_however_long_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[memoryview] = []

    def new_block() -> memoryview:
        made.append(memoryview(bytearray(16)))
        return made[-1]

    monkeypatch.setattr("shards.digested_writer._new_block", new_block)
    writer = DigestedWriter(tmp_path / "file")
    for number in range(200):
        writer.write(bytes([number]) * 10)
    writer.sha256()
    assert len(made) <= 4
    assert (tmp_path / "file").read_bytes() == b"".join(bytes([number]) * 10 for number in range(200))


def test_a_file_is_closed_once(tmp_path: Path) -> None:
    writer = DigestedWriter(tmp_path / "file")
    writer.write(b"x")
    writer.close()
    writer.close()
    assert writer.sha256() == writer.sha256() == hashlib.sha256(b"x").hexdigest()
