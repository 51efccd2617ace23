"""The files of a source, on disk and in object stores: globs, packed streams, and what is told of those not there."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from crawler.input_files import find_files, open_stream, read_chunk
from shards.errors import BadInputError, UsageError
from shards.stores.object_store import ObjectStore
from tests.object_server import Bucket


def put(bucket: Bucket, key: str, data: bytes) -> str:
    ObjectStore(bucket.name).put(key, data)
    return bucket.url(key)


def test_a_glob_of_objects_fits_as_one_of_files(bucket: Bucket) -> None:
    for key, data in (("in/a-1.csv", b"1"), ("in/a-2.csv", b"22"), ("in/b-1.csv", b"3"), ("in/a-1.txt", b"4")):
        put(bucket, key, data)
    found = find_files([bucket.url("in/a-*.csv"), bucket.url("in/b-1.csv")])
    assert [(file.name, file.num_bytes) for file in found] == [("a-1.csv", 1), ("a-2.csv", 2), ("b-1.csv", 1)]
    assert [file.path for file in found] == [bucket.url(f"in/{name}") for name in ("a-1.csv", "a-2.csv", "b-1.csv")]


def test_only_what_begins_as_the_glob_is_listed(bucket: Bucket) -> None:
    put(bucket, "in/a.csv", b"1")
    bucket.server.forget()
    find_files([bucket.url("in/a*.csv")])
    assert len(bucket.server.log(r"GET .*prefix=in(%2F|/)a(&|$)")) == len(bucket.server.log("GET ")) == 1


def test_objects_are_read_in_order_and_by_place(bucket: Bucket) -> None:
    data = bytes(range(256)) * 100
    with open_stream(put(bucket, "x.bin", data), None) as stream:
        assert stream.size() == len(data)
        stream.seek(1000)
        assert stream.read(10) == data[1000:1010]
    packed = put(bucket, "x.gz", gzip.compress(data[:5000]) + gzip.compress(data[5000:]))
    with open_stream(packed, "gzip") as stream:
        assert stream.read() == data


def test_objects_that_are_not_there_are_told(bucket: Bucket) -> None:
    with pytest.raises(BadInputError, match="no such object"):
        find_files([bucket.url("gone.csv")])
    with pytest.raises(UsageError, match="no object fits"):
        find_files([bucket.url("gone*.csv")])
    with pytest.raises(BadInputError, match="cannot be read"):
        open_stream(bucket.url("gone.csv"), None)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_packed_file_of_several_members_is_read_whole_and_a_cut_one_is_told(tmp_path: Path, compression: str) -> None:
    codec = pa.Codec(compression)
    members = [codec.compress(b"line %d\n" % number * 1000, asbytes=True) for number in range(3)]
    path = tmp_path / "x"
    path.write_bytes(b"".join(members))
    with open_stream(str(path), compression) as stream:
        assert stream.read() == b"".join(b"line %d\n" % number * 1000 for number in range(3))
    path.write_bytes(b"".join(members)[:-4])
    with pytest.raises(BadInputError, match="broken or cut short"):
        drain(str(path), compression)


def drain(path: str, compression: str) -> None:
    with open_stream(path, compression) as stream:
        while read_chunk(path, stream, 1000):
            pass
