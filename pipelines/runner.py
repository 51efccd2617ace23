"""The runner: skip what is committed, keep a bounded number of parts in flight, retry, narrow, set aside, go on."""

import json
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.attempts import perform, probe
from pipelines.cluster.call import NodeLostError, WorkerDiedError
from pipelines.cluster.under_way import UnderWay
from pipelines.progress import Progress
from pipelines.stages import NARROWS, STAGES, Stage
from pipelines.tasks import Batch, Context, Flow, RowFilter, Task
from pipelines.waiting import Attempted, Waiting
from pipelines.workers import Pool, TaskFailedError
from shards.catalog import KEPT, PLAN_FILE
from shards.errors import BadInputError, BrokenRunError, CurateError, DiskError, TryAgainError, UsageError
from shards.parts import StepFolder
from shards.storage import put_whole, told_place

MAX_TRIES = 3
MAX_POISON_ROWS = 100
MAX_SPOILED_PARTS = 10
"""So many parts of a step in a row with rows set aside, and none without: the fault is not the rows'."""

MAX_LOSSES = 20
"""How many machines may go away under one part before that is held against it."""

_POLL_S = 0.5
_FINAL = (UsageError, BadInputError, DiskError, TryAgainError)
"""Faults that another try cannot heal: they end the run, resumable."""

_QUIET_S = 5.0
"""How long a lane rests after its worker died: Ray may tell of a death while that worker's last requests still run."""


@dataclass
class Runner:
    """Runs a flow to its end on a pool."""

    context: Context
    pool: Pool
    progress: Progress
    num_dead: int = 0
    _planned: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    _files: dict[str, dict[tuple[int, str], tuple[str, ...]]] = field(default_factory=dict)
    _num_spoiled: int = 0

    def __post_init__(self) -> None:
        self._calls = UnderWay(self.pool, self.context.plan.recipe.resources)

    def run(self, stages: Sequence[Stage] = STAGES) -> Flow:
        """Every stage in turn; returns the finished flow. Raises the first fault that is not a part's own."""
        flow = Flow(self.context)
        for stage in stages:
            steps: dict[str, None] = {}
            for batch in stage.steps(flow):
                steps[batch.step] = None
                self._planned[batch.step] = [
                    *self._planned.get(batch.step, []),
                    *((task.index, task.fingerprint) for task in batch.tasks),
                ]
                if batch.kept:
                    self._planned[batch.step + KEPT] = [(part.index, part.fingerprint) for part in batch.kept]
                put_whole(self.context.run / PLAN_FILE, json.dumps(self._planned).encode())
                self.progress.begin(stage.name, batch)
                self._begin_step(stage)
                self._run_batch(batch)
                flow.finish(batch)
            self._calls.see_off(_POLL_S)
            for step in steps:  # not before: until then a later batch may take up what a kill left behind
                self.context.folder(step).sweep(self._files.pop(step, {}))
            self.progress.end(stage.name)
        return flow

    def drain(self) -> None:
        """Let tasks in flight end and commit; start no more."""
        while self._calls:
            for handle, attempted in self._calls.wait(_POLL_S):
                task = attempted.task
                _, fault = self._outcome(handle)
                self._calls.settle(handle, fault is None)
                if fault is not None:  # whatever it was, the part is redone on resume
                    self.progress.note(f"{task.step} part {task.index} not finished: {fault}")

    def _begin_step(self, stage: Stage) -> None:
        self._num_spoiled = 0
        self._calls.begin_step(stage.name)

    def _run_batch(self, batch: Batch) -> None:
        folder = self.context.folder(batch.step)
        waiting = Waiting(task for task in batch.tasks if not self._is_done(task, folder))
        while waiting or self._calls:
            self._start_some(waiting)
            if not self._calls:
                time.sleep(_POLL_S)  # all that is left rests for a moment
                continue
            for handle, attempted in self._calls.wait(_POLL_S):
                self._finish(handle, attempted, waiting)
            if not waiting:
                self._run_late_again()
            self.progress.tick()

    def _is_done(self, task: Task, folder: StepFolder) -> bool:
        if (task.index, task.fingerprint[:8]) not in self.progress.committed(folder):
            return False
        done = folder.done(task.index, task.fingerprint)
        if done is not None:
            self._note_files(task, done.names)
            self.progress.skip(task, done.counts)
            return True
        folder.forget(task.index, task.fingerprint)
        return False

    def _start_some(self, waiting: Waiting) -> None:
        """Fill the pool by shares of CPUs, at most one task of a lane at a time."""
        used, slots = self._calls.used_cpus, self.pool.slots
        while True:
            attempted = waiting.take(room=slots - used if self._calls else math.inf)
            if attempted is None:
                return
            task = attempted.task
            used += task.cpus
            self.progress.start(task, self.context.folder(task.step))
            self._calls.start(attempted, perform, self.context)

    def _run_late_again(self) -> None:
        """Nothing waits: what is left to run late may be sped up by a second call elsewhere."""
        for task in self._calls.run_late_again(perform, self.context):
            self.progress.note(f"{task.step} part {task.index} is late; it is made a second time, and the first wins")

    def _finish(self, handle: object, attempted: Attempted, waiting: Waiting) -> None:
        task = attempted.task
        record, fault = self._outcome(handle)
        is_settled = self._calls.settle(handle, fault is None)
        if fault is None:
            self._num_spoiled = 0
            self._note_files(task, tuple(file.name for file in record.files))
            self.progress.done(task, record)
            waiting.ended(task)
            return
        _stop_for_good(fault)
        if not is_settled:
            self.progress.note(f"{task.step} part {task.index}, one of two calls: {fault}")
            return
        self._blame(attempted, fault)
        self.progress.failed(task)
        self.progress.note(f"{task.step} part {task.index}, {_told(attempted)}: {fault}")
        if attempted.tries < MAX_TRIES:
            waiting.put_back(attempted, rest_s=_rest_s(task, fault))
            return
        self._set_aside(task, fault)
        waiting.ended(task)

    def _blame(self, attempted: Attempted, fault: Exception) -> None:
        """A machine that went away says nothing about the part, unless it happens again and again."""
        attempted.losses += isinstance(fault, NodeLostError)
        if not isinstance(fault, NodeLostError) or attempted.losses > MAX_LOSSES:
            attempted.tries += 1

    def _note_files(self, task: Task, names: tuple[str, ...]) -> None:
        """What a committed part consists of, so that its record need not be read again when its step is swept."""
        self._files.setdefault(task.step, {})[task.index, task.fingerprint[:8]] = names

    def _outcome(self, handle: object) -> tuple[Any, Exception | None]:
        """What a task gave, or its fault: the one place where a part's unforeseen fault is caught."""
        try:
            return self.pool.result(handle), None
        except Exception as fault:  # noqa: BLE001 - parts run any library's code; every caller deals with what it gets
            return None, fault

    def _set_aside(self, task: Task, error: Exception) -> None:
        """Find the rows that fail whatever is tried, commit the part without them, keep them in `dead/`."""
        if task.step not in NARROWS or task.num_rows is None:
            story = self.context.run / "dead" / f"{task.step}-{task.index:06d}.txt"
            story.parent.mkdir(exist_ok=True)
            put_whole(story, _story(error)[1].encode())
            place = told_place(story)
            raise BrokenRunError(
                f"{task.step} part {task.index} failed {MAX_TRIES} times: {error} (the whole story: {place})"
            ) from error
        self._stop_where_all_spoil(task, error)
        faults: dict[int, tuple[str, str]] = {}
        self._narrow(task, 0, task.num_rows, faults)
        if len(faults) == task.num_rows > 1:
            raise BrokenRunError(f"{task.step} part {task.index}: every row fails, so the fault is not theirs: {error}")
        self.progress.note(f"{task.step} part {task.index}: {len(faults)} rows set aside in dead/")
        reasons = {row: reason for row, (reason, _) in faults.items()}
        record, fault = self._call(perform, task, self.context, RowFilter(skip=reasons))
        if fault is not None:
            raise fault
        self._bury(task, faults)
        self.progress.done(task, record)

    def _stop_where_all_spoil(self, task: Task, error: Exception) -> None:
        self._num_spoiled += 1
        if self._num_spoiled > MAX_SPOILED_PARTS:
            raise BrokenRunError(
                f"{task.step}: {MAX_SPOILED_PARTS} parts in a row had rows to set aside, and part {task.index} fails, "
                f"too; so the fault is not the rows': {error}. Mend it, then run again: it resumes"
            ) from error

    def _narrow(self, task: Task, start: int, stop: int, faults: dict[int, tuple[str, str]]) -> None:
        if start >= stop:
            return
        _, fault = self._call(probe, task, self.context, RowFilter(only=(start, stop)))
        if fault is None:
            return
        _stop_for_good(fault)
        if len(faults) >= MAX_POISON_ROWS:
            raise BrokenRunError(
                f"{task.step} part {task.index}: more than {MAX_POISON_ROWS} rows fail, so the fault is not theirs"
            ) from fault
        if stop - start == 1:
            faults[start] = _story(fault)
            return
        time.sleep(_rest_s(task, fault))
        middle = (start + stop) // 2
        self._narrow(task, start, middle, faults)
        self._narrow(task, middle, stop, faults)

    def _call(self, function: Callable[..., Any], task: Task, *arguments: object) -> tuple[Any, Exception | None]:
        handle = self._calls.call(function, task, *arguments, gpus=task.gpus)
        while not self.pool.wait([handle], _POLL_S):
            self.progress.tick()
        return self._outcome(handle)

    def _bury(self, task: Task, faults: dict[int, tuple[str, str]]) -> None:
        folder = self.context.run / "dead"
        folder.mkdir(exist_ok=True)
        for row, (_, story) in sorted(faults.items()):
            grave = {"step": task.step, "part": task.index, "row": row, "fault": story}
            name = f"{task.step}-{task.index:06d}-{row:08d}.json"
            put_whole(folder / name, json.dumps(grave, ensure_ascii=False, indent=1).encode())
        self.num_dead += len(faults)


def _stop_for_good(fault: Exception) -> None:
    """Raises what another try cannot heal."""
    if isinstance(fault, _FINAL):
        raise fault


def _told(attempted: Attempted) -> str:
    return f"try {attempted.tries}" if attempted.tries else f"no fault of its own ({attempted.losses})"


def _rest_s(task: Task, fault: Exception) -> float:
    """How long nobody may ask the lane's hosts: their last requests may still run where the worker died."""
    return _QUIET_S if isinstance(fault, WorkerDiedError) and task.lane is not None else 0.0


def _story(error: BaseException) -> tuple[str, str]:
    """Drop reason and traceback of a row that is set aside."""
    if isinstance(error, WorkerDiedError):
        return "worker_oom", str(error)
    if isinstance(error, TaskFailedError):
        return "bad_row", error.story
    if isinstance(error, CurateError):
        return "bad_row", f"{type(error).__name__}: {error}"
    return "bad_row", "".join(traceback.format_exception(error))
