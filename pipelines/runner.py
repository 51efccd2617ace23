"""The runner: skip what is committed, keep a bounded number of parts in flight, try again what failed, go on."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.attempts import perform
from pipelines.call_faults import cause_of, rest_s, stop_for_good
from pipelines.cluster.call import NodeLostError
from pipelines.cluster.under_way import UnderWay
from pipelines.known_parts import KnownPart, KnownParts
from pipelines.narrowing import MAX_TRIES, Narrowing
from pipelines.progress import Progress
from pipelines.stages import STAGES, Stage
from pipelines.tasks import Batch, Context, Flow, Task
from pipelines.tries import Tries
from pipelines.waiting import Attempted, Waiting
from pipelines.workers import Pool
from shards.catalog import KEPT, PLAN_FILE
from shards.parts import StepFolder
from shards.storage import put_whole

MAX_LOSSES = 20
"""How many machines may go away under one part before that is held against it."""

_POLL_S = 0.5


@dataclass
class Runner:
    """Runs a flow to its end on a pool."""

    context: Context
    pool: Pool
    progress: Progress
    _planned: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    _files: dict[str, dict[tuple[int, str], tuple[str, ...]]] = field(default_factory=dict)
    _stage: str = ""

    def __post_init__(self) -> None:
        self._calls = UnderWay(self.pool, self.context.plan.recipe.resources)
        self._narrowing = Narrowing(self.context, self._call, self.progress.note)
        self._tries = Tries(self.context.run)
        self._known = KnownParts(None)

    @property
    def num_dead(self) -> int:
        """Rows that this call set aside."""
        return self._narrowing.num_dead

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
            self._tries.keep()
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
        self._stage = stage.name
        self._narrowing.begin_step()
        self._calls.begin_step(stage.name)

    def _run_batch(self, batch: Batch) -> None:
        folder, self._known = self.context.folder(batch.step), KnownParts.of(self.context, batch.step)
        waiting = Waiting(task for task in batch.tasks if not self._is_done(task, folder))
        self._known.settle()
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
        key = task.index, task.fingerprint[:8]
        done = self._done(task, folder) if key in self.progress.committed(folder) else None
        if done is None:
            self._known.forget(key)
            return False
        self._note_files(task, tuple(done.files))
        self.progress.skip(task, done.counts)
        return True

    def _done(self, task: Task, folder: StepFolder) -> KnownPart | None:
        """A part whose record was listed, if its files are there; else the record goes too."""
        key = task.index, task.fingerprint[:8]
        known = self._known.get(key)
        if known is not None and folder.has(known.files):
            return known
        done = folder.done(task.index, task.fingerprint)
        if done is None:
            folder.forget(task.index, task.fingerprint)
            return None
        known = KnownPart(done.files, done.counts)
        self._known.learn(key, known)
        return known

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
            self._tries.again(self._stage, "late")
            self.progress.note(f"{task.step} part {task.index} is late; it is made a second time, and the first wins")

    def _finish(self, handle: object, attempted: Attempted, waiting: Waiting) -> None:
        task = attempted.task
        record, fault = self._outcome(handle)
        is_settled = self._calls.settle(handle, fault is None)
        if fault is None:
            self._narrowing.went_well()
            made = KnownPart.of(record)
            self._known.add((task.index, task.fingerprint[:8]), made)
            self._note_files(task, tuple(made.files))
            self.progress.done(task, record)
            waiting.ended(task)
            return
        stop_for_good(fault)
        if not is_settled:
            self.progress.note(f"{task.step} part {task.index}, one of two calls: {fault}")
            return
        self._blame(attempted, fault)
        self.progress.failed(task)
        self.progress.note(f"{task.step} part {task.index}, {_told(attempted)}: {fault}")
        if attempted.tries < MAX_TRIES:
            self._tries.again(self._stage, cause_of(fault))
            waiting.put_back(attempted, rest_s=rest_s(task, fault))
            return
        self._tries.keep()  # what follows may end the run
        self.progress.done(task, self._narrowing.set_aside(task, fault))
        self._tries.again(self._stage, "narrowed")
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

    def _call(self, function: Callable[..., Any], task: Task, *arguments: object) -> tuple[Any, Exception | None]:
        handle = self._calls.call(function, task, *arguments, gpus=task.gpus)
        while not self.pool.wait([handle], _POLL_S):
            self.progress.tick()
        return self._outcome(handle)


def _told(attempted: Attempted) -> str:
    return f"try {attempted.tries}" if attempted.tries else f"no fault of its own ({attempted.losses})"
