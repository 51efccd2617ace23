"""WARC files as candidates, and HTTP bodies as they went over the wire."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest

from crawler.content_coding import CodingError, TooLargeError, dechunk, decode_body
from crawler.warc import WarcSlice, read_responses, warc_slices
from crawler.warc_candidates import read_warc
from shards.errors import BadInputError
from shards.schema import RAW_CANDIDATE

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "warc"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="no shared test material beside the project")
MAX_BYTES = 5 * 2**20


def record(url: str, body: bytes, headers: bytes = b"Content-Type: text/html\r\n", status: bytes = b"200 OK") -> bytes:
    block = b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n" + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>\r\n"
        "WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def rows_of(path: Path, max_page_bytes: int = MAX_BYTES) -> list[dict[str, Any]]:
    (piece,) = warc_slices([str(path)])
    batches = list(read_warc(piece, "mybot", max_page_bytes))
    assert all(batch.schema == RAW_CANDIDATE for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def write(path: Path, *records: bytes) -> Path:
    members = [gzip.compress(each, mtime=0) for each in records] if path.suffix == ".gz" else records
    path.write_bytes(b"".join(members))
    return path


IMAGE = '<img src="a.jpg" alt="鱼">'.encode()


def test_html_pages_with_status_200_become_candidates(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.warc.gz",
        record("http://a.test/1", IMAGE),
        record("http://a.test/2", IMAGE, status=b"404 Not Found"),
        record("http://a.test/3", b"\x89PNG", headers=b"Content-Type: image/png\r\n"),
        record("http://a.test/4", b"<!DOCTYPE html>" + IMAGE, headers=b""),
        record("<http://a.test/5>", IMAGE),
        record("http://a.test/robots.txt", IMAGE),
        record("metadata://a.test/7", IMAGE),
    )
    rows = rows_of(path)
    assert [(row["page_url"], row["url"], row["kind"], row["text"]) for row in rows] == [
        (f"http://a.test/{number}", "http://a.test/a.jpg", "alt", "鱼") for number in (1, 4, 5)
    ]
    assert {row["source"] for row in rows} == {"warc"}
    offset = len(gzip.compress(record("http://a.test/1", IMAGE), mtime=0))
    assert rows[0]["origin"] == "t.warc.gz:0"
    assert [page.offset for page in read_responses(str(path), MAX_BYTES)][1] == offset


def test_a_response_can_be_read_again_at_its_offset(tmp_path: Path) -> None:
    path = write(tmp_path / "t.warc.gz", record("http://a.test/1", IMAGE), record("http://a.test/2", b"two"))
    _, second = read_responses(str(path), MAX_BYTES)
    assert next(read_responses(str(path), MAX_BYTES, start=second.offset)) == second
    assert (second.url, second.body) == ("http://a.test/2", b"two")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"Content-Encoding: gzip\r\n", gzip.compress(IMAGE, mtime=0)),
        (b"Content-Encoding: deflate\r\n", zlib.compress(IMAGE)),
        (b"Content-Encoding: deflate\r\n", zlib.compress(IMAGE)[2:-4]),
        (b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(IMAGE, mtime=0), mtime=0)),
        (b"Content-Encoding: gzip\r\n", IMAGE),  # an archive that unpacked the body, but kept the header
        (
            b"Transfer-Encoding: chunked\r\n",
            b"5\r\n" + IMAGE[:5] + b"\r\n%x;x=y\r\n" % len(IMAGE[5:]) + IMAGE[5:] + b"\r\n0\r\n\r\n",
        ),
        (b"Transfer-Encoding: chunked\r\n", IMAGE),
    ],
)
def test_bodies_are_unwrapped(tmp_path: Path, headers: bytes, body: bytes) -> None:
    path = write(tmp_path / "t.warc", record("http://a.test/", body, b"Content-Type: text/html\r\n" + headers))
    assert [row["text"] for row in rows_of(path)] == ["鱼"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (gzip.compress(b"\0" * 3_000_000, mtime=0), "more than 1000000 bytes once decompressed"),
        (gzip.compress(IMAGE, mtime=0)[:-9], "compressed data cut short"),
        (b"\x1f\x8b" + b"nonsense", None),
    ],
)
def test_a_body_that_cannot_be_unwrapped_is_a_parse_error(tmp_path: Path, body: bytes, detail: str | None) -> None:
    headers = b"Content-Type: text/html\r\nContent-Encoding: gzip\r\n"
    path = write(tmp_path / "t.warc", record("http://a.test/", body, headers), record("http://a.test/2", IMAGE))
    broken, good = rows_of(path, max_page_bytes=1_000_000)
    assert (broken["url"], broken["page_url"], broken["drop_reason"]) == (None, "http://a.test/", "parse_error")
    assert detail is None or broken["detail"] == detail
    assert good["text"] == "鱼"


def test_opt_outs_in_headers_and_pages_are_obeyed(tmp_path: Path) -> None:
    headers = b"Content-Type: text/html\r\nX-Robots-Tag: otherbot: noindex\r\nX-Robots-Tag: mybot: noai\r\n"
    path = write(
        tmp_path / "t.warc",
        record("http://a.test/1", IMAGE, headers),
        record("http://a.test/2", b"<meta name=robots content=noimageai>" + IMAGE),
    )
    assert [(row["text"], row["kind"], row["drop_reason"], row["detail"]) for row in rows_of(path)] == [
        (None, None, "opt_out", "x-robots-tag: mybot: noai"),
        (None, None, "opt_out", "meta robots: noimageai"),
    ]


def test_a_file_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.warc.gz", record("http://a.test/1", IMAGE), record("http://a.test/2", IMAGE))
    cut = tmp_path / "cut.warc.gz"
    cut.write_bytes(whole.read_bytes()[:-40])
    rows = rows_of(cut)
    assert (rows[0]["page_url"], rows[0]["text"]) == ("http://a.test/1", "鱼")
    assert all(row["drop_reason"] in ("bad_row", "parse_error") for row in rows[1:])
    assert len({row["origin"] for row in rows}) == len(rows)


@pytest.mark.parametrize("data", [b"", b"nonsense", gzip.compress(b"nonsense", mtime=0), b"\x1f\x8bnonsense"])
def test_what_is_no_warc_is_refused_before_anything_runs(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.warc.gz").write_bytes(data)
    with pytest.raises(BadInputError):
        list(warc_slices([str(tmp_path / "t.warc.gz")]))


@needs_data
@pytest.mark.parametrize("path", sorted(DATA.glob("*/*.warc*")) if DATA.exists() else [], ids=lambda path: path.name)
def test_no_archive_of_others_breaks_the_reader(path: Path) -> None:
    piece = WarcSlice(str(path), path.name, path.stat().st_size)
    for batch in read_warc(piece, "mybot", MAX_BYTES):
        for row in batch.to_pylist():
            assert (row["url"] is None) == (row["drop_reason"] in ("bad_row", "parse_error"))


@needs_data
def test_wgets_archives_of_chinese_sites_are_read() -> None:
    texts: dict[str, set[str | None]] = {}
    for piece in warc_slices([str(DATA / "wget-zh" / "*.warc.gz")]):
        batches = read_warc(piece, "mybot", MAX_BYTES)
        texts[piece.name] = {text for batch in batches for text in batch.column("text").to_pylist()}
    assert "下一页" in texts["zh-gbk-debian-faq.warc.gz"]
    assert {"韩式拌饭", "酱拌荞麦面-预览图-1"} <= texts["zh-utf8-howtocook.warc.gz"]


@pytest.mark.parametrize(
    ("body", "coding", "expected"),
    [(b"x", None, b"x"), (b"x", "identity", b"x"), (b"", "gzip", b""), (b"x", " , ", b"x")],
)
def test_plain_bodies_pass(body: bytes, coding: str | None, expected: bytes) -> None:
    assert decode_body(body, coding, 10) == expected


def test_brotli_is_unpacked_within_its_bound() -> None:
    import brotli  # type: ignore[import-untyped]  # ships no types

    assert decode_body(brotli.compress(IMAGE * 100), "br", 10_000) == IMAGE * 100
    with pytest.raises(TooLargeError):
        decode_body(brotli.compress(b"\0" * 10_000_000), "br", 1_000_000)
    with pytest.raises(CodingError):
        decode_body(brotli.compress(IMAGE * 100)[:-5], "br", 10_000)


@pytest.mark.parametrize("coding", ["zstd", "gzip, gzip, gzip, gzip", "x" * 1000])
def test_unknown_codings_are_errors(coding: str) -> None:
    with pytest.raises(CodingError):
        decode_body(b"x", coding, 10)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"2\r\nab\r\n0\r\n\r\n", b"ab"),
        (b"2\nab\n0\n\n", b"ab"),
        (b"2\r\nab\r\n", b"ab"),
        (b"5\r\nab", b"ab"),
        (b"<p>no chunks", b"<p>no chunks"),
        (b"", b""),
        (b"ffffffffff\r\nx", b"ffffffffff\r\nx"),
    ],
)
def test_chunks_are_joined(body: bytes, expected: bytes) -> None:
    assert dechunk(body) == expected
