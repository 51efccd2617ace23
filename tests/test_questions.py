"""infra/docs/questions.md: each query gives, of the demo's release, the answer that stands below it."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.conftest import FinishedDemo

_PAGE = Path(__file__).parents[1] / "infra" / "docs" / "questions.md"
_QUESTION = re.compile(r"^## (\d+)\. .*?^```sql\n(.*?)^```\n\n^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUESTIONS = {int(number): (query, answer) for number, query, answer in _QUESTION.findall(_PAGE.read_text("utf-8"))}


def test_there_are_ten() -> None:
    assert list(QUESTIONS) == list(range(1, 11))


@pytest.mark.parametrize("number", QUESTIONS)
def test_the_release_answers_through_its_views(demo_run: FinishedDemo, number: int) -> None:
    query, answer = QUESTIONS[number]
    release = demo_run.folder / "release"
    with duckdb.connect() as database:
        database.execute("SET VARIABLE release = ?", [str(release)])
        database.execute((release / "views.sql").read_text(encoding="utf-8"))
        found = database.sql(query)
        assert as_csv([found.columns, *found.fetchall()]) == answer


def as_csv(rows: Iterable[Sequence[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize("number", [1, 6])
def test_the_run_answers_through_curate_sql(demo_run: FinishedDemo, number: int) -> None:
    query, answer = QUESTIONS[number]
    ended = CliRunner().invoke(app, ["sql", str(demo_run.folder), query, "-f", "csv"])
    assert (ended.exit_code, ended.stdout.replace("\r\n", "\n")) == (0, answer)
