"""A crawl's archive without some pages: others keep their bytes and offsets, and give the same candidates."""

import io
from pathlib import Path

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawler.kept_candidates import filler, kept_record, rows_of_record
from crawler.warc import WarcSlice, read_responses
from crawler.warc_candidates import read_warc
from crawler.warc_purge import Purge, purge_warc

PAGES = {
    f"http://a.cn/{name}.html": f'<html><img src="/{name}.jpg" alt="图{name}"><img src="/all.jpg" alt="共有">'.encode()
    for name in ("one", "two", "three")
}


def archive(path: Path) -> WarcSlice:
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for url, body in PAGES.items():
            headers = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            writer.write_record(
                writer.create_warc_record(url, "response", io.BytesIO(body), length=len(body), http_headers=headers)
            )
    return WarcSlice(str(path), "crawl.warc.gz", path.stat().st_size)


def candidates(piece: WarcSlice) -> list[tuple[str, str, str, str]]:
    rows = [row for batch in read_warc(piece, "bot", 1 << 20) for row in batch.to_pylist()]
    return sorted((row["page_url"], row["url"], row["text"], row["origin"]) for row in rows)


def purged(piece: WarcSlice, target: Path, page: str, image: str) -> int:
    offsets = {found.offset for found in read_responses(piece.path, 1 << 20) if found.url == page}
    purge = Purge(offsets, lambda urls: [False] * len(urls), lambda row: row["url"] == image)
    return purge_warc(piece, target, purge, "bot", 1 << 20)


def test_a_page_goes_and_what_it_gave_of_others_stays(tmp_path: Path) -> None:
    piece = archive(tmp_path / "a.warc.gz")
    page, image = "http://a.cn/two.html", "http://a.cn/two.jpg"
    assert purged(piece, tmp_path / "b.warc.gz", page, image) == 1
    left = WarcSlice(str(tmp_path / "b.warc.gz"), piece.name, 0)
    assert candidates(left) == [row for row in candidates(piece) if row[1] != image]
    before, after = (
        {found.url: found.offset for found in read_responses(slice_.path, 1 << 20) if found.url}
        for slice_ in (piece, left)
    )
    assert after == {url: offset for url, offset in before.items() if url != page}
    assert purged(left, tmp_path / "c.warc.gz", page, "http://a.cn/all.jpg") == 1
    again = WarcSlice(str(tmp_path / "c.warc.gz"), piece.name, 0)
    assert {row[1] for row in candidates(again) if row[0] == page} == set()


def test_a_page_that_is_gone_itself_leaves_nothing(tmp_path: Path) -> None:
    piece = archive(tmp_path / "a.warc.gz")
    purge = Purge(set(), lambda urls: [url.endswith("/one.html") for url in urls], lambda _: False)
    assert purge_warc(piece, tmp_path / "b.warc.gz", purge, "bot", 1 << 20) == 1
    left = candidates(WarcSlice(str(tmp_path / "b.warc.gz"), piece.name, 0))
    assert left == [row for row in candidates(piece) if row[0] != "http://a.cn/one.html"]


def test_nothing_to_do_writes_nothing(tmp_path: Path) -> None:
    purge = Purge(set(), lambda urls: [False] * len(urls), lambda _: True)
    assert purge_warc(archive(tmp_path / "a.warc.gz"), tmp_path / "b.warc.gz", purge, "bot", 1 << 20) == 0
    assert not (tmp_path / "b.warc.gz").exists()


@pytest.mark.parametrize("num_bytes", [200, 4096, 1 << 20])
def test_a_filler_has_the_size_that_is_asked_for(num_bytes: int) -> None:
    assert len(filler(num_bytes)) == num_bytes


def test_a_filler_cannot_be_shorter_than_a_record() -> None:
    with pytest.raises(ValueError, match="shorter"):
        filler(50)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[]", "names what no candidate has"),
        (b'{"other": "x"}', "names what no candidate has"),
        (b'{"url": 7}', "holds what is no text"),
        (b"{", "Expecting property name"),
    ],
)
def test_kept_candidates_of_others_make_are_refused(body: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        rows_of_record(body)


def test_kept_candidates_are_one_member() -> None:
    assert kept_record([{"url": "http://a.cn/1.jpg", "text": "一"}]).startswith(b"\x1f\x8b")
