"""`curate status`: the same figures as a table, as JSON, as metrics that a dashboard draws, and while a run goes on."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.standing.metrics import as_metrics
from pipelines.standing.read import RunStanding, StageStanding, StandingReader
from shards.lease import Lease
from shards.parts import StepFolder
from tests.pipelines.conftest import FinishedRun

DASHBOARD = Path(__file__).parents[3] / "infra" / "grafana" / "curate.json"
_SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)+)\} (\d+)')


def told(run: Path, *arguments: str) -> str:
    ended = CliRunner().invoke(app, ["status", str(run), *arguments])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_json_tells_what_the_release_tells(finished: FinishedRun) -> None:
    found = json.loads(told(finished.folder, "--format", "json"))
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert (found["state"], found["process"]) == ("done", None)
    assert list(stages)[:2] == ["collect", "admit"]
    assert stages["release"]["standing"] == finished.kept
    assert stages["fetch"]["dropped"]["robots_disallowed"] == 1
    assert all(stage["committed"] == stage["planned"] for stage in stages.values())


def test_metrics_say_the_same_in_prometheus_format(finished: FinishedRun) -> None:
    lines = told(finished.folder, "-f", "prometheus").splitlines()
    samples = {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    assert all(_SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))
    assert samples['curate_run_state{run="run",state="done"}'] == 1
    assert samples['curate_run_state{run="run",state="running"}'] == 0
    assert samples['curate_rows_dropped{run="run",stage="fetch",reason="robots_disallowed"}'] == 1
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(helped) == len(set(helped)) == len([line for line in lines if line.startswith("# TYPE")])


def test_labels_cannot_break_the_format() -> None:
    stage = StageStanding("fetch", 1, 1, 2, 1, {'a"b\\c\nd': 1})
    text = as_metrics('x"}\n', RunStanding("stopped", None, (stage,)))
    assert '{run="x\\"}\\n",stage="fetch",reason="a\\"b\\\\c\\nd"} 1\n' in text
    assert all(line.startswith(("#", "curate_")) for line in text.splitlines())


def test_the_dashboard_draws_metrics_that_there_are(finished: FinishedRun) -> None:
    known = set(re.findall(r"# TYPE (\w+) gauge", told(finished.folder, "-f", "prometheus")))
    board = json.loads(DASHBOARD.read_text())
    drawn = {name for panel in board["panels"] for name in re.findall(r"curate_\w+", json.dumps(panel["targets"]))}
    assert drawn == known
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_a_record_is_read_once(finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished.copy(tmp_path)
    reader = StandingReader(run)
    first = reader.read()
    monkeypatch.setattr(StepFolder, "record", lambda *_: pytest.fail("read again"))
    assert reader.read() == first


def test_a_record_that_is_forgotten_no_longer_counts(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    reader = StandingReader(run)
    before = next(stage for stage in reader.read().stages if stage.name == "fetch")
    record = StepFolder(run, "fetch").records()[0]
    StepFolder(run, "fetch").forget(record.index, record.fingerprint)
    after = next(stage for stage in reader.read().stages if stage.name == "fetch")
    assert (after.committed, after.rows) == (before.committed - 1, before.rows - record.rows)


def test_watching_ends_with_the_run(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path)
    with Lease.take(run):
        threading.Timer(0.4, (run / "lease.json").unlink).start()
        began = time.monotonic()
        text = told(run, "--watch", "0.1")
        assert time.monotonic() - began > 0.3
    assert "done" in text.split()
    assert "kept" in text


@pytest.mark.parametrize("arguments", [("-f", "xml"), ("-f", "json", "--watch", "1")])
def test_what_cannot_be_told_so_is_refused(finished: FinishedRun, arguments: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(app, ["status", str(finished.folder), *arguments])
    assert ended.exit_code == 2
    assert "--" in ended.stderr
