"""How far a run has come, read from its folder: parts, rows, reasons and tries of each stage, and who works on it."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.flow.score import WORKED
from pipelines.stages import STAGES
from pipelines.tries import read_tries
from shards.catalog import planned_parts
from shards.lease import Holder, holder_of
from shards.parts import Record, StepFolder
from shards.storage import bring_up_to_date

State = Literal["done", "running", "stopped"]

_SEAL = "SHA256SUMS"
_STANDING = ("standing", "kept")
"""What records call rows that go on; all other counts are of rows that fell."""


@dataclass(frozen=True)
class Worked:
    """What the committed parts of a stage took on one kind of device, and how long their model had work meanwhile."""

    busy_s: float
    seconds: float


@dataclass(frozen=True)
class StageStanding:
    """A stage's parts, planned and committed, and what became of the rows of the committed ones.

    `retries` are attempts at parts beyond the first, by cause, those of auxiliary steps too; `worked` is by device.
    """

    name: str
    planned: int
    committed: int
    rows: int
    standing: int
    dropped: dict[str, int]
    retries: dict[str, int] = field(default_factory=dict)
    worked: dict[str, Worked] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """`worked` only of stages with a model."""
        told = asdict(self)
        return told if self.worked else {name: value for name, value in told.items() if name != "worked"}


@dataclass(frozen=True)
class RunStanding:
    """A run at one moment. `holder` is the process that works on it, if any does."""

    state: State
    holder: Holder | None
    stages: tuple[StageStanding, ...]

    def as_json(self) -> dict[str, Any]:
        """What programs read: the state, the process, and a list of stages."""
        process = {"pid": self.holder.pid, "host": self.holder.host} if self.holder else None
        return {"state": self.state, "process": process, "stages": [stage.as_json() for stage in self.stages]}


@dataclass
class _Counted:
    """The records of one step that were read already, added up."""

    parts: set[tuple[int, str]] = field(default_factory=set)
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    worked: dict[str, Worked] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """A record's rows, but for the seal's: it counts those of the files before it once more."""
        if all(file.name != _SEAL for file in record.files):
            self.rows += record.rows
            self.counts.update(record.counts)
        told = record.meta.get(WORKED)  # none in records of before
        if isinstance(told, dict):
            before = self.worked.get(told["device"], Worked(0.0, 0.0))
            worked = Worked(before.busy_s + told["busy_s"], before.seconds + told["seconds"])
            self.worked = {**self.worked, told["device"]: worked}


class StandingReader:
    """Reads one run again and again, each record once."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._counted: dict[str, _Counted] = {}

    def read(self) -> RunStanding:
        """Where the run stands now."""
        bring_up_to_date(self._run)
        planned, tries = planned_parts(self._run), read_tries(self._run)
        stages = tuple(
            self._stage(stage.name, planned[stage.name], tries.get(stage.name, {}))
            for stage in STAGES
            if stage.name in planned
        )
        holder = holder_of(self._run)
        state: State = "running" if holder else "done" if self._is_released(stages) else "stopped"
        return RunStanding(state, holder, stages)

    def _is_released(self, stages: tuple[StageStanding, ...]) -> bool:
        is_whole = any(stage.name == "release" and 0 < stage.planned == stage.committed for stage in stages)
        return is_whole and (self._run / "release" / "stats.json").is_file()

    def _stage(self, step: str, parts: list[tuple[int, str]], retries: dict[str, int]) -> StageStanding:
        folder = StepFolder(self._run, step)
        done = folder.committed() & {(index, mark[:8]) for index, mark in parts}
        counted = self._counted.setdefault(step, _Counted())
        if not counted.parts <= done:  # another plan: what it does not name is not counted
            counted = self._counted[step] = _Counted()
        for index, digits in sorted(done - counted.parts):
            counted.add(folder.record(index, digits))
        counted.parts = done
        dropped = {reason: number for reason, number in counted.counts.items() if reason not in _STANDING}
        standing = sum(counted.counts[name] for name in _STANDING)
        dropped = dict(sorted(dropped.items()))
        return StageStanding(
            step, len(parts), len(done), counted.rows, standing, dropped, dict(sorted(retries.items())), counted.worked
        )
