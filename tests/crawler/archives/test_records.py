"""Records read by place: neighbours in one range, each with its own fate, from disk and from a web server alike."""

from dataclasses import replace
from pathlib import Path

import pytest

from crawler.archives.opening import Opener
from crawler.archives.records import GAP_BYTES, RUN_BYTES, Wanted, read_records, runs_of
from shards.errors import BadInputError
from tests.crawler.archives.tiny_crawl import Page, write_warc
from tests.crawler.conftest import Server
from tests.crawler.remote.range_server import ranged, reach_to

PAGES = [Page(f"http://a.test/{number}", f"<p>{number}" + "字" * 400) for number in range(5)]
MAX_BYTES = 1 << 20


def written(folder: Path, name: str = "w.warc.gz") -> list[Wanted]:
    rows = write_warc(folder, name, PAGES)
    return [
        Wanted(row["warc_filename"], row["warc_record_offset"], row["warc_record_length"], f"i:{number}")
        for number, row in enumerate(rows)
    ]


def read(wanted: list[Wanted], folder: Path) -> list[tuple[str, str, str | None]]:
    with Opener() as opener:
        return [(origin, page.url, page.error) for origin, page in read_records(wanted, str(folder), MAX_BYTES, opener)]


def test_each_record_is_read_at_its_place(tmp_path: Path) -> None:
    wanted = written(tmp_path)
    assert read([wanted[3], wanted[1]], tmp_path) == [
        (f"w.warc.gz:{wanted[3].offset}", "http://a.test/3", None),
        (f"w.warc.gz:{wanted[1].offset}", "http://a.test/1", None),
    ]


def test_neighbours_come_in_one_request(tmp_path: Path, server: Server) -> None:
    wanted = written(tmp_path)
    server.pages["/cc/w.warc.gz"] = ranged((tmp_path / "w.warc.gz").read_bytes())
    with Opener(reach_to(server)) as opener:
        found = list(read_records(wanted[1:4], server.url("/cc/"), MAX_BYTES, opener))
    assert [page.url for _, page in found] == ["http://a.test/1", "http://a.test/2", "http://a.test/3"]
    assert [request.headers["range"] for request in server.log] == [f"bytes={wanted[1].offset}-{wanted[3].stop - 1}"]


@pytest.mark.parametrize(
    ("records", "sizes"),
    [
        ([("a", 0, 10), ("a", 10, 10), ("a", 20 + GAP_BYTES, 10)], [3]),
        ([("a", 0, 10), ("a", 11 + GAP_BYTES, 10)], [1, 1]),
        ([("a", 0, 10), ("b", 10, 10)], [1, 1]),
        ([("a", 10, 10), ("a", 0, 10)], [1, 1]),  # behind each other in the file, or not at all
        ([("a", 0, 10), ("a", 5, 10)], [1, 1]),
        ([("a", 0, RUN_BYTES), ("a", RUN_BYTES, 1)], [1, 1]),
        ([("a", 0, RUN_BYTES - 1), ("a", RUN_BYTES - 1, 1)], [2]),
        ([], []),
    ],
)
def test_runs_are_bounded_and_of_one_file(records: list[tuple[str, int, int]], sizes: list[int]) -> None:
    assert [len(run) for run in runs_of([Wanted(*record, "i:1") for record in records])] == sizes


def test_what_is_no_record_costs_itself_alone(tmp_path: Path) -> None:
    wanted = written(tmp_path)
    size = (tmp_path / "w.warc.gz").stat().st_size
    broken = [
        wanted[0],
        replace(wanted[1], offset=wanted[1].offset + 1),
        replace(wanted[2], length=wanted[2].length - 5),
        Wanted("w.warc.gz", size - 5, 50, "i:7"),
        Wanted("w.warc.gz", size + 5, 50, "i:8"),
        Wanted("", -1, 0, "i:9", "names no file"),
        Wanted("gone.warc.gz", 0, 10, "i:10"),
        wanted[4],
    ]
    found = read(broken, tmp_path)
    assert [url for _, url, _ in found] == ["http://a.test/0", "", "", "", "", "", "", "http://a.test/4"]
    assert [error for _, _, error in found if error is not None] == [
        "no record at this offset: Invalid WARC header",
        "no whole record at this offset and of this length",
        "its file ends before the record does",
        "its file ends before the record does",
        "names no file",
        "its file is not there",
    ]
    assert [origin for origin, _, error in found if error][4:] == ["i:9", "gone.warc.gz:0+"]


def test_where_no_file_is_there_the_prefix_is_to_blame(tmp_path: Path, server: Server) -> None:
    wanted = written(tmp_path)
    with pytest.raises(BadInputError, match=r"source\.prefix"):
        read(wanted, tmp_path / "elsewhere")
    with Opener(reach_to(server)) as opener, pytest.raises(BadInputError, match=r"source\.prefix"):
        list(read_records(wanted, server.url("/"), MAX_BYTES, opener))
    assert server.asked("/w.warc.gz") == 1


def test_requests_are_no_pages(tmp_path: Path) -> None:
    wanted = written(tmp_path)
    assert read([Wanted("w.warc.gz", 0, wanted[0].offset, "i:1")], tmp_path) == []


def test_uncompressed_records_are_read_too(tmp_path: Path) -> None:
    import gzip

    wanted = written(tmp_path)
    data = gzip.decompress((tmp_path / "w.warc.gz").read_bytes())
    (tmp_path / "w.warc").write_bytes(data)
    start = data.index(b"WARC/1.0", 5)
    stop = data.index(b"WARC/1.0", start + 5)
    ((_, url, error),) = read([Wanted("w.warc", start, stop - start, wanted[0].origin)], tmp_path)
    assert (url, error) == ("http://a.test/0", None)
