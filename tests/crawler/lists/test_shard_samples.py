"""WebDataset tars as candidates: ours, img2dataset's, anyone's, and hostile ones."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from crawler.lists.shard_samples import MAX_TXT_BYTES, read_shard, shard_slices
from crawler.lists.shards_source import ShardsSource
from shards.errors import BadInputError
from shards.schema import RAW_CANDIDATE
from tests.crawler.conftest import picture
from tests.crawler.lists.shard_files import as_json, write_tar

IMAGE = picture()


def rows_of(path: Path, **source: Any) -> list[dict[str, Any]]:
    given = ShardsSource.model_validate({"kind": "shards", "paths": [str(path)], **source})
    batches = [batch for piece in shard_slices(given.paths) for batch in read_shard(piece, given)]
    assert all(batch.schema == RAW_CANDIDATE for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def short(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["url"], row["kind"], row["text"]) for row in rows]


def test_img2dataset_s_shards_are_read(tmp_path: Path) -> None:
    facts = {"url": "https://img.cn/1.jpg", "caption": "湖畔", "key": "000000001", "status": "success", "width": 64}
    members = [("000000001.jpg", IMAGE), ("000000001.json", as_json(facts)), ("000000001.txt", "湖畔".encode())]
    (row,) = rows_of(write_tar(tmp_path / "00000.tar", members))
    assert short([row]) == [("https://img.cn/1.jpg", "caption", "湖畔")]
    assert (row["origin"], row["source"]) == ("00000.tar:000000001", "shards")
    name, offset, size = row["member"].rsplit(":", 2)
    assert (name, int(size)) == ("00000.tar", len(IMAGE))
    assert (tmp_path / "00000.tar").read_bytes()[int(offset) :].startswith(IMAGE)


def test_our_own_shards_keep_their_typed_texts(tmp_path: Path) -> None:
    texts = [
        {"kind": "alt", "text": "塔", "clip_score": 0.3, "drop_reason": None},
        {"kind": "title", "text": "广告", "drop_reason": "repeated_text"},
        {"kind": "caption", "text": "湖畔的塔"},
    ]
    facts = {"url": "https://a.cn/1.jpg", "texts": texts, "page_url": "https://a.cn/", "query": "塔", "query_rank": 3}
    facts |= {"license": "CC0", "strength": "weak", "category": "风景"}
    uid = "0123456789abcdef0123456789abcdef"
    members = [(f"{uid}.jpg", IMAGE), (f"{uid}.json", as_json(facts)), (f"{uid}.txt", "湖畔的塔".encode())]
    rows = rows_of(write_tar(tmp_path / "a.tar", members))
    assert [(row["kind"], row["text"]) for row in rows] == [("alt", "塔"), ("caption", "湖畔的塔")]
    named = {name: rows[0][name] for name in ("page_url", "query", "query_rank", "license", "strength", "category")}
    assert named == {name: facts[name] for name in named}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([("x/a.png", IMAGE), ("x/a.txt", b"t")], [("shard:t.tar/x/a", "caption", "t")]),
        ([("a b 图.webp", IMAGE)], [("shard:t.tar/a%20b%20%E5%9B%BE", None, None)]),
        ([("a.jpg", IMAGE), ("a.json", as_json({"caption": "c"}))], [("shard:t.tar/a", "caption", "c")]),
        ([("a.JPG", IMAGE), ("a.txt", b"")], [("shard:t.tar/a", None, None)]),
        ([("a.jpg", IMAGE), ("a.json", as_json({"url": "file:///etc/passwd"}))], [("shard:t.tar/a", None, None)]),
        ([("a.jpg", IMAGE), ("a.json", as_json({"url": "shard:b"}))], [("shard:t.tar/a", None, None)]),
        ([("a.jpg", IMAGE), ("a.seg.png", IMAGE), ("a.cls", b"3")], [("shard:t.tar/a", None, None)]),
        ([("__info__.json", b"{}"), ("README", b"x"), ("a.png", IMAGE)], [("shard:t.tar/a", None, None)]),
        ([("a.jpg", IMAGE), ("b.jpg", IMAGE)], [("shard:t.tar/a", None, None), ("shard:t.tar/b", None, None)]),
        ([], []),
    ],
)
def test_samples_are_members_of_one_key(
    tmp_path: Path, members: list[tuple[str, bytes]], expected: list[tuple[str, str | None, str | None]]
) -> None:
    assert short(rows_of(write_tar(tmp_path / "t.tar", members))) == expected


def test_the_recipe_names_other_keys(tmp_path: Path) -> None:
    facts = {"image_url": "https://a.cn/1.jpg", "alt_text": "塔", "recaption": "一座塔", "license": "CC0", "n": 3}
    path = write_tar(tmp_path / "t.tar", [("a.jpg", IMAGE), ("a.json", as_json(facts)), ("a.txt", b"t")])
    rows = rows_of(
        path,
        url="image_url",
        texts={"alt_text": "alt", "recaption": "generated", "n": "number", "none": "none"},
        text_kind="title",
        license="unknown",
    )
    assert [(row["kind"], row["text"]) for row in rows] == [("title", "t"), ("alt", "塔"), ("generated", "一座塔")]
    assert {row["license"] for row in rows} == {"unknown"}


@pytest.mark.parametrize(
    ("members", "reason", "told"),
    [
        ([("../../etc/cron.jpg", IMAGE)], "bad_row", "leads out of the archive"),
        ([("/abs/a.jpg", IMAGE)], "bad_row", "leads out of the archive"),
        ([("a\x1b[2J.jpg", IMAGE)], "bad_row", "not printable"),
        ([("a.txt", b"t")], "bad_row", "no image in the sample"),
        ([("a.jpg", IMAGE), ("a.json", b"{")], "bad_row", ".json is not JSON"),
        ([("a.jpg", IMAGE), ("a.json", b"[1]")], "bad_row", ".json holds list, not an object"),
        ([("a.jpg", IMAGE), ("a.json", b"[" * 100_000)], "bad_row", ".json is not JSON"),
        ([("a.jpg", IMAGE), ("a.jpg", IMAGE)], "bad_row", "two members called .jpg"),
        ([("a.jpg", IMAGE), ("a.txt", b"x" * (MAX_TXT_BYTES + 1))], "bad_row", ".txt has 4194305 bytes"),
        ([("a.jpg", IMAGE), ("a.txt", b"\xff\xfe")], "bad_text", "not UTF-8"),
        ([("a.jpg", IMAGE), ("a.json", b'{"caption": "\\ud800"}')], "bad_text", "not UTF-8"),
        ([("a.jpg", IMAGE), ("a.txt", b"x" * 2**21)], "bad_text", "2097152 characters"),
    ],
)
def test_what_is_wrong_with_a_sample_is_a_reason(
    tmp_path: Path, members: list[tuple[str, bytes]], reason: str, told: str
) -> None:
    path = write_tar(tmp_path / "t.tar", [*members, ("z.jpg", IMAGE), ("z.txt", b"good")])
    bad, good = rows_of(path)
    assert (bad["drop_reason"], bad["text"]) == (reason, None)
    assert told in bad["detail"]
    assert (good["text"], good["drop_reason"]) == ("good", None)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("cut", [10, 1500])
def test_a_tar_that_is_cut_short_gives_what_comes_before(tmp_path: Path, cut: int) -> None:
    path = write_tar(tmp_path / "t.tar", [("a.jpg", IMAGE), ("a.txt", b"one"), ("b.jpg", b"x" * 9000)])
    whole = path.read_bytes()
    end = whole.index(b"b.jpg") + 512
    path.write_bytes(whole[: end + cut])
    good, bad = rows_of(path)
    assert good["text"] == "one"
    assert (bad["origin"], bad["drop_reason"]) == ("t.tar:+", "bad_row")
    assert "the file ends before" in bad["detail"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is no tar"),
        (b"url,caption\nhttp://a.test/1.jpg,x\n", "is no tar"),
        (b"PK\3\4" + b"x" * 2000, "is no tar"),
        (gzip.compress(b"x" * 2000, mtime=0), "unpack it first"),
    ],
)
def test_a_file_that_is_no_tar_is_refused_before_anything_runs(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "t.tar").write_bytes(data)
    with pytest.raises(BadInputError, match=told):
        list(shard_slices([str(tmp_path / "*.tar")]))
