"""Bad input: files that cannot be read end with a message, rows that cannot be used with their reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.recipe import read_recipe
from shards.schema import uid_of
from tests.pipelines.conftest import AGENT, run_inline

RECIPE = f"""
name: bad
source: {{kind: table, layout: wukong, paths: [PATH]}}
crawler: {{user_agent: "{AGENT}"}}
release: {{caption: [caption]}}
rules: {{no_chinese: zh_chars >= 100}}
"""
Write = Callable[[Path], object]


def parquet(path: Path) -> bytes:
    pq.write_table(pa.table({"url": ["http://a.cn/"] * 999, "caption": ["一"] * 999}), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.csv", lambda p: p.write_text("link,caption\nhttp://a.cn/,一\n"), "no column 'url' (wanted as url)"),
        ("a.csv", lambda p: p.write_text("URL,caption\nhttp://a.cn/,一\n"), "nearest: URL"),
        ("a.csv", lambda p: p.write_text("url,url,caption\n1,2,3\n"), "has 2 columns called 'url'"),
        ("a.csv", lambda p: p.write_bytes(b""), "empty file (0 bytes); expected csv"),
        ("a.csv", lambda p: p.write_bytes(b"\n\n\n"), "its first line is no CSV header"),
        ("a.csv", lambda p: p.write_bytes(b"\x00\xff\xfe\x00" * 99), "no column 'url'"),
        ("a.csv", lambda p: p.mkdir(), "is a folder; write a glob"),
        ("a.csv", lambda p: None, "no such file"),
        ("a.parquet", lambda p: p.write_bytes(parquet(p)[:-20]), "not a Parquet file, or cut short"),
        ("a.parquet", lambda p: p.write_bytes(parquet(p)[:100]), "not a Parquet file, or cut short"),
        ("a.parquet", lambda p: p.write_bytes(b""), "empty file"),
        ("a.parquet", lambda p: p.write_text("url,caption\n"), "not a Parquet file"),
        ("a.parquet", lambda p: pq.write_table(pa.table({"url": [1], "caption": ["一"]}), p), "expected text (string)"),
        ("a.jsonl", lambda p: p.write_bytes(b""), "empty file"),
        ("a.xlsx", lambda p: p.write_bytes(b"PK\x03\x04"), "unknown kind of file"),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_65_and_nothing_is_made(
    tmp_path: Path, name: str, write: Write, message: str
) -> None:
    write(tmp_path / name)
    (tmp_path / "r.yaml").write_text(RECIPE.replace("PATH", str(tmp_path / name)))
    result = CliRunner().invoke(app, ["run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "run")])
    assert result.exit_code == 65, result.output
    assert result.stderr.startswith(f"curate: {tmp_path / name}: ")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_a_plan_of_a_file_that_cannot_be_read_ends_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE.replace("PATH", str(tmp_path / "none.csv")))
    result = CliRunner().invoke(app, ["plan", str(tmp_path / "r.yaml")])
    assert (result.exit_code, result.stdout) == (65, "")


def test_a_glob_that_fits_nothing_is_a_mistake_in_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE.replace("PATH", str(tmp_path / "*.csv")))
    result = CliRunner().invoke(app, ["run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "no file fits this glob" in result.stderr
    assert not (tmp_path / "run").exists()


HUGE = "字".encode() * 3_500_000
ROWS: list[tuple[bytes, bytes, str]] = [
    (b"http://a.cn/1.jpg", "好".encode(), "no_chinese"),
    (b"http://a.cn/2.jpg", b"\xb9\xe3\xb8\xe6", "bad_text"),  # GBK
    (b"http://a.cn/3.jpg", "一\x00二".encode(), "no_chinese"),
    (b"http://a.cn/4.jpg", HUGE, "bad_text"),
    (b"ftp://a.cn/5.jpg", "好".encode(), "blocked_scheme"),
    (b"javascript:alert(1)", "好".encode(), "blocked_scheme"),
    (b"data:image/png;base64,AAAA", "好".encode(), "blocked_scheme"),
    (b"file:///etc/passwd", "好".encode(), "blocked_scheme"),
    (b"no url at all", "好".encode(), "bad_url"),
    (b"http://", "好".encode(), "bad_url"),
    (b"http://a.cn:99999/", "好".encode(), "bad_url"),
    (b"", "好".encode(), "bad_row"),
    (b"http://\xff\xfe/", "好".encode(), "bad_row"),
    (b"http://a.cn/" + b"x" * 70_000, "好".encode(), "bad_row"),
    (b"http://a.cn/6.jpg", b"", "bad_text"),
    (b"http://a.cn/7.jpg", "\u200b\ufeff".encode(), "bad_text"),
]


def csv_of(rows: list[tuple[bytes, bytes, str]]) -> bytes:
    return b"url,caption\n" + b"".join(b'"' + url + b'","' + text + b'"\n' for url, text, _ in rows)


def outcome(tmp_path: Path, name: str, data: bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The manifest's rows and the stats of a run over one file, none of whose rows gets as far as the network."""
    (tmp_path / name).write_bytes(data)
    (tmp_path / "r.yaml").write_text(RECIPE.replace("PATH", str(tmp_path / name)))
    result = run_inline(read_recipe(str(tmp_path / "r.yaml")), tmp_path / "run")
    assert result.num_dead == 0
    return pq.read_table(tmp_path / "run" / "release" / "manifest").to_pylist(), result.stats


def test_each_bad_row_ends_with_its_reason_and_none_is_lost(tmp_path: Path) -> None:
    rows, stats = outcome(tmp_path, "a.csv", csv_of(ROWS))
    assert stats["candidates"] == len(ROWS) == stats["samples"]
    assert all(row["status"] == "dropped" and row["dropped_at"] == "collect" for row in rows)
    found = {row["uid"]: row["drop_reason"] for row in rows}
    expected = {
        uid_of(url.decode() if reason != "bad_row" else f"a.csv:{number}"): reason
        for number, (url, _, reason) in enumerate(ROWS, start=1)
    }
    assert found == expected


def test_a_row_of_too_many_fields_is_a_sample_of_its_own(tmp_path: Path) -> None:
    data = "url,caption\nhttp://a.cn/1.jpg,一\nhttp://a.cn/2.jpg,二,三\n,\nhttp://a.cn/4.jpg\n".encode()
    rows, stats = outcome(tmp_path, "a.csv", data)
    assert stats["samples"] == 4
    details = {row["uid"]: row["detail"] for row in rows if row["drop_reason"] == "bad_row"}
    assert details == {
        uid_of("a.csv:2"): "3 fields, expected 2",
        uid_of("a.csv:3"): "no url",
        uid_of("a.csv:4"): "1 fields, expected 2",
    }


def test_a_quote_that_never_ends_costs_one_row(tmp_path: Path) -> None:
    data = 'url,caption\nhttp://a.cn/1.jpg,一\nhttp://a.cn/2.jpg,"二\nhttp://a.cn/3.jpg,三\n'.encode()
    rows, _ = outcome(tmp_path, "a.csv", data)
    assert sorted((row["drop_reason"], row["url"]) for row in rows if row["url"]) == [
        ("no_chinese", "http://a.cn/1.jpg"),
        ("no_chinese", "http://a.cn/3.jpg"),
    ]
    assert [row["detail"] for row in rows if row["drop_reason"] == "bad_row"] == ["a quoted field without an end"]


def test_lines_that_are_no_json_are_rows_of_their_own(tmp_path: Path) -> None:
    lines = [
        '{"url": "http://a.cn/1.jpg", "caption": "一"}',
        "{",
        "[1]",
        '{"caption": "x"}',
        '{"url": 3, "caption": 4}',
    ]
    rows, stats = outcome(tmp_path, "a.jsonl", "\n".join(lines).encode())
    assert stats["samples"] == 5
    assert sorted(row["drop_reason"] for row in rows) == ["bad_row"] * 4 + ["no_chinese"]


def test_the_same_bad_row_twice_is_one_sample_of_two_candidates(tmp_path: Path) -> None:
    _, stats = outcome(tmp_path, "a.csv", csv_of([(b"no url", b"x", ""), (b"no url", b"y", "")]))
    assert (stats["candidates"], stats["merged"], stats["samples"]) == (2, 1, 1)


def test_a_table_of_no_rows_makes_an_empty_release(tmp_path: Path) -> None:
    rows, stats = outcome(tmp_path, "a.csv", b"url,caption\n")
    assert rows == []
    assert (stats["samples"], stats["kept"], stats["shards"]) == (0, 0, 0)
