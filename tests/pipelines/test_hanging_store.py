"""Commands on a store that hangs end within bounds, with one line that names the bucket."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.hanging_store import BUCKET, FORMS, hanging_store
from tests.pipelines.conftest import FinishedRun


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", ["run", "status"])
def test_a_command_ends_with_one_line(finished: FinishedRun, tmp_path: Path, command: str, form: str) -> None:
    url = f"s3://{BUCKET}/run"
    arguments = ["run", str(finished.folder / "recipe.yaml"), "--out", url] if command == "run" else ["status", url]
    with hanging_store(tmp_path) as server:
        server.answers = [FORMS[form]]
        ended = CliRunner().invoke(app, arguments)
    assert (ended.exit_code, ended.stderr.count("\n")) == (75, 1), ended.output
    assert f"s3://{BUCKET}/run" in ended.stderr
    assert "Run again when it answers: the run resumes" in ended.stderr
