"""Rows that fail whatever is tried: found by halving their part, set aside in `dead/`; their part is made without."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipelines.attempts import perform, probe
from pipelines.call_faults import rest_s, stop_for_good, story_of
from pipelines.stages import NARROWS
from pipelines.tasks import Context, RowFilter, Task
from shards.errors import BrokenRunError
from shards.parts import Record
from shards.storage import put_whole, told_place

MAX_TRIES = 3
"""How often a part may fail by a fault of its own."""

MAX_POISON_ROWS = 100
MAX_SPOILED_PARTS = 10
"""So many parts of a step in a row with rows set aside, and none without: the fault is not the rows'."""

_DEAD = "dead"
Faults = dict[int, tuple[str, str]]
"""Row -> its drop reason, and the story of its fault."""


@dataclass
class Narrowing:
    """Deals with parts that failed too often. `call` waits for a call's end and gives its result or its fault."""

    context: Context
    call: Callable[..., tuple[Any, Exception | None]]
    note: Callable[[str], None]
    num_dead: int = 0
    _num_spoiled: int = 0

    def begin_step(self) -> None:
        """Another step's parts may be spoiled by other rows."""
        self._num_spoiled = 0

    def went_well(self) -> None:
        """A part was made as it is: the fault of those before was their rows'."""
        self._num_spoiled = 0

    def set_aside(self, task: Task, error: Exception) -> Record:
        """The record of the part, committed without the rows that fail whatever is tried, which are kept in `dead/`.

        Raises `BrokenRunError` where the fault is not the rows'.
        """
        if task.step not in NARROWS or task.num_rows is None:
            raise self._not_narrowed(task, error) from error
        self._stop_where_all_spoil(task, error)
        faults: Faults = {}
        self._narrow(task, 0, task.num_rows, faults)
        if len(faults) == task.num_rows > 1:
            raise BrokenRunError(f"{task.step} part {task.index}: every row fails, so the fault is not theirs: {error}")
        self.note(f"{task.step} part {task.index}: {len(faults)} rows set aside in {_DEAD}/")
        reasons = {row: reason for row, (reason, _) in faults.items()}
        record, fault = self.call(perform, task, self.context, RowFilter(skip=reasons))
        if fault is not None:
            raise fault
        self._bury(task, faults)
        made: Record = record
        return made

    def _not_narrowed(self, task: Task, error: Exception) -> BrokenRunError:
        """No row can be blamed: the fault's story is kept, and the run ends."""
        story = self.context.run / _DEAD / f"{task.step}-{task.index:06d}.txt"
        story.parent.mkdir(exist_ok=True)
        put_whole(story, story_of(error)[1].encode())
        return BrokenRunError(
            f"{task.step} part {task.index} failed {MAX_TRIES} times: {error} (the whole story: {told_place(story)})"
        )

    def _stop_where_all_spoil(self, task: Task, error: Exception) -> None:
        self._num_spoiled += 1
        if self._num_spoiled > MAX_SPOILED_PARTS:
            raise BrokenRunError(
                f"{task.step}: {MAX_SPOILED_PARTS} parts in a row had rows to set aside, and part {task.index} fails, "
                f"too; so the fault is not the rows': {error}. Mend it, then run again: it resumes"
            ) from error

    def _narrow(self, task: Task, start: int, stop: int, faults: Faults) -> None:
        if start >= stop:
            return
        _, fault = self.call(probe, task, self.context, RowFilter(only=(start, stop)))
        if fault is None:
            return
        stop_for_good(fault)
        if len(faults) >= MAX_POISON_ROWS:
            raise BrokenRunError(
                f"{task.step} part {task.index}: more than {MAX_POISON_ROWS} rows fail, so the fault is not theirs"
            ) from fault
        if stop - start == 1:
            faults[start] = story_of(fault)
            return
        time.sleep(rest_s(task, fault))
        middle = (start + stop) // 2
        self._narrow(task, start, middle, faults)
        self._narrow(task, middle, stop, faults)

    def _bury(self, task: Task, faults: Faults) -> None:
        folder = self.context.run / _DEAD
        folder.mkdir(exist_ok=True)
        for row, (_, story) in sorted(faults.items()):
            grave = {"step": task.step, "part": task.index, "row": row, "fault": story}
            name = f"{task.step}-{task.index:06d}-{row:08d}.json"
            put_whole(folder / name, json.dumps(grave, ensure_ascii=False, indent=1).encode())
        self.num_dead += len(faults)
