"""WAT files: candidates from what Common Crawl read out of pages, with the kinds that they have there."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from crawler.warc import warc_slices
from crawler.warc_candidates import read_warc
from tests.crawler.archives.tiny_crawl import Page, warc_record, wat_record

PAGE = Page("https://a.test/dir/page.html", "")


def rows_of(tmp_path: Path, *records: bytes) -> list[dict[str, Any]]:
    path = tmp_path / "t.warc.wat.gz"
    path.write_bytes(b"".join(records))
    (piece,) = warc_slices([str(path)])
    return [row for batch in read_warc(piece, "mybot", 5 << 20) for row in batch.to_pylist()]


def image(url: str, **said: str) -> dict[str, str]:
    return {"path": "IMG@/src", "url": url, **said}


def test_images_come_with_their_texts_and_where_their_page_lies(tmp_path: Path) -> None:
    info = warc_record("warcinfo", "x", b"software: x\r\n", "application/warc-fields")
    rows = rows_of(tmp_path, info, wat_record(PAGE, [image("/a.jpg", alt="湖畔的\n古塔", title="塔")], Title=" 游记 "))
    assert [(row["url"], row["kind"], row["text"]) for row in rows] == [
        ("https://a.test/a.jpg", "alt", "湖畔的 古塔"),
        ("https://a.test/a.jpg", "title", "塔"),
        ("https://a.test/a.jpg", "page_title", "游记"),
    ]
    assert {row["warc_record"] for row in rows} == {"CC-MAIN-1.warc.gz:949"}
    assert {row["origin"] for row in rows} == {f"t.warc.wat.gz:{len(info)}"}
    assert {(row["page_url"], row["source"], row["page_language"]) for row in rows} == {(PAGE.url, "warc", "zh")}


def test_links_to_images_shared_images_and_the_base_count(tmp_path: Path) -> None:
    links = [
        {"path": "A@/href", "url": "big.jpg", "text": "大图", "title": "看大图"},
        {"path": "A@/href", "url": "next.html", "text": "下一页"},
        {"path": "TD@/background", "url": "sky.png"},
        image("data:image/gif;base64,AAAA", alt="空"),
    ]
    metas = [{"property": "og:image", "content": "/og.jpg"}, {"name": "description", "content": "一篇游记"}]
    rows = rows_of(tmp_path, wat_record(PAGE, links, Base="/base/", Metas=metas))
    assert [(row["url"].removeprefix("https://a.test"), row["kind"], row["text"]) for row in rows] == [
        ("/base/big.jpg", "link", "看大图"),
        ("/base/big.jpg", "link", "大图"),
        ("/base/sky.png", None, None),
        ("/og.jpg", "description", "一篇游记"),
    ]


def test_character_references_of_older_records_are_read_once(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, wat_record(PAGE, [image("/a.jpg?x=1&amp;y=2&copy=3", alt="甲 &amp; 乙 &#x56FE;")]))
    assert [(row["url"], row["text"]) for row in rows] == [("https://a.test/a.jpg?x=1&y=2&copy=3", "甲 & 乙 图")]


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"Metas": [{"name": "robots", "content": "noai"}]}, "meta robots: noai"),
        ({"headers": {"X-Robots-Tag": "mybot: noindex"}}, "x-robots-tag: mybot: noindex"),
        ({"headers": {"X-Robots-Tag": ["otherbot: noai", "noimageai"]}}, "x-robots-tag: noimageai"),
    ],
)
def test_opt_outs_are_obeyed(tmp_path: Path, said: dict[str, Any], detail: str) -> None:
    (row,) = rows_of(tmp_path, wat_record(PAGE, [image("/a.jpg", alt="塔")], **said))
    assert (row["text"], row["drop_reason"], row["detail"]) == (None, "opt_out", detail)


@pytest.mark.parametrize(
    "page",
    [Page("https://a.test/", "", status=404), Page("https://a.test/robots.txt", ""), Page("metadata://a.test", "")],
)
def test_what_is_no_page_gives_nothing(tmp_path: Path, page: Page) -> None:
    assert rows_of(tmp_path, wat_record(page, [image("/a.jpg", alt="塔")])) == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"Envelope": ', "not JSON"),
        (b"[]", "without an Envelope"),
        (b'{"Envelope": 3}', "without an Envelope"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": "' + b"x" * (33 << 20) + b'"}', "more than"),
    ],
)
def test_a_broken_record_costs_itself_alone_and_has_a_name(tmp_path: Path, body: bytes, detail: str) -> None:
    good = wat_record(PAGE, [image("/a.jpg", alt="塔")])
    rows = rows_of(tmp_path, warc_record("metadata", PAGE.url, body, "application/json"), good)
    assert (rows[0]["url"], rows[0]["drop_reason"]) == (None, "parse_error")
    assert detail in rows[0]["detail"]
    assert rows[0]["origin"] == "t.warc.wat.gz:0"
    assert rows[1]["text"] == "塔"


@pytest.mark.parametrize(
    "links",
    [
        [3, None, "x", {}, {"path": "IMG@/src"}, {"path": None, "url": 3}, image("/a.jpg", alt="塔")],
        [{"path": "IMG@/src", "url": "/a.jpg", "alt": "塔", "title": ["no", "text"]}],
    ],
)
def test_odd_links_are_passed_over(tmp_path: Path, links: list[Any]) -> None:
    assert [row["text"] for row in rows_of(tmp_path, wat_record(PAGE, links))] == ["塔"]


def test_half_a_character_becomes_one_that_no_caption_may_hold(tmp_path: Path) -> None:
    body = wat_record(PAGE, [image("/a.jpg", alt="HALF")])
    data = gzip.decompress(body).replace(b"HALF", b"\\ud83d").replace(b"Content-Length: ", b"X: ")
    head, _, block = data.partition(b"\r\n\r\n")
    block = block.removesuffix(b"\r\n\r\n")
    record = head + b"\r\nContent-Length: %d\r\n\r\n" % len(block) + block + b"\r\n\r\n"
    assert [row["text"] for row in rows_of(tmp_path, gzip.compress(record, mtime=0))] == ["\ufffd"]


def test_a_page_of_too_many_images_is_cut_and_says_so(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, wat_record(PAGE, [image(f"/{number}.jpg", alt="塔") for number in range(5001)]))
    assert len(rows) == 5001
    assert (rows[-1]["drop_reason"], rows[-1]["detail"]) == ("parse_error", "more than 5000 images")
