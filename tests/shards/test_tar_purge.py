"""Tars without some samples: holes keep every offset, and what is taken out leaves a tar as its writer makes one."""

from pathlib import Path

import pytest

from shards.errors import BrokenRunError
from shards.tar_purge import HOLE, leave_holes, sample_starts, samples_among, take_out
from shards.tars import TarReader, TarWriter, members

UIDS = [f"{number:032x}" for number in range(4)]


def tar_of(path: Path, uids: list[str]) -> dict[str, tuple[int, bytes]]:
    """Two members a sample, of sizes around a block's; by name their offsets and bytes."""
    found = {}
    with TarWriter(path) as tar:
        for uid in uids:
            for extension, size in (("jpg", 511 + int(uid, 16)), ("txt", int(uid, 16))):
                data = uid[-1:].encode() * size
                found[f"{uid}.{extension}"] = (tar.add(f"{uid}.{extension}", data), data)
    return found


@pytest.mark.parametrize("gone", [[], UIDS[:1], UIDS[1:3], UIDS[3:], UIDS])
def test_what_is_taken_out_leaves_what_a_writer_would_have_written(tmp_path: Path, gone: list[str]) -> None:
    tar_of(tmp_path / "a.tar", UIDS)
    left = [uid for uid in UIDS if uid not in gone]
    tar_of(tmp_path / "expected.tar", left)
    assert samples_among(tmp_path / "a.tar", set(gone)) == 2 * len(gone)
    assert take_out(tmp_path / "a.tar", tmp_path / "b.tar", set(gone)) == 2 * len(left)
    assert (tmp_path / "b.tar").read_bytes() == (tmp_path / "expected.tar").read_bytes()
    assert len(sample_starts(tmp_path / "b.tar")[0]) == len(left)


@pytest.mark.parametrize("gone", [[], UIDS[:1], UIDS[1:3], UIDS[3:], UIDS])
def test_holes_keep_the_offsets_of_what_stays(tmp_path: Path, gone: list[str]) -> None:
    there = tar_of(tmp_path / "a.tar", UIDS)
    leave_holes(tmp_path / "a.tar", tmp_path / "b.tar", set(gone))
    assert (tmp_path / "b.tar").stat().st_size == (tmp_path / "a.tar").stat().st_size
    with TarReader(tmp_path / "b.tar") as reader:
        for name, (offset, data) in there.items():
            expected = bytes(len(data)) if name.partition(".")[0] in gone else data
            assert reader.read(offset, len(data)) == expected
    names = [name for name, _ in members((tmp_path / "b.tar").read_bytes())]
    assert sum(name.endswith(f".{HOLE}") for name in names) == 2 * len(gone)
    assert samples_among(tmp_path / "b.tar", set(UIDS)) == 2 * (len(UIDS) - len(gone))


@pytest.mark.parametrize("length", [0, 100, 700])
def test_a_tar_that_ends_early_is_told(tmp_path: Path, length: int) -> None:
    tar_of(tmp_path / "a.tar", UIDS)
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:length])
    with pytest.raises(BrokenRunError):
        take_out(tmp_path / "a.tar", tmp_path / "b.tar", set())
