"""Lists of archives: what they name, and what they may not name."""

import gzip
from pathlib import Path

import pytest

from crawler.archives.listing import listed_files
from crawler.archives.opening import Opener
from crawler.warc import warc_slices
from crawler.warc_candidates import read_warc
from shards.errors import BadInputError, TryAgainError, UsageError
from tests.crawler.archives.tiny_crawl import Page, write_warc
from tests.crawler.conftest import Server, serve
from tests.crawler.remote.range_server import ranged, reach_to

PAGES = [Page(f"http://a.test/{number}", f'<img src="/{number}.jpg" alt="第{number}张">') for number in range(3)]


def listed(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["warc.paths.gz", "warc.paths"])
def test_a_list_is_read_behind_its_prefix_in_order_of_name(tmp_path: Path, name: str) -> None:
    path = listed(tmp_path / name, "crawl-data/b.warc.gz\n\ncrawl-data/a.warc.gz\r\ncrawl-data/b.warc.gz\n")
    with Opener() as opener:
        files = listed_files([], str(path), "https://data.example.org/", opener)
    assert [(file.name, file.path, file.num_bytes) for file in files] == [
        ("crawl-data/a.warc.gz", "https://data.example.org/crawl-data/a.warc.gz", None),
        ("crawl-data/b.warc.gz", "https://data.example.org/crawl-data/b.warc.gz", None),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.warc.gz\n../x.warc.gz\n", "line 2: leads out of the prefix"),
        ("/etc/passwd\n", "line 1: leads out"),
        ("http://evil.test/x\n", "line 1: leads out"),
        ("a\x00b\n", "line 1: names no file"),
        ("\n \n", "an empty list"),
    ],
)
def test_a_list_that_leads_elsewhere_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with Opener() as opener, pytest.raises(BadInputError, match=told):
        listed_files([], str(listed(tmp_path / "paths", text)), "https://data.example.org/", opener)


def test_a_cut_list_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "paths.gz"
    path.write_bytes(gzip.compress(b"a.warc.gz\n" * 100)[:-9])
    with Opener() as opener, pytest.raises(BadInputError, match="broken or cut short"):
        listed_files([], str(path), "", opener)


def test_a_web_server_has_no_globs() -> None:
    with Opener() as opener, pytest.raises(UsageError, match="name each file"):
        listed_files(["https://data.example.org/*.warc.gz"], None, "", opener)


def test_an_archive_on_a_web_server_gives_what_it_gives_on_disk(tmp_path: Path, server: Server) -> None:
    write_warc(tmp_path, "cc/w.warc.gz", PAGES)
    data = (tmp_path / "cc" / "w.warc.gz").read_bytes()
    server.pages["/cc/w.warc.gz"] = ranged(data, breaks_after=lambda attempt: 700 if attempt < 3 else None)
    server.pages["/warc.paths.gz"] = serve(gzip.compress(b"cc/w.warc.gz\n"))
    (piece,) = warc_slices([], server.url("/warc.paths.gz"), server.url(""), reach_to(server))
    with Opener(reach_to(server, retries=1)) as opener:
        far = [row for batch in read_warc(piece, "bot", 1 << 20, opener=opener) for row in batch.to_pylist()]
    (piece,) = warc_slices([str(tmp_path / "cc" / "w.warc.gz")])
    near = [row for batch in read_warc(piece, "bot", 1 << 20) for row in batch.to_pylist()]
    for row in near:
        row["origin"] = row["warc_record"] = f"cc/{row['origin']}"
    assert far == near
    assert [row["text"] for row in far] == ["第0张", "第1张", "第2张"]
    assert server.asked("/cc/w.warc.gz") == 3


def test_a_server_that_goes_away_is_no_broken_archive(tmp_path: Path, server: Server) -> None:
    write_warc(tmp_path, "w.warc.gz", PAGES)
    data = (tmp_path / "w.warc.gz").read_bytes()
    server.pages["/w.warc.gz"] = ranged(data, breaks_after=lambda attempt: 700 if attempt == 1 else 0)
    (piece,) = warc_slices([server.url("/w.warc.gz")])
    with Opener(reach_to(server, retries=1)) as opener, pytest.raises(TryAgainError, match="at byte 700"):
        list(read_warc(piece, "bot", 1 << 20, opener=opener))


def test_what_is_no_archive_is_told(server: Server) -> None:
    server.pages["/w.warc.gz"] = ranged(b"<html>an error page with status 200</html>" * 10)
    (piece,) = warc_slices([server.url("/w.warc.gz")])
    with Opener(reach_to(server)) as opener, pytest.raises(BadInputError, match="does not start with a WARC record"):
        list(read_warc(piece, "bot", 1 << 20, opener=opener))
