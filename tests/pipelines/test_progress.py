"""Progress: plain lines where nobody watches, live ones where somebody does, and nothing a page could abuse."""

import io
import json
import time
from pathlib import Path

import pytest

from pipelines.fetch_meter import live_report_path
from pipelines.progress import Progress
from pipelines.tasks import Batch, Task
from shards.parts import Record, StepFolder


def batch(step: str, size: int) -> Batch:
    return Batch(step, tuple(Task(step, index, f"{index:032x}") for index in range(size)))


def record(task: Task, **counts: int) -> Record:
    return Record(task.step, task.index, task.fingerprint, (), rows=sum(counts.values()), counts=counts)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The one mocked thing: what time it is."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_stage_ends_with_one_line(clock: list[float]) -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    given = batch("fetch", 2)
    progress.begin("fetch", given)
    progress.skip(given.tasks[0], {"standing": 3, "timeout": 1})
    clock[0] = 2.0
    progress.done(given.tasks[1], record(given.tasks[1], standing=1, timeout=3))
    progress.end("fetch")
    assert stream.getvalue() == "fetch    1 parts, 1 skipped, 4 rows in 2.0 s, 50.0% stand\n"


def test_a_stage_that_was_done_before_says_so() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    given = batch("admit", 1)
    progress.begin("admit", given)
    progress.skip(given.tasks[0], {"standing": 1})
    progress.end("admit")
    assert stream.getvalue() == "admit    as before, 1 parts skipped, 100.0% stand\n"


def test_nobody_is_told_more_often_than_every_ten_seconds(clock: list[float]) -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    given = batch("fetch", 4)
    progress.begin("fetch", given)
    for clock[0] in (5.0, 9.0, 11.0, 12.0, 22.0):
        progress.tick()
        if clock[0] == 5.0:
            progress.done(given.tasks[0], record(given.tasks[0], standing=50))
    assert stream.getvalue().splitlines() == [
        "fetch    1/4 parts, 5 rows/s, ETA 33 s, 100.0% stand",
        "fetch    1/4 parts, 2 rows/s, ETA 66 s, 100.0% stand",
    ]


def test_a_terminal_s_line_is_written_over(clock: list[float]) -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=True)
    progress.begin("fetch", batch("fetch", 1))
    clock[0] = 1.0
    progress.tick()
    assert stream.getvalue() == "\r\x1b[2Kfetch    0/1 parts"


def test_batches_of_one_stage_add_up_and_inner_steps_count_no_fates() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    for step in ("admit-shuffle", "admit"):
        given = batch(step, 1)
        progress.begin("admit", given)
        progress.done(given.tasks[0], record(given.tasks[0], standing=2, few=2))
    progress.end("admit")
    assert "2 parts, 8 rows in" in stream.getvalue()
    assert "50.0% stand" in stream.getvalue()


def test_a_stage_without_parts_says_nothing() -> None:
    stream = io.StringIO()
    Progress(stream, live=False).end("score")
    assert stream.getvalue() == ""


REPORT = {
    "seconds": 4.0,
    "requests": 120,
    "images": 80,
    "bytes": 8_000_000,
    "reasons": {"timeout": 15, "http_status": 4, "opt_out": 1},
    "slowest": [["slow.cn", 300], ["b.cn", 7]],
}


def fetching(tmp_path: Path, stream: io.StringIO, live: bool = False) -> tuple[Progress, list[Task], list[Path]]:
    """Two fetch parts begin; where each will say how it gets on."""
    progress, given, folder = Progress(stream, live=live), batch("fetch", 2), StepFolder(tmp_path, "fetch")
    folder.path.mkdir(exist_ok=True)
    progress.begin("fetch", given)
    for task in given.tasks:
        progress.start(task, folder)
    return progress, list(given.tasks), [live_report_path(folder.path, task) for task in given.tasks]


def test_the_live_report_lies_where_the_part_writes_it(tmp_path: Path) -> None:
    task = Task("fetch", 7, "0123456789abcdef")
    assert live_report_path(tmp_path, task) == tmp_path / ".part-000007-01234567.live.json"


def test_running_downloads_are_shown(tmp_path: Path, clock: list[float]) -> None:
    stream = io.StringIO()
    progress, _, paths = fetching(tmp_path, stream)
    progress.tick()
    paths[0].write_text(json.dumps(REPORT))
    paths[1].write_text(json.dumps(REPORT | {"slowest": [["slow.cn", 12]]}))
    clock[0] = 10.0
    progress.tick()
    assert stream.getvalue() == (
        "fetch    0/2 parts; 16.0 images/s, 1.60 MB/s, 80.0% stored, timeout 15.0%, http_status 4.0%, opt_out 1.0%, "
        "waiting: slow.cn 312, b.cn 7\n"
    )


def test_rates_are_those_of_the_last_half_minute(tmp_path: Path, clock: list[float]) -> None:
    stream = io.StringIO()
    progress, _, paths = fetching(tmp_path, stream)
    for clock[0], images in ((0.0, 0), (10.0, 1_000), (20.0, 1_000), (30.0, 1_000), (50.0, 1_000)):
        paths[0].write_text(json.dumps(REPORT | {"images": images}))
        progress.tick()
    shares = [line.split("; ")[1].split(" images/s")[0] for line in stream.getvalue().splitlines()]
    assert shares == ["100.0", "50.0", "33.3", "0.0"]


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "null", '{"images": 1}', json.dumps(REPORT | {"reasons": {"x": "y"}}), '{"images": "\x1b[2J"}'],
)
def test_a_report_that_cannot_be_read_is_passed_over(tmp_path: Path, clock: list[float], said: str) -> None:
    stream = io.StringIO()
    progress, _, paths = fetching(tmp_path, stream)
    paths[0].write_text(said)
    for clock[0] in (0.0, 11.0):
        progress.tick()
    assert stream.getvalue() == "fetch    0/2 parts\n"


def test_a_dead_attempt_s_report_does_not_count(tmp_path: Path, clock: list[float]) -> None:
    stream = io.StringIO()
    (tmp_path / "fetch").mkdir()
    left = live_report_path(tmp_path / "fetch", batch("fetch", 1).tasks[0])
    left.write_text(json.dumps(REPORT))
    progress, tasks, paths = fetching(tmp_path, stream)
    assert not left.exists()
    paths[1].write_text(json.dumps(REPORT))
    for clock[0] in (0.0, 4.0):
        progress.tick()
    progress.failed(tasks[1])
    clock[0] = 11.0
    progress.tick()
    assert stream.getvalue() == "fetch    0/2 parts\n"


def test_the_stage_s_end_tells_of_all_downloads(tmp_path: Path, clock: list[float]) -> None:
    stream = io.StringIO()
    progress, tasks, _ = fetching(tmp_path, stream)
    clock[0] = 10.0
    for task in tasks:
        progress.done(task, Record("fetch", task.index, task.fingerprint, (), 100, {}, {"report": REPORT}))
    progress.end("fetch")
    assert stream.getvalue().splitlines()[1] == (
        "         160 images stored, 240 requests, 16.0 images/s, 1.60 MB/s, 80.0% stored, timeout 15.0%, "
        "http_status 4.0%, opt_out 1.0%"
    )


def test_a_live_line_fits_its_terminal_and_carries_no_control_characters(tmp_path: Path, clock: list[float]) -> None:
    stream = io.StringIO()
    progress, _, paths = fetching(tmp_path, stream, live=True)
    paths[0].write_text(json.dumps(REPORT | {"slowest": [["a\x1b]0;owned\x07b" + 200 * "x", 1]]}))
    for clock[0] in (0.0, 3.0, 6.0):
        progress.tick()
    line = stream.getvalue().rpartition("\r\x1b[2K")[2]
    assert len(line) == 119
    assert "\x1b" not in line


def test_a_note_carries_no_control_characters() -> None:
    stream = io.StringIO()
    Progress(stream, live=False).note("a\x1b]0;owned\x07b\nc")
    assert stream.getvalue() == "a\\x1b]0;owned\\x07b\nc\n"
