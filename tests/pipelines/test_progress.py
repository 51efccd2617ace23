"""Progress: plain lines where nobody watches, live ones where somebody does, and nothing a page could abuse."""

import io
import time

import pytest

from pipelines.progress import Progress
from pipelines.tasks import Batch, Task
from shards.parts import Record


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
    progress.skip(given.tasks[0], record(given.tasks[0], standing=3, timeout=1))
    clock[0] = 2.0
    progress.done(given.tasks[1], record(given.tasks[1], standing=1, timeout=3))
    progress.end("fetch")
    assert stream.getvalue() == "fetch    1 parts, 1 skipped, 4 rows in 2.0 s, 50.0% stand\n"


def test_a_stage_that_was_done_before_says_so() -> None:
    stream = io.StringIO()
    progress = Progress(stream, live=False)
    given = batch("admit", 1)
    progress.begin("admit", given)
    progress.skip(given.tasks[0], record(given.tasks[0], standing=1))
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


def test_a_note_carries_no_control_characters() -> None:
    stream = io.StringIO()
    Progress(stream, live=False).note("a\x1b]0;owned\x07b\nc")
    assert stream.getvalue() == "a\\x1b]0;owned\\x07b\nc\n"
