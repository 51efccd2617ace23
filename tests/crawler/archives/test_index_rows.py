"""Indexes of WARC records: the columnar one and CDX files say the same, and broken rows say what is wrong with them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawler.archives.index_rows import read_index
from crawler.archives.listing import ArchiveFile
from crawler.archives.opening import Opener
from shards.errors import BadInputError
from tests.crawler.archives.tiny_crawl import INDEX, Page, cdxj_line, index_row, write_parquet

COLUMNS = ("url_host_name", "fetch_status", "content_languages")
ROWS = [
    index_row(Page(f"http://h{number}.test/p", "", languages), f"crawl-data/{number % 2}.warc.gz", 10 * number, 7)
    for number, languages in enumerate(["zho", "eng,zho", None, "jpn"])
]


def rows_of(path: Path, columns: tuple[str, ...] = COLUMNS) -> list[dict[str, Any]]:
    with Opener() as opener:
        tables = list(read_index(ArchiveFile(str(path), path.name, 1), columns, opener))
    return [row for table in tables for row in table.to_pylist()]


def write_cdxj(path: Path, lines: list[str]) -> Path:
    data = [line.encode() for line in lines]
    # As zipnum: blocks of lines, each a gzip member of its own.
    path.write_bytes(b"".join(map(gzip.compress, data)) if path.suffix == ".gz" else b"".join(data))
    return path


@pytest.mark.parametrize("name", ["i.parquet", "i.cdxj", "cdx-00000.gz"])
def test_every_form_of_an_index_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_parquet(path, ROWS) if name.endswith("parquet") else write_cdxj(path, [cdxj_line(row) for row in ROWS])
    kept = (*COLUMNS, "warc_filename", "warc_record_offset", "warc_record_length")
    found = rows_of(path)
    assert [{column: row[column] for column in kept} for row in found] == [
        {column: row[column] for column in kept} for row in ROWS
    ]
    assert {row["fault"] for row in found} == {None}
    assert [row["origin"] for row in found] == [f"{name}:{number}" for number in (1, 2, 3, 4)]


def test_a_classic_cdx_is_read_by_its_header(tmp_path: Path) -> None:
    lines = [
        " CDX N b a m s k r M S V g\n",
        "test,a)/ 20260701 http://a.test/ text/html 200 SHA - - 512 1024 w.warc.gz\n",
    ]
    (row,) = rows_of(write_cdxj(tmp_path / "i.cdx", lines), ("url_host_name", "fetch_status"))
    assert (row["url_host_name"], row["fetch_status"], row["warc_filename"]) == ("a.test", 200, "w.warc.gz")
    assert (row["warc_record_offset"], row["warc_record_length"], row["origin"]) == (1024, 512, "i.cdx:2")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("no object\n", "not CDXJ"),
        ("k t {broken\n", "not CDXJ"),
        ("k t [1]{\n", "not CDXJ"),
        ('k t {"filename": "a.warc.gz", "offset": "-1", "length": "5"}\n', "no offset"),
        ('k t {"filename": "a.warc.gz", "offset": "1", "length": "0"}\n', "no length"),
        ('k t {"filename": "a.warc.gz", "offset": "1"}\n', "no length"),
        ('k t {"filename": "a.warc.gz", "offset": "1e3", "length": "5"}\n', "no offset"),
        ('k t {"filename": "a.warc.gz", "offset": "1", "length": "99999999999"}\n', "a record of more than"),
        ('k t {"filename": "../../etc/passwd", "offset": "1", "length": "5"}\n', "leads out of the prefix"),
        ('k t {"filename": "/etc/passwd", "offset": "1", "length": "5"}\n', "leads out of the prefix"),
        ('k t {"filename": "http://evil.test/a", "offset": "1", "length": "5"}\n', "leads out of the prefix"),
        ('k t {"filename": "", "offset": "1", "length": "5"}\n', "names no file"),
        ('k t {"offset": "1", "length": "5"}\n', "names no file"),
        ("k t " + json.dumps({"url": "x" * 2_000_000}) + "\n", "a line of more than"),
    ],
)
def test_a_line_that_leads_nowhere_says_why(tmp_path: Path, line: str, fault: str) -> None:
    rows = rows_of(write_cdxj(tmp_path / "i.cdxj", ["!meta {}\n", "\n", line, cdxj_line(ROWS[0])]))
    assert fault in str(rows[0]["fault"])
    assert rows[0]["origin"] == "i.cdxj:3"
    assert rows[1]["fault"] is None


def test_rows_of_parquet_without_a_place_say_so(tmp_path: Path) -> None:
    broken = [
        ROWS[0] | {"warc_record_offset": None},
        ROWS[0] | {"warc_filename": None},
        ROWS[0] | {"warc_record_length": -5},
    ]
    faults = [row["fault"] for row in rows_of(write_parquet(tmp_path / "i.parquet", broken))]
    assert faults == ["no offset of a record", "names no file", "no length of a record"]


def test_columns_in_the_names_of_folders_count(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "crawl=CC-MAIN-2026-30" / "subset=warc" / "part-0.parquet", ROWS[:1])
    (row,) = rows_of(path, ("subset", "crawl"))
    assert (row["subset"], row["crawl"]) == ("warc", "CC-MAIN-2026-30")


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "i.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS, schema=INDEX).drop_columns(["content_languages"]), path)
    with pytest.raises(BadInputError, match="no column content_languages"):
        rows_of(path)
    with pytest.raises(BadInputError, match="no column crawl"):
        rows_of(write_cdxj(tmp_path / "i.cdxj", [cdxj_line(ROWS[0])]), ("crawl",))


@pytest.mark.parametrize("cut", [-3, 40])
def test_a_cut_index_is_bad_input(tmp_path: Path, cut: int) -> None:
    data = write_parquet(tmp_path / "i.parquet", ROWS).read_bytes()
    (tmp_path / "i.parquet").write_bytes(data[:cut])
    with pytest.raises(BadInputError, match=r"i\.parquet"):
        rows_of(tmp_path / "i.parquet")
    packed = gzip.compress("".join(map(cdxj_line, ROWS)).encode())
    (tmp_path / "i.gz").write_bytes(packed[:cut])
    with pytest.raises(BadInputError, match=r"i\.gz: broken or cut short"):
        rows_of(tmp_path / "i.gz")
