"""Objects on a real server: whole puts, ranges, listings, conditional puts, and every fault that passes or stays."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from shards.errors import TryAgainError, UsageError
from shards.stores.object_listing import read_page
from shards.stores.object_store import ObjectStore, is_url, split_url
from shards.stores.patience import Patience, StoreAwayError, StoreRefusedError
from tests.object_server import PAGE_SIZE, Bucket, Kind, Trouble

SWIFT = Patience(num_tries=4, first_rest_s=0, longest_rest_s=0)
ODD_NAME = "a/中 文&<'\".txt"
PASSING: tuple[Kind, ...] = ("500", "503", "drop-before", "drop-after")


def store_of(bucket: Bucket) -> ObjectStore:
    return ObjectStore(bucket.name, SWIFT)


@pytest.mark.parametrize(
    ("url", "expected"),
    [("s3://b/k", ("b", "k")), ("s3://b/a/b/", ("b", "a/b/")), ("s3://b", ("b", "")), ("s3://b//k", ("b", "k"))],
)
def test_a_url_is_a_bucket_and_a_key(url: str, expected: tuple[str, str]) -> None:
    assert is_url(url)
    assert split_url(url) == expected


@pytest.mark.parametrize("url", ["s3:///k", "s3://", "https://b/k", "b/k"])
def test_what_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected s3://BUCKET"):
        split_url(url)


def test_an_object_is_read_whole_and_in_ranges(bucket: Bucket) -> None:
    store = store_of(bucket)
    store.put(ODD_NAME, b"0123456789")
    assert store.read(ODD_NAME).data == b"0123456789"
    assert store.size(ODD_NAME) == 10
    assert store.read_range(ODD_NAME, 2, 3) == b"234"
    assert store.read_range(ODD_NAME, 8, 100) == b"89"
    assert store.read_range(ODD_NAME, 10, 1) == b""
    assert store.read_range(ODD_NAME, 0, 0) == b""


def test_a_listing_has_names_bytes_and_what_lies_deeper(bucket: Bucket) -> None:
    store = store_of(bucket)
    for key, size in ((ODD_NAME, 3), ("a/b/c", 1), ("top", 2), ("z", 0)):
        store.put(key, b"x" * size)
    assert list(store.list()) == [("a/b/c", 1), (ODD_NAME, 3), ("top", 2), ("z", 0)]
    assert list(store.list("a/b")) == [("a/b/c", 1)]
    assert list(store.list("none")) == []
    page = store.top("a/")
    assert [found.key for found in page.objects] == [ODD_NAME]
    assert page.prefixes == ["a/b/"]


def test_a_listing_goes_on_over_its_pages(bucket: Bucket) -> None:
    store = store_of(bucket)
    keys = [f"k{number:04d}" for number in range(2 * PAGE_SIZE + 3)]
    for key in keys:
        store.put(key, b"")
    assert [key for key, _ in store.list()] == keys
    assert len(bucket.server.log("GET .*list-type")) == 3


def test_a_page_without_a_name_space_or_objects_is_read() -> None:
    assert read_page(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>") == ([], [], None)


@pytest.mark.parametrize(
    "told",
    [
        "<Key>a&amp;b%20c</Key><LastModified>2026</LastModified><ETag>&quot;e1&quot;</ETag><Size>12</Size><Owner/>",
        "\n  <Key>a&amp;b%20c</Key>\n  <ETag>e1</ETag>\n  <Type>Normal</Type>\n  <Size>12</Size>\n",
        '<Size>12</Size><ETag>"e1"</ETag><Key>a&amp;b%20c</Key>',
    ],
)
def test_objects_are_read_in_whatever_order_their_fields_come(told: str) -> None:
    page = read_page(
        f"<ListBucketResult><EncodingType>url</EncodingType><Contents>{told}</Contents> <Contents>{told}</Contents>"
        "<CommonPrefixes><Prefix>x%2By/</Prefix></CommonPrefixes><IsTruncated>true</IsTruncated>"
        "<NextContinuationToken>next</NextContinuationToken></ListBucketResult>".encode()
    )
    assert page == ([("a&b c", 12, "e1")] * 2, ["x+y/"], "next")


@pytest.mark.parametrize(
    "told", ["<Contents><Key>a</Key><ETag>e</ETag><Size>1</Size>", "<Contents><Key>a</Key><Size>1</Size></Contents>"]
)
def test_half_a_page_is_no_page(told: str) -> None:
    with pytest.raises(ElementTree.ParseError):
        read_page(f"<ListBucketResult>{told}</ListBucketResult>".encode())


def test_a_large_file_goes_in_pieces_and_comes_back_whole(bucket: Bucket, tmp_path: Path) -> None:
    store, data = store_of(bucket), os.urandom(33 << 20)
    (tmp_path / "large").write_bytes(data)
    bucket.server.trouble(
        Trouble("503", "PUT .*partNumber=2", times=1), Trouble("drop-after", "POST .*uploadId", times=1)
    )
    store.put("large", tmp_path / "large")
    assert len([asked for asked in bucket.server.log("partNumber") if asked.status == 200]) == 3
    store.fetch("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_pieces_that_were_never_joined_are_forgotten(bucket: Bucket, tmp_path: Path) -> None:
    store = store_of(bucket)
    (tmp_path / "large").write_bytes(bytes(33 << 20))
    bucket.server.trouble(Trouble("500", "PUT .*partNumber=2"), Trouble("500", "DELETE "))
    with pytest.raises(StoreAwayError, match=r"writing s3://.*/run/large \(34,603,008 bytes\)"):
        store.put("run/large", tmp_path / "large")
    bucket.server.trouble()
    store.abandon_uploads("run/")
    assert [asked.status for asked in bucket.server.log("DELETE .*uploadId")][-1] == 204


def test_an_open_object_is_a_seekable_file_that_reads_ahead(bucket: Bucket) -> None:
    store, data = store_of(bucket), os.urandom(5 << 20)
    store.put("file", data)
    with store.open("file") as file:
        assert file.read(10) == data[:10]
        assert file.read(1000) == data[10:1010]
        file.seek(-7, io.SEEK_END)
        assert file.read() == data[-7:]
        file.seek(4 << 20)
        assert file.read(5) == data[4 << 20 :][:5]
        assert file.read(0) == b""
    assert len(bucket.server.log("GET ")) == 3


def test_an_object_that_changes_while_it_is_read_is_told(bucket: Bucket) -> None:
    store = store_of(bucket)
    store.put("file", bytes(5 << 20))
    with store.open("file") as file:
        file.read(1)
        store.put("file", b"\1" * (5 << 20))
        with pytest.raises(TryAgainError, match="another object came in its place"):
            file.read()


def test_of_two_conditional_puts_the_first_wins(bucket: Bucket) -> None:
    store = store_of(bucket)
    assert store.put_if_absent("record", b"first")
    assert not store.put_if_absent("record", b"second")
    assert store.put_if_absent("record", b"first"), "ours lies there"
    assert store.read("record").data == b"first"


def test_an_object_is_replaced_only_while_it_is_the_one_that_was_seen(bucket: Bucket) -> None:
    store = store_of(bucket)
    store.put("lease", b"one")
    seen = store.read("lease").etag
    assert store.replace("lease", b"two", seen) == store.read("lease").etag
    assert store.replace("lease", b"three", seen) is None
    assert store.replace("none", b"x", seen) is None
    assert store.read("lease").data == b"two"


@pytest.mark.parametrize("kind", PASSING)
def test_a_fault_that_passes_is_asked_again(bucket: Bucket, kind: Kind) -> None:
    store = store_of(bucket)
    store.put("there", b"x")
    bucket.server.trouble(Trouble(kind, every=2))
    assert store.put_if_absent("a", b"1")
    assert not store.put_if_absent("a", b"2")
    seen = store.read("a").etag
    assert store.replace("a", b"3", seen)
    assert store.replace("a", b"4", seen) is None
    assert store.read_range("there", 0, 1) == b"x"
    assert list(store.list()) == [("a", 1), ("there", 1)]
    store.delete("there")
    bucket.server.trouble()
    assert [key for key, _ in store.list()] == ["a"]


def test_a_conditional_put_whose_answer_was_lost_is_still_ours(bucket: Bucket) -> None:
    store = store_of(bucket)
    bucket.server.trouble(Trouble("drop-after", "PUT", times=1))
    assert store.put_if_absent("record", b"mine")
    assert [asked.status for asked in bucket.server.log("PUT .*record")] == [0, 412]


def test_a_store_that_stays_away_is_asked_so_often_and_no_more(bucket: Bucket) -> None:
    bucket.server.trouble(Trouble("500"))
    with pytest.raises(
        StoreAwayError, match=r"writing s3://.*/key \(3 bytes\).*failed 4 times.*500 InternalError"
    ) as caught:
        store_of(bucket).put("key", b"abc")
    assert caught.value.exit_code == 75
    assert len(bucket.server.log("PUT .*key")) == 4


def test_where_nobody_listens_the_place_is_named(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    from shards.stores.client import s3_client

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3_client.cache_clear()
    with pytest.raises(StoreAwayError, match=r"http://127\.0\.0\.1:9"):
        ObjectStore(bucket.name, SWIFT).size("key")


def test_rests_between_tries_grow_are_random_and_have_a_bound() -> None:
    rests: list[float] = []
    patience = Patience(first_rest_s=0.5, longest_rest_s=2.0, sleep=rests.append)
    for number in range(1, 200):
        patience.rest(number)
    assert rests[0] <= 0.5
    assert rests[1] <= 1.0
    assert max(rests) <= 2.0
    assert len(set(rests[5:])) > 100
    assert max(rests[5:]) > 1.0


@pytest.mark.parametrize("what", ["put", "read", "size", "list"])
def test_refused_keys_are_told_at_once_with_what_to_set(bucket: Bucket, what: str) -> None:
    store = store_of(bucket)
    bucket.server.trouble(Trouble("403"))
    asked: dict[str, Callable[[], object]] = {
        "put": lambda: store.put("k", b""),
        "read": lambda: store.read("k"),
        "size": lambda: store.size("k"),
        "list": lambda: list(store.list()),
    }
    with pytest.raises(StoreRefusedError, match="AWS_ACCESS_KEY_ID") as caught:
        asked[what]()
    assert caught.value.exit_code == 74
    assert len(bucket.server.log(f"/{bucket.name}")) == 1


def test_missing_keys_of_the_user_are_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    from shards.stores.client import s3_client

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3_client.cache_clear()
    with pytest.raises(StoreRefusedError, match="no keys for the object store were found; set AWS_ACCESS_KEY_ID"):
        ObjectStore(bucket.name, SWIFT).read("k")


def test_what_is_not_there_is_told_apart_from_no_bucket(bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError, match="no such object"):
        store_of(bucket).read("none")
    with pytest.raises(FileNotFoundError):
        store_of(bucket).size("none")
    with pytest.raises(UsageError, match="no such bucket"):
        list(ObjectStore(f"{bucket.name}-none", SWIFT).list())
    store_of(bucket).delete("none")


def test_a_store_with_aliyun_s_word_for_it_puts_conditionally_too(bucket: Bucket) -> None:
    """It answers NotImplemented to If-None-Match and If-Match, and knows x-oss-forbid-overwrite."""
    bucket.server.trouble(Trouble("not-implemented"))
    store = store_of(bucket)
    assert store.put_if_absent("record", b"first")
    assert not store.put_if_absent("record", b"second")
    seen = store.read("record").etag
    assert store.replace("record", b"third", seen)
    assert store.replace("record", b"fourth", seen) is None
    assert store.read("record").data == b"third"


def test_without_boto3_the_extra_is_named(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from shards.stores.client import s3_client

    monkeypatch.setitem(sys.modules, "boto3", None)
    s3_client.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'curate\[s3\]'"):
        ObjectStore(bucket.name)
