"""`curate sql`: formats that other programs read, and errors that name the views."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.query import run_query
from shards.errors import UsageError
from tests.pipelines.conftest import FinishedRun

ALL = "SELECT status, drop_reason, count(*) AS n FROM manifest GROUP BY ALL ORDER BY ALL"


def test_every_sample_is_accounted_for(finished: FinishedRun, capsys: pytest.CaptureFixture[str]) -> None:
    run_query(finished.folder, ALL, "json", None)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(row["status"], row["drop_reason"]): row["n"] for row in found} == {
        ("kept", None): 6,
        ("dropped", "no_chinese"): 2,
        ("dropped", "too_small"): 1,
        ("dropped", "near_duplicate"): 1,
        ("dropped", "not_an_image"): 1,
        ("dropped", "http_status"): 1,
        ("dropped", "robots_disallowed"): 1,
        ("dropped", "blocked_scheme"): 1,
    }
    counted = "SELECT (SELECT count(*) FROM candidates) AS c, (SELECT count(*) FROM samples) AS s, sum(samples) AS f"
    run_query(finished.folder, f"{counted} FROM funnel", "json", None)
    assert json.loads(capsys.readouterr().out) == {"c": 15, "s": 14, "f": "14"}


def test_a_text_that_a_spreadsheet_would_run_is_quoted(
    finished: FinishedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT text, -1 AS number, [1] AS list, NULL AS none FROM manifest WHERE text LIKE '=%'"
    run_query(finished.folder, query, "csv", None)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["text", "number", "list", "none"], ["'=HYPERLINK(1)", "-1", "[1]", ""]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_each_start_of_a_formula_is_quoted(
    finished: FinishedRun, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    run_query(finished.folder, f"SELECT '{start}1' AS a", "csv", None)
    assert capsys.readouterr().out.split() == ["a", f"'{start}1"]


def test_json_keeps_structs_and_chinese(finished: FinishedRun, capsys: pytest.CaptureFixture[str]) -> None:
    run_query(finished.folder, "SELECT texts FROM manifest WHERE text = '第5张照片'", "json", None)
    (line,) = capsys.readouterr().out.splitlines()
    assert "第5张照片" in line
    assert {text["drop_reason"] for text in json.loads(line)["texts"]} == {None, "no_chinese"}


def test_parquet_keeps_types(tmp_path: Path, finished: FinishedRun) -> None:
    run_query(finished.folder, "SELECT uid, phash FROM manifest ORDER BY uid", "parquet", tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.num_rows == 14
    assert table.schema.field("phash").type == pa.uint64()


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_file_holds_what_the_terminal_would_show(
    tmp_path: Path, finished: FinishedRun, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    run_query(finished.folder, ALL, format_, None)
    run_query(finished.folder, ALL, format_, tmp_path / "a")
    assert (tmp_path / "a").read_text(encoding="utf-8").splitlines() == capsys.readouterr().out.splitlines()


def test_a_table_is_for_people(finished: FinishedRun, capfd: pytest.CaptureFixture[str]) -> None:
    run_query(finished.folder, "SELECT count(*) AS samples FROM manifest", "table", None)
    assert "samples" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("query", "format_", "output", "message"),
    [
        ("SELECT 1", "xml", None, "--format xml: expected one of table, csv, json, parquet"),
        ("SELECT 1", "parquet", None, "needs --output FILE"),
        ("SELECT 1", "table", "a.txt", "--output needs --format"),
        ("SELECT 1", "csv", "none/a.csv", "--output .*No such file"),
        ("SELECT 1", "parquet", "none/a.parquet", "--output .*No such file"),
        ("SELECT * FROM manifst", "table", None, "views of this run: candidates, funnel, images, manifest"),
        ("SELECT * FROM pages", "table", None, "not there yet: pages, queries, scores"),
        ("SELEC 1", "table", None, "the query failed: Parser Error"),
        ("", "csv", None, None),
        ("SELECT url::INTEGER FROM manifest", "csv", None, "the query failed: Conversion Error"),
        ("SELECT url::INTEGER FROM manifest", "table", None, "the query failed: Conversion Error"),
        ("SELECT * FROM read_text('/etc/hostname')", "csv", None, "the query failed: Permission Error"),
        ("SET threads = 4", "csv", None, "would change something"),
        ("COPY manifest TO 'manifest.csv'", "csv", None, "would change something"),
        ("SELECT 1; DROP VIEW manifest", "csv", None, "would change something"),
    ],
)
def test_a_query_that_fails_is_a_usage_error(
    tmp_path: Path, finished: FinishedRun, query: str, format_: str, output: str | None, message: str | None
) -> None:
    path = tmp_path / output if output else None
    if message is None:
        run_query(finished.folder, query, format_, path)
        return
    with pytest.raises(UsageError, match=message) as caught:
        run_query(finished.folder, query, format_, path)
    assert caught.value.exit_code == 2
