"""`curate status`: the same figures as a table, as JSON, as metrics that a dashboard draws, and while a run goes on."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.cluster.call import NodeLostError, WorkerDiedError
from pipelines.standing.metrics import as_metrics
from pipelines.standing.read import RunStanding, StageStanding, StandingReader, Worked
from pipelines.tasks import RowFilter, Task
from pipelines.tries import Tries, read_tries
from shards.errors import BrokenRunError
from shards.lease import Lease
from shards.parts import Record, StepFolder
from shards.storage import put_whole
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline

MARK = "ab" * 16
DASHBOARD = Path(__file__).parents[3] / "infra" / "grafana" / "curate.json"
_SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)+)\} (\d+(?:\.\d+)?)')


def told(run: Path, *arguments: str) -> str:
    ended = CliRunner().invoke(app, ["status", str(run), *arguments])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def samples_in(lines: list[str]) -> dict[str, float]:
    """Name and labels -> value."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def stage_of(run: Path, name: str) -> StageStanding:
    return next(stage for stage in StandingReader(run).read().stages if stage.name == name)


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
    samples = samples_in(lines)
    assert all(_SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))
    assert samples['curate_run_state{run="run",state="done"}'] == 1
    assert samples['curate_run_state{run="run",state="running"}'] == 0
    assert samples['curate_rows_dropped{run="run",stage="fetch",reason="robots_disallowed"}'] == 1
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert len(helped) == len(set(helped)) == len([line for line in lines if line.startswith("# TYPE")])


def test_parts_that_are_tried_again_are_counted_by_stage_and_cause(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path, "fetch")
    faults: list[Exception] = [RuntimeError("no"), WorkerDiedError("killed"), NodeLostError("gone")]

    def fail(task: Task, rows: RowFilter) -> None:
        if task.step == "measure" and faults:
            raise faults.pop()

    run_inline(finished.recipe, run, InlinePool(fault=fail))
    expected = {"failed": 1, "node_lost": 1, "worker_died": 1}
    assert stage_of(run, "measure").retries == expected
    assert stage_of(run, "fetch").retries == {}
    samples = samples_in(told(run, "-f", "prometheus").splitlines())
    found = {name: value for name, value in samples.items() if name.startswith("curate_part_retries") and value}
    assert found == {f'curate_part_retries{{run="run",stage="measure",cause="{cause}"}}': 1 for cause in expected}
    assert samples['curate_part_retries{run="run",stage="fetch",cause="failed"}'] == 0
    stages = json.loads(told(run, "-f", "json"))["stages"]
    assert next(stage for stage in stages if stage["name"] == "measure")["retries"] == expected


def test_tries_of_earlier_calls_of_a_run_still_count(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path, "fetch")
    faults: list[Exception] = [RuntimeError("no")] * 4

    def fail(task: Task, rows: RowFilter) -> None:
        if task.step == "dedup" and faults:
            raise faults.pop()

    with pytest.raises(BrokenRunError, match="failed 3 times"):
        run_inline(finished.recipe, run, InlinePool(fault=fail))
    assert stage_of(run, "dedup").retries == {"failed": 2}
    run_inline(finished.recipe, run, InlinePool(fault=fail))
    assert stage_of(run, "dedup").retries == {"failed": 3}


def test_rows_that_are_set_aside_cost_one_try_more(finished: FinishedRun, tmp_path: Path) -> None:
    run = finished.copy(tmp_path, "fetch")

    def fail(task: Task, rows: RowFilter) -> None:
        start, stop = rows.only or (0, task.num_rows or 0)
        if task.step == "measure" and start <= 0 < stop and 0 not in rows.skip:
            raise RuntimeError("poisoned")

    run_inline(finished.recipe, run, InlinePool(fault=fail))
    assert stage_of(run, "measure").retries == {"failed": 2, "narrowed": 1}


@pytest.mark.parametrize("text", ["", "[]", '{"measure": 3}', '{"measure": {"failed": null}}', "\x00"])
def test_a_damaged_count_of_tries_stops_nobody(finished: FinishedRun, tmp_path: Path, text: str) -> None:
    run = finished.copy(tmp_path)
    (run / "tries.json").write_text(text)
    assert stage_of(run, "measure").retries == {}


def test_tries_are_written_now_and_then_and_at_the_end_of_each_stage(tmp_path: Path) -> None:
    now = 100.0
    tries = Tries(tmp_path, lambda: now)
    tries.keep()
    assert not (tmp_path / "tries.json").exists(), "nothing was tried again"
    for _ in range(3):
        tries.again("fetch", "failed")
    assert read_tries(tmp_path) == {"fetch": {"failed": 1}}
    now = 111.0
    tries.again("fetch", "late")
    assert read_tries(tmp_path) == {"fetch": {"failed": 3, "late": 1}}
    tries.again("fetch", "late")
    tries.keep()
    assert read_tries(tmp_path) == {"fetch": {"failed": 3, "late": 2}}


def test_how_long_a_model_had_work_is_told_by_device(tmp_path: Path) -> None:
    put_whole(tmp_path / "parts.json", json.dumps({"score": [[index, MARK] for index in range(4)]}).encode())
    worked = [
        {"device": "cuda", "busy_s": 6.25, "seconds": 10.0},
        {"device": "cuda", "busy_s": 1.5, "seconds": 2.0},
        {"device": "cpu", "busy_s": 3.0, "seconds": 4.0},
    ]
    for index, meta in enumerate([*({"worked": one} for one in worked), {}]):  # the last is of before
        StepFolder(tmp_path, "score").commit(Record("score", index, MARK, (), 5, {"standing": 5}, meta), lambda: True)
    assert stage_of(tmp_path, "score").worked == {"cuda": Worked(7.75, 12.0), "cpu": Worked(3.0, 4.0)}
    samples = samples_in(as_metrics("run", StandingReader(tmp_path).read()).splitlines())
    assert samples['curate_model_busy_seconds{run="run",stage="score",device="cuda"}'] == 7.75
    assert samples['curate_model_seconds{run="run",stage="score",device="cuda"}'] == 12.0
    assert samples['curate_model_seconds{run="run",stage="score",device="cpu"}'] == 4.0


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
