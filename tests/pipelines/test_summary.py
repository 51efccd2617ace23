"""How a run ended, for CI; and its progress as JSON."""

import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.json_log import JsonLog, open_log
from pipelines.launch import run_recipe
from pipelines.live_line import LiveLine
from pipelines.progress import Progress
from pipelines.summary import Summarised
from shards.errors import BadInputError, DiskError, UsageError
from tests.pipelines.conftest import FinishedRun, InlinePool


def written(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    assert isinstance(found, dict)
    return found


def test_a_run_that_ended_well_is_summed_up(tmp_path: Path, finished: FinishedRun) -> None:
    place = tmp_path / "summary.json"
    stats = json.loads((finished.folder / "release" / "stats.json").read_bytes())
    with Summarised(str(place), "run", LiveLine(io.StringIO())) as told:
        told.stats = stats
    found = written(place)
    assert (found["state"], found["exit_code"], found["error"]) == ("done", 0, None)
    assert (found["kept"], found["samples"]) == (finished.kept, stats["samples"])
    fallen = sum(number for reasons in found["drops"].values() for number in reasons.values())
    assert found["kept"] + fallen == found["samples"]
    assert found["drops"]["fetch"]["robots_disallowed"] == 1


@pytest.mark.parametrize(
    ("end", "state", "exit_code", "error"),
    [
        (BadInputError("t.csv: no such column"), "failed", 65, "t.csv: no such column"),
        (KeyboardInterrupt(), "interrupted", 130, "interrupted; run the same command again to go on"),
        (typer.Exit(3), "done", 3, None),
        (ZeroDivisionError("a bug"), "failed", 1, "ZeroDivisionError: a bug"),
        (OSError(errno.ENOSPC, "full"), "failed", 74, f"OSError: [Errno {errno.ENOSPC}] full"),
    ],
)
def test_however_a_run_ends_it_is_told(
    tmp_path: Path, end: BaseException, state: str, exit_code: int, error: str | None
) -> None:
    place, stream = tmp_path / "summary.json", io.StringIO()
    with pytest.raises(type(end)), Summarised(str(place), "s3://bucket/run", LiveLine(stream)):
        raise end
    assert (written(place)["error"], stream.getvalue()) == (error, ""), "the command tells it"
    is_told = isinstance(end, (BadInputError, KeyboardInterrupt))
    with (
        pytest.raises(typer.Exit if is_told else type(end)) as left,
        Summarised(str(place), "s3://bucket/run", JsonLog(stream)),
    ):
        raise end
    assert not is_told or getattr(left.value, "exit_code", None) == exit_code
    found = written(place)
    assert (found["state"], found["exit_code"], found["error"]) == (state, exit_code, error)
    assert (found["out"], found["kept"], found["drops"]) == ("s3://bucket/run", None, {})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["text"], line["exit_code"]) for line in lines] == (
        [] if error is None else [("error", error, exit_code)]
    )


def test_on_standard_output_it_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Summarised("-", "run", LiveLine(io.StringIO())) as told:
        assert told.is_printed
    assert json.loads(capsys.readouterr().out)["state"] == "done"


@pytest.mark.parametrize(("place", "told"), [("no/s.json", "there is no folder"), (".", "is a folder")])
def test_a_summary_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path, place: str, told: str) -> None:
    with (
        pytest.raises(UsageError, match=told),
        Summarised(str(tmp_path / place), "run", LiveLine(io.StringIO())),
    ):
        raise AssertionError("it ran")


def test_a_summary_that_finds_no_room_hides_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "on-a-disk"

    def run(fault: Exception | None) -> None:
        folder.mkdir()
        with Summarised(str(folder / "s.json"), "run", LiveLine(io.StringIO())):
            folder.rmdir()
            if fault is not None:
                raise fault

    with pytest.raises(BadInputError, match="no such column"):
        run(BadInputError("t.csv: no such column"))
    with pytest.raises(DiskError, match="is gone"):
        run(None)


@pytest.mark.parametrize("arguments", [("--retry", "no_such_reason"), ("--set", "bogus=1")])
def test_a_log_for_programs_has_objects_alone_however_the_command_ends(
    finished: FinishedRun, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(yaml.safe_dump(finished.recipe, allow_unicode=True), encoding="utf-8")
    asked = ["run", str(recipe), "--out", str(tmp_path / "run"), "--log-format", "json", "--summary", "-", *arguments]
    ended = CliRunner().invoke(app, asked)
    (line,) = map(json.loads, ended.stderr.splitlines())
    summary = json.loads(ended.stdout)
    assert (line["event"], line["exit_code"], ended.exit_code) == ("error", 2, 2)
    assert line["text"] == summary["error"]


def test_each_line_of_a_log_for_programs_is_an_object(finished: FinishedRun) -> None:
    stream = io.StringIO()
    progress = Progress(line=JsonLog(stream))
    run_recipe(finished.recipe, "recipe test", str(finished.folder), InlinePool, progress)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    stages = {line["stage"]: line for line in lines if line["event"] == "stage"}
    assert {"collect", "fetch", "release"} <= set(stages)
    assert (stages["measure"]["parts"], stages["measure"]["skipped"], stages["measure"]["planned"]) == (0, 1, 1)
    assert stages["measure"]["counts"]["standing"] > 0
    assert all(line["time"].endswith("+00:00") for line in lines)


def test_an_unknown_form_of_log_is_refused() -> None:
    with pytest.raises(UsageError, match="--log-format yaml: expected text or json"):
        open_log("yaml")
