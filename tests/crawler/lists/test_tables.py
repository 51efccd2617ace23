"""URL lists in CSV, TSV, Parquet and JSON lines."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crawler.lists import csv_rows
from crawler.lists.tables import plan_table, read_table_slice, table_slices
from crawler.sources import TableSource
from shards.errors import BadInputError, UsageError
from shards.schema import RAW_CANDIDATE
from shards.stores.object_store import ObjectStore
from tests.object_server import Bucket


def source_of(*paths: Path | str, **more: Any) -> TableSource:
    given = {"kind": "table", "paths": [str(path) for path in paths], "layout": "wukong", **more}
    return TableSource.model_validate({key: value for key, value in given.items() if value is not None})


def rows_of(source: TableSource) -> list[dict[str, Any]]:
    batches = [batch for piece in plan_table(source) for batch in read_table_slice(piece, source)]
    assert all(batch.schema == RAW_CANDIDATE for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def short(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["origin"], row["url"], row["text"], row["drop_reason"], row["detail"]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


CSV_CASES = [
    pytest.param(b"url,caption\nhttp://a/1,x\n", [("t.csv:1", "http://a/1", "x", None, None)], id="plain"),
    pytest.param(b"caption,url\r\nx,http://a/1\r\n", [("t.csv:1", "http://a/1", "x", None, None)], id="crlf"),
    pytest.param(
        "\ufeffurl,caption\nhttp://a/1,鱼\n".encode(), [("t.csv:1", "http://a/1", "鱼", None, None)], id="bom"
    ),
    pytest.param(
        b'url,caption\n\nhttp://a/1,"a, ""b""\nc"\n', [("t.csv:1", "http://a/1", 'a, "b"\nc', None, None)], id="quotes"
    ),
    pytest.param(b"url,caption\nhttp://a/1,a\0b\n", [("t.csv:1", "http://a/1", "a\0b", None, None)], id="nul"),
    pytest.param(b"url,caption\nhttp://a/1,", [("t.csv:1", "http://a/1", None, None, None)], id="no text"),
    pytest.param(
        b"url,caption\nhttp://a/1,x\nhttp://a/2\nhttp://a/3,y,z\nhttp://a/4,w\n",
        [
            ("t.csv:1", "http://a/1", "x", None, None),
            ("t.csv:2", None, None, "bad_row", "1 fields, expected 2"),
            ("t.csv:3", None, None, "bad_row", "3 fields, expected 2"),
            ("t.csv:4", "http://a/4", "w", None, None),
        ],
        id="wrong number of fields",
    ),
    pytest.param(
        b"url,caption\n,x\n  ,y\nhttp://a/\xff,z\nhttp://a/4,\xff\xfe\n",
        [
            ("t.csv:1", None, None, "bad_row", "no url"),
            ("t.csv:2", None, None, "bad_row", "no url"),
            ("t.csv:3", None, None, "bad_row", "the url is not UTF-8"),
            ("t.csv:4", "http://a/4", None, "bad_text", "the text is not UTF-8"),
        ],
        id="bad url and bad text",
    ),
    pytest.param(
        b'url,caption\nhttp://a/1,x\nhttp://a/2,"open\nhttp://a/3,y\n',
        [
            ("t.csv:1", "http://a/1", "x", None, None),
            ("t.csv:2", None, None, "bad_row", "a quoted field without an end"),
            ("t.csv:3", "http://a/3", "y", None, None),
        ],
        id="a quote that never ends",
    ),
    pytest.param(b"url,caption\n", [], id="header only"),
    pytest.param(b"url,caption", [], id="header without an end"),
]


@pytest.mark.parametrize(("data", "expected"), CSV_CASES)
def test_csv_rows_become_candidates(tmp_path: Path, data: bytes, expected: list[tuple[Any, ...]]) -> None:
    assert [short(row) for row in rows_of(source_of(write(tmp_path / "t.csv", data)))] == expected


@pytest.mark.parametrize(("data", "expected"), CSV_CASES)
def test_the_bounded_reader_agrees_with_arrows(
    tmp_path: Path, data: bytes, expected: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise pa.ArrowInvalid("straddling object")

    monkeypatch.setattr(csv_rows, "_fast_rows", refuse)
    assert [short(row) for row in rows_of(source_of(write(tmp_path / "t.csv", data)))] == expected


def test_a_column_of_a_mixed_table_is_found_in_tsv(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", b'id\ttxt\tu\tlic\n1\t"a\thttp://a/1\tCC0\n2\tb\thttp://a/2\t\n')
    source = source_of(path, layout=None, columns={"url": "u", "text": "txt", "license": "lic"}, strength="strong")
    rows = rows_of(source)
    assert [(row["url"], row["text"], row["license"], row["strength"], row["source"]) for row in rows] == [
        ("http://a/1", '"a', "CC0", "strong", "table"),
        ("http://a/2", "b", None, "strong", "table"),
    ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_caption_of_ten_megabytes_is_a_bad_text(tmp_path: Path, suffix: str) -> None:
    text = "字" * 10_000_000
    line = f'url,caption\nhttp://a/1,"{text}"\nhttp://a/2,x\n'
    if suffix == "jsonl":
        objects = [{"url": "http://a/1", "caption": text}, {"url": "http://a/2", "caption": "x"}]
        line = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
    rows = rows_of(source_of(write(tmp_path / f"t.{suffix}", line.encode())))
    assert [short(row) for row in rows] == [
        (f"t.{suffix}:1", "http://a/1", None, "bad_text", "10000000 characters"),
        (f"t.{suffix}:2", "http://a/2", "x", None, None),
    ]


@pytest.mark.parametrize(("length", "is_kept"), [(2**20, True), (2**20 + 1, False)])
def test_the_longest_text_is_a_mebi_of_characters(tmp_path: Path, length: int, is_kept: bool) -> None:
    table = pa.table({"url": ["http://a/1"], "caption": ["字" * length]})
    pq.write_table(table, tmp_path / "t.parquet")
    (row,) = rows_of(source_of(tmp_path / "t.parquet"))
    assert (row["text"] is not None, row["kind"] is not None) == (is_kept, is_kept)
    assert row["drop_reason"] == (None if is_kept else "bad_text")


JSON_LINES = [
    (b'{"url": "http://a/1", "caption": "x"}', ("http://a/1", "x", None)),
    (b'{"url": "http://a/1", "caption": null}', ("http://a/1", None, None)),
    (b'{"url": "http://a/1"}', ("http://a/1", None, None)),
    (b'{"url": null, "caption": "x"}', (None, None, "bad_row")),
    (b'{"url": 7, "caption": "x"}', (None, None, "bad_row")),
    (b'{"url": "http://a/1", "caption": ["x"]}', (None, None, "bad_row")),
    (b'{"url": "http://a/1", "caption": "\xff"}', ("http://a/1", None, "bad_text")),
    (b'{"url": "http://a/1", "caption": "\\ud800"}', ("http://a/1", None, "bad_text")),
    (b'{"url": "http://a/1", "cap', (None, None, "bad_row")),
    (b"[1, 2]", (None, None, "bad_row")),
    (b"[" * 100_000, (None, None, "bad_row")),
    (b"\0", (None, None, "bad_row")),
]


@pytest.mark.parametrize(("line", "expected"), JSON_LINES)
def test_a_json_line_is_a_row_or_a_bad_row(
    tmp_path: Path, line: bytes, expected: tuple[str | None, str | None, str | None]
) -> None:
    good = b'{"url": "http://a/0", "caption": "y"}'
    data = b"\xef\xbb\xbf" + good + b"\r\n\n" + line + b"\r\n" + good
    rows = rows_of(source_of(write(tmp_path / "t.jsonl", data)))
    assert [row["origin"] for row in rows] == ["t.jsonl:1", "t.jsonl:3", "t.jsonl:4"]
    assert (rows[1]["url"], rows[1]["text"], rows[1]["drop_reason"]) == expected
    assert [rows[0]["drop_reason"], rows[2]["drop_reason"]] == [None, None]


def test_an_array_of_objects_is_read_like_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", 10)
    records = '{"url": "http://a/1",\n"caption": "a\\nb"}', '{"url": 7}', '{"url": "http://a/3" "caption": "x"}', "null"
    data = f"[\n {', '.join(records)}\n]"
    rows = rows_of(source_of(write(tmp_path / "t.json", data.encode())))
    assert [(row["origin"], row["url"], row["text"], row["drop_reason"]) for row in rows] == [
        ("t.json:1", "http://a/1", "a\nb", None),
        ("t.json:2", None, None, "bad_row"),
        ("t.json:3", None, None, "bad_row"),
        ("t.json:4", None, None, "bad_row"),
    ]
    assert rows_of(source_of(write(tmp_path / "t.json", b"[]"))) == []


ZERO_TEXTS = [
    ({}, [(None, None, None)]),
    ({"Title": "a", "Content": None, "ImageQuery": ""}, [("title", "a", None)]),
    (
        {"Title": "a", "Content": "b", "ImageQuery": "c"},
        [("title", "a", None), ("surrounding", "b", None), ("query", "c", None)],
    ),
    ({"Title": "a", "Content": 7}, [(None, None, "'Content' is int, not text")]),
    ({"Title": "\ud800", "Content": "b"}, [(None, None, "the text is not UTF-8"), ("surrounding", "b", None)]),
]
WENLAN_TEXTS = [
    ({}, [(None, None, None)]),
    ({"sentences": []}, [(None, None, None)]),
    (
        {"sentences": [["sur_text", "a"], ["easy", "b"], ["alt_text", ""]]},
        [("surrounding", "a", None), ("easy", "b", None)],
    ),
    ({"sentences": [["first", "a"], ["alt_text", "b"]]}, [("first_sentence", "a", None), ("alt", "b", None)]),
    ({"sentences": "a"}, [(None, None, "'sentences' is str, not a list of [type, text]")]),
    ({"sentences": [["alt_text", "a"], ["b"]]}, [(None, None, "sentences[1] is not [type, text]")]),
    ({"sentences": [["", "a"]]}, [(None, None, "sentences[0] is not [type, text]")]),
    ({"sentences": [["x" * 41, "a"]]}, [(None, None, "sentences[0] is not [type, text]")]),
    ({"sentences": [["a", "b"]] * 1001}, [(None, None, "1001 texts; at most 1000")]),
]


@pytest.mark.parametrize(
    ("layout", "url", "record", "expected"),
    [
        *(pytest.param("zero", "ImageUrl", *case, id=f"zero {number}") for number, case in enumerate(ZERO_TEXTS)),
        *(pytest.param("wenlan", "url", *case, id=f"wenlan {number}") for number, case in enumerate(WENLAN_TEXTS)),
    ],
)
def test_a_record_with_several_texts_is_a_candidate_each(
    tmp_path: Path, layout: str, url: str, record: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    lines = [json.dumps({url: "http://a/1"} | record), json.dumps({url: "http://a/2"})]
    rows = rows_of(source_of(write(tmp_path / "t.jsonl", "\n".join(lines).encode()), layout=layout))
    assert [(row["kind"], row["text"], row["detail"]) for row in rows[:-1]] == expected
    assert {row["origin"] for row in rows[:-1]} == {"t.jsonl:1"}
    assert (rows[-1]["url"], rows[-1]["kind"], rows[-1]["origin"]) == ("http://a/2", None, "t.jsonl:2")


def test_several_texts_a_record_need_json(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"layout zero has several texts a record; expected \.jsonl or \.json"):
        plan_table(source_of(write(tmp_path / "t.csv", b"ImageUrl,Title\nhttp://a/1,x\n"), layout="zero"))


def test_wudaomm_s_tag_is_the_category(tmp_path: Path) -> None:
    record = {"name": "x.jpg", "tag": "风景", "url": "http://a/1", "captions": "湖,山"}
    (row,) = rows_of(source_of(write(tmp_path / "Art.json", json.dumps([record]).encode()), layout="wudaomm"))
    assert (row["category"], row["strength"], row["kind"], row["text"]) == ("风景", "strong", "caption", "湖,山")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("slice_bytes", [90, 1000, 2222])
def test_json_slices_together_are_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_bytes: int, end: bytes
) -> None:
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", slice_bytes)
    monkeypatch.setattr("crawler.lists.json_rows._SOUGHT_BYTES", 64)
    monkeypatch.setattr("crawler.lists.json_rows._CHUNK", 512)
    texts = ["鱼" * (number % 50) for number in range(300)]
    texts[150] = "长" * 2000  # longer than any slice
    lines = [json.dumps({"url": f"http://a/{number}", "caption": text}).encode() for number, text in enumerate(texts)]
    lines[70] = b"{"
    path = write(tmp_path / "t.jsonl", b"\xef\xbb\xbf" + end.join(lines))
    pieces = plan_table(source_of(path))
    assert len(pieces) > 10
    assert [piece.start for piece in pieces[1:]] == [piece.stop for piece in pieces[:-1]]
    rows = rows_of(source_of(path))
    assert [row["url"] for row in rows] == [None if n == 70 else f"http://a/{n}" for n in range(300)]
    assert [row["text"] for row in rows if row["url"]] == [text or None for n, text in enumerate(texts) if n != 70]
    origins = [row["origin"] for row in rows]
    assert len(set(origins)) == len(origins)
    assert origins[0] == "t.jsonl:1"
    assert origins[-1].startswith(f"t.jsonl@{pieces[-1].start}:")
    starts = [3 + sum(len(line) + len(end) for line in lines[:n]) for n in range(300)]
    last_cut = max(piece.start for piece in pieces if piece.start <= starts[70])
    number = 70 if not last_cut else 70 - starts.index(last_cut)
    assert origins[70] == f"t.jsonl{f'@{last_cut}' if last_cut else ''}:{number + 1}"


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.csv.zst", "t.jsonl.zst"])
def test_compressed_text_files_are_read(tmp_path: Path, name: str) -> None:
    text = b"url,caption\nhttp://a/1,x\n" if ".csv" in name else b'{"url": "http://a/1", "caption": "x"}\n'
    packed = gzip.compress(text) if name.endswith("gz") else pa.compress(text, "zstd", asbytes=True)
    assert [row["url"] for row in rows_of(source_of(write(tmp_path / name, packed)))] == ["http://a/1"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()]
)
def test_parquet_columns_of_any_text_type_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    url = pa.array(["http://a/1", None, "http://a/3"], pa.string()).cast(kind)
    pq.write_table(pa.table({"url": url, "caption": pa.array(["x", "y", None])}), tmp_path / "t.parquet")
    assert [short(row) for row in rows_of(source_of(tmp_path / "t.parquet"))] == [
        ("t.parquet:1", "http://a/1", "x", None, None),
        ("t.parquet:2", None, None, "bad_row", "no url"),
        ("t.parquet:3", "http://a/3", None, None, None),
    ]


def test_invalid_utf8_in_a_parquet_text_costs_the_text_only(tmp_path: Path) -> None:
    table = pa.table({"url": [b"http://a/1", b"http://\xff/"], "caption": [b"\xff", b"x"]})
    pq.write_table(table, tmp_path / "t.parquet")
    reasons = [(row["url"], row["drop_reason"]) for row in rows_of(source_of(tmp_path / "t.parquet"))]
    assert reasons == [("http://a/1", "bad_text"), (None, "bad_row")]


def test_parquet_is_sliced_by_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.lists.tables.SLICE_ROWS", 25)
    urls = [f"http://a/{number}" for number in range(95)]
    pq.write_table(pa.table({"url": urls, "caption": urls}), tmp_path / "t.parquet", row_group_size=10)
    source = source_of(tmp_path / "t.parquet")
    assert [(p.start, p.stop, p.first_row, p.num_rows) for p in plan_table(source)] == [
        (0, 3, 1, 30),
        (3, 6, 31, 30),
        (6, 9, 61, 30),
        (9, 10, 91, 5),
    ]
    assert [(row["url"], row["origin"]) for row in rows_of(source)] == [
        (url, f"t.parquet:{number}") for number, url in enumerate(urls, 1)
    ]


def test_a_file_without_rows_yields_nothing(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"url": pa.array([], pa.string()), "caption": pa.array([], pa.string())}), tmp_path / "t.parquet"
    )
    write(tmp_path / "t.jsonl", b"\n\n")
    assert rows_of(source_of(tmp_path / "t.parquet", tmp_path / "t.jsonl")) == []


def parquet_bytes(tmp_path: Path, table: pa.Table) -> bytes:
    pq.write_table(table, tmp_path / "good.parquet")
    return (tmp_path / "good.parquet").read_bytes()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("t.csv", b"", "empty file"),
        ("t.parquet", b"", "empty file"),
        ("t.jsonl", b"", "empty file"),
        ("t.csv", b"url,captoin\nx,y\n", "no column 'caption'.*nearest: captoin"),
        ("t.csv", b"URL,caption\nx,y\n", "no column 'url'.*nearest: URL"),
        ("t.csv", b"a,b\nx,y\n", "it has: a, b"),
        ("t.csv", b"url,caption,url\nx,y,z\n", "2 columns called 'url'"),
        ("t.csv", b"\n\n", "no CSV header"),
        ("t.jsonl", b'{"link": "x"}\n', "no column 'url'"),
        ("t.jsonl", b"url,caption\nx,y\n", "none of its first 2 records is a JSON object"),
        ("t.parquet", b"url,caption\nx,y\n", "not a Parquet file"),
        ("t.parquet", b"PAR1" + b"\0" * 100, "not a Parquet file, or cut short"),
        ("t.xlsx", b"x", "unknown kind of file"),
        ("t.parquet.gz", b"x", "unknown kind of file"),
        (
            "t.txt",
            "img1baidu18*****草地上的狗*****None\n".encode(),
            "TaiSu's list .* has no URLs; write `kind: shards, layout: taisu`",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_before_anything_runs(
    tmp_path: Path, name: str, data: bytes, expected: str
) -> None:
    with pytest.raises(BadInputError, match=expected):
        plan_table(source_of(write(tmp_path / name, data)))


def test_a_parquet_that_was_cut_short_or_holds_numbers_is_refused(tmp_path: Path) -> None:
    whole = parquet_bytes(tmp_path, pa.table({"url": ["http://a/1"] * 100, "caption": ["x"] * 100}))
    with pytest.raises(BadInputError, match="cut short"):
        plan_table(source_of(write(tmp_path / "t.parquet", whole[: len(whole) // 2])))
    numbers = parquet_bytes(tmp_path, pa.table({"url": [1.0, float("nan")], "caption": ["x", "y"]}))
    with pytest.raises(BadInputError, match="column 'url' is double; expected text"):
        plan_table(source_of(write(tmp_path / "t.parquet", numbers)))


def test_missing_files_and_globs_without_a_match_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no such file"):
        plan_table(source_of(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="no file fits"):
        plan_table(source_of(tmp_path / "*.csv"))
    with pytest.raises(BadInputError, match="is a folder"):
        plan_table(source_of(tmp_path))


def test_files_of_one_name_are_told_apart_and_none_is_read_twice(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "t.csv", b"url,caption\nhttp://a/1,x\n")
    rows = rows_of(source_of(tmp_path / "*" / "t.csv", tmp_path / "one" / "t.csv"))
    assert [row["origin"] for row in rows] == ["one/t.csv:1", "two/t.csv:1"]


DIGEST = "0123456789abcdef" * 4
DIGESTS = [
    pytest.param(DIGEST, DIGEST, id="as it is"),
    pytest.param(DIGEST.upper(), DIGEST, id="upper case"),
    pytest.param(f" {DIGEST} ", DIGEST, id="blanks around it"),
    pytest.param("", None, id="empty"),
    pytest.param(DIGEST[:32], None, id="an md5"),
    pytest.param(DIGEST + "0", None, id="too long"),
    pytest.param("g" + DIGEST[1:], None, id="no hex digit"),
    pytest.param(f"sha256:{DIGEST}", None, id="with a name before it"),
]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(("given", "expected"), DIGESTS)
def test_a_sha256_is_64_hex_digits_or_nothing(tmp_path: Path, form: str, given: str, expected: str | None) -> None:
    path = tmp_path / f"t.{form}"
    table = pa.table({"url": ["http://a/1"], "caption": ["x"], "h": [given]})
    if form == "parquet":
        pq.write_table(table, path)
    elif form == "jsonl":
        path.write_text(json.dumps(table.to_pylist()[0]) + "\n")
    else:
        path.write_text(
            "\n".join(
                {"csv": ",", "tsv": "\t"}[form].join(row) for row in (table.column_names, ["http://a/1", "x", given])
            )
        )
    source = source_of(path, layout=None, columns={"url": "url", "text": "caption", "sha256": "h"})
    (row,) = rows_of(source)
    assert (row["expected_sha256"], row["drop_reason"], row["url"]) == (expected, None, "http://a/1")


@pytest.mark.parametrize("value", [None, b"\xff\xfe"])
def test_a_sha256_that_is_missing_or_no_text_is_nothing(tmp_path: Path, value: bytes | None) -> None:
    table = pa.table({"url": ["http://a/1"], "h": pa.array([value], pa.binary())})
    pq.write_table(table, tmp_path / "t.parquet")
    (row,) = rows_of(source_of(tmp_path / "t.parquet", layout=None, columns={"url": "url", "sha256": "h"}))
    assert (row["expected_sha256"], row["drop_reason"]) == (None, None)


def test_a_list_without_hashes_has_none(tmp_path: Path) -> None:
    (row,) = rows_of(source_of(write(tmp_path / "t.csv", b"url,caption\nhttp://a/1,x\n")))
    assert row["expected_sha256"] is None


def table_of(form: str, num_rows: int) -> bytes:
    """A table with all that makes cutting hard: quotes, line ends in fields, blank lines, and rows in fields."""
    if form == "tsv":
        return b"url\tcaption\n" + b"".join(b'http://a/%d\t"%d\n' % (n, n) for n in range(num_rows))
    odd = [
        "plain",
        '"a, b"',
        '"x ""y"" z"',
        '"line\nand, line\r\nend"',
        '"http://b/1,fake\nrow"',
        '5" pipe',
        '""',
        "\n",
    ]
    rows = [f"http://a/{n},{odd[n % 40] if n % 40 < len(odd) else n}\n" for n in range(num_rows)]
    return ("url,caption\n" + "".join(rows)).encode()


@pytest.mark.parametrize("form", ["csv", "tsv"])
def test_slices_of_a_table_of_text_are_together_the_whole_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    source = source_of(write(tmp_path / f"t.{form}", table_of(form, 400)))
    whole = rows_of(source)
    assert len(whole) >= 400
    for slice_bytes in (700, 1000, 2222):
        monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", slice_bytes)
        pieces = plan_table(source)
        assert len(pieces) > 2
        rows = rows_of(source)
        assert [row["url"] for row in rows] == [row["url"] for row in whole]
        assert [row["text"] for row in rows] == [row["text"] for row in whole]
        origins = [row["origin"] for row in rows]
        assert len(set(origins)) == len(origins)
        assert origins[0] == f"t.{form}:1"
        assert origins[-1].startswith(f"t.{form}@{pieces[-1].start}:")


def test_broken_rows_of_a_slice_are_numbered_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [b"http://a/%d,x\n" % n for n in range(100)]
    lines[60] = b"http://a/60\n"
    source = source_of(write(tmp_path / "t.csv", b"url,caption\n" + b"".join(lines)))
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", 500)
    rows = rows_of(source)
    assert [row["url"] for row in rows] == [None if n == 60 else f"http://a/{n}" for n in range(100)]
    start = next(piece.start for piece in reversed(plan_table(source)) if piece.start <= len(b"".join(lines[:60])))
    cut = (start - len(b"url,caption\n"), [sum(map(len, lines[:n])) for n in range(100)])
    assert rows[60]["origin"] == f"t.csv@{start}:{60 - cut[1].index(cut[0]) + 1}"


def test_a_table_that_nowhere_shows_a_row_s_beginning_is_one_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"".join(b'http://a/%d,"two\nlines"\n' % n for n in range(200))
    source = source_of(write(tmp_path / "t.csv", b"url,caption\n" + rows))
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", 500)
    assert len(plan_table(source)) == 1
    assert [row["text"] for row in rows_of(source)] == ["two\nlines"] * 200


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_planning_a_large_table_reads_little_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    head, line = {
        "csv": (b"url,caption\n", b"http://a/1,x\n"),
        "jsonl": (b"", b'{"url": "http://a/1", "caption": "x"}\n'),
    }[form]
    path = write(tmp_path / f"t.{form}", head + line * (24 * 2**20 // len(line)))
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", 2**20)
    read = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size) or b""
            read.append(len(data))
            return data

    def opened(path: str, _: str | None) -> pa.NativeFile:
        return pa.PythonFile(Counted(path, "rb"), mode="r")

    monkeypatch.setattr("crawler.lists.csv_slices.open_stream", opened)
    monkeypatch.setattr("crawler.lists.json_rows.open_stream", opened)
    slices = table_slices(source_of(path))
    next(slices)
    first = sum(read)
    assert first <= 2**20 + 2 * 2**16, "the keys of the first lines, and one cut"
    num_pieces = 1 + len(list(slices))
    assert num_pieces > 20
    assert sum(read) <= first + num_pieces * 2**16


@pytest.mark.parametrize(
    ("layout", "columns", "text"),
    [
        ("danqing", {"url": "http://a/1", "alt_text": "甲", "recaption": "乙"}, ("alt", "甲")),
        ("taisu", {"url": "http://a/1", "caption": "甲"}, ("caption", "甲")),
        (
            "img2dataset",
            {"url": "http://a/1", "caption": "甲", "sha256": "a" * 64, "status": "success"},
            ("caption", "甲"),
        ),
        ("coyo", {"id": 1, "url": "http://a/1", "text": "甲"}, ("alt", "甲")),
        ("laion", {"URL": "http://a/1", "TEXT": "甲", "similarity": 0.3}, ("alt", "甲")),
        ("datacomp", {"uid": "0" * 32, "url": "http://a/1", "text": "甲", "sha256": "a" * 64}, ("alt", "甲")),
    ],
)
def test_lists_in_parquet_are_read_by_their_layout(
    tmp_path: Path, layout: str, columns: dict[str, Any], text: tuple[str, str]
) -> None:
    pq.write_table(pa.Table.from_pylist([columns]), tmp_path / "t.parquet")
    (row,) = rows_of(source_of(tmp_path / "t.parquet", layout=layout))
    assert (row["url"], row["kind"], row["text"], row["source"]) == ("http://a/1", *text, layout)


@pytest.mark.parametrize("form", ["csv", "tsv.gz", "jsonl.zst", "jsonl", "parquet"])
def test_what_is_held_does_not_grow_with_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Bytes that Arrow holds while rows stream by: of ten times as many rows no more."""
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", 2**19)
    monkeypatch.setattr("crawler.lists.tables.SLICE_ROWS", 5000)
    monkeypatch.setattr(csv_rows, "BLOCK_BYTES", 2**18)
    held = [most_held(tmp_path / f"{num_rows}.{form}", num_rows) for num_rows in (20_000, 200_000)]
    assert held[1] < 1.3 * held[0] + 2**16


def most_held(path: Path, num_rows: int) -> int:
    rows = [f"http://a.cn/{n:07d}.jpg" for n in range(num_rows)]
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"url": rows, "caption": rows}), path, row_group_size=5000)
    else:
        line, head = {
            "csv": ("{0},{0}\n", "url,caption\n"),
            "tsv": ("{0}\t{0}\n", "url\tcaption\n"),
            "jsonl": ('{{"url": "{0}", "caption": "{0}"}}\n', ""),
        }[path.name.split(".")[1]]
        data = (head + "".join(line.format(row) for row in rows)).encode()
        packing = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
        with pa.output_stream(str(path), compression=packing) as stream:
            stream.write(data)
    source = source_of(path)
    before, most, num_read = pa.total_allocated_bytes(), 0, 0
    for piece in plan_table(source):
        for batch in read_table_slice(piece, source):
            num_read += batch.num_rows
            most = max(most, pa.total_allocated_bytes() - before)
    assert num_read == num_rows
    return most


def test_lists_in_an_object_store_are_read(bucket: Bucket, tmp_path: Path) -> None:
    pq.write_table(pa.table({"url": ["http://a/3"], "caption": ["丙"]}), tmp_path / "c.parquet")
    store = ObjectStore(bucket.name)
    store.put("in/a.csv", "url,caption\nhttp://a/1,甲\n".encode())
    store.put("in/b.csv.gz", gzip.compress("url,caption\nhttp://a/2,乙\n".encode()))
    store.put("in/c.parquet", tmp_path / "c.parquet")
    rows = rows_of(source_of(bucket.url("in/*.csv*"), bucket.url("in/*.parquet")))
    assert [short(row)[:3] for row in rows] == [
        ("a.csv:1", "http://a/1", "甲"),
        ("b.csv.gz:1", "http://a/2", "乙"),
        ("c.parquet:1", "http://a/3", "丙"),
    ]
