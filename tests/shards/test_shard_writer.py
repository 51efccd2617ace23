"""Shards written many samples at a time: to the byte the tar that member by member gives, and its offsets."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.digested_writer import DigestedWriter
from shards.errors import BrokenRunError
from shards.shard_writer import ShardWriter
from shards.tars import TarReader, TarWriter, end_of_archive, member_header, member_headers

EXTENSIONS = st.sampled_from(["jpg", "png", "webp"])
SAMPLES = st.lists(
    st.tuples(EXTENSIONS, st.binary(max_size=1100), st.none() | st.text(max_size=300), st.text(max_size=600)),
    max_size=6,
).map(lambda rows: [(f"{number:032x}", *row) for number, row in enumerate(rows)])
Row = tuple[str, str, bytes, str | None, str]


def batch(rows: list[Row]) -> pa.RecordBatch:
    places = {"uid": 0, "extension": 1, "text": 3, "facts": 4}
    arrays = {name: pa.array([row[place] for row in rows], pa.string()) for name, place in places.items()}
    return pa.record_batch({**arrays, "num_bytes": pa.array([len(row[2]) for row in rows], pa.int64())})


@contextmanager
def opened(path: Path) -> Iterator[ShardWriter]:
    """A shard in the making; its file is closed, whatever happens."""
    file = DigestedWriter(path)
    try:
        yield ShardWriter(file)
    finally:
        file.sha256()


def written(path: Path, pieces: list[list[Row]]) -> bytes:
    """The shard at `path` of copies that lie in another file one after the other; returns its offsets."""
    copies = path.with_name("copies")
    copies.write_bytes(b"".join(row[2] for rows in pieces for row in rows))
    start = 0
    with TarReader(copies) as reader, opened(path) as shard:
        for rows in pieces:
            ends = start + np.cumsum([0, *(len(row[2]) for row in rows)])
            shard.add(batch(rows), [(reader, int(end)) for end in ends[:-1]])
            start = int(ends[-1])
        return shard.close()


@given(SAMPLES, st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_a_shard_is_the_tar_that_its_members_make_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], cut: int
) -> None:
    folder, starts = tmp_path_factory.mktemp("shard"), []
    with TarWriter(folder / "expected.tar") as tar:
        for uid, extension, image, text, facts in rows:
            starts.append(tar.position)
            tar.add(f"{uid}.{extension}", image)
            tar.add(f"{uid}.txt", (text or "").encode())
            tar.add(f"{uid}.json", facts.encode())
        starts.append(tar.position)
    offsets = written(folder / "made.tar", [rows[:cut], rows[cut:]])
    assert (folder / "made.tar").read_bytes() == (folder / "expected.tar").read_bytes()
    assert offsets == struct.pack(f"<{len(starts)}Q", *starts)


@pytest.mark.parametrize(
    ("uid", "extension"),
    [("a", "jpg"), ("A" * 32, "jpg"), ("a" * 32, "tar.gz"), ("a" * 32, ""), ("../" + "a" * 29, "x")],
)
def test_a_sample_of_another_name_is_refused(tmp_path: Path, uid: str, extension: str) -> None:
    with pytest.raises(BrokenRunError, match=r"<32 hex digits>\.<extension>"):
        written(tmp_path / "a.tar", [[(uid, extension, b"x", "", "{}")]])


def test_a_copy_that_is_cut_short_is_told(tmp_path: Path) -> None:
    (tmp_path / "copies").write_bytes(b"only nine")
    copies = TarReader(tmp_path / "copies")
    with (
        copies,
        opened(tmp_path / "a.tar") as shard,
        pytest.raises(BrokenRunError, match="at 4 has 5 bytes, expected 9"),
    ):
        shard.add(batch([("a" * 32, "jpg", b"x" * 9, "", "{}")]), [(copies, 4)])


@given(st.lists(st.tuples(st.text("abc0123.", min_size=1, max_size=100), st.integers(0, 8**11 - 1)), max_size=5))
def test_headers_made_at_once_are_those_made_one_by_one(pairs: list[tuple[str, int]]) -> None:
    names = pa.array([name for name, _ in pairs], pa.string())
    made = member_headers(names, np.array([size for _, size in pairs], np.int64))
    assert made.to_pylist() == [member_header(name, size) for name, size in pairs]


@pytest.mark.parametrize(("name", "size"), [("x" * 101, 0), ("x", 8**11)])
def test_headers_that_do_not_fit_are_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        member_headers(pa.array([name]), np.array([size]))


@pytest.mark.parametrize("num_bytes", [0, 512, 9216, 9728, 10240])
def test_a_tar_ends_with_two_blocks_of_zeros_at_a_whole_record(num_bytes: int) -> None:
    end = end_of_archive(num_bytes)
    assert not end.strip(b"\0")
    assert 1024 <= len(end) < 1024 + 10240
    assert (num_bytes + len(end)) % 10240 == 0
