"""How far a run has come, read from its folder: parts, rows and reasons of each stage, and who works on it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.stages import STAGES
from shards.catalog import planned_parts
from shards.lease import Holder, holder_of
from shards.parts import Record, StepFolder
from shards.storage import bring_up_to_date

State = Literal["done", "running", "stopped"]

_SEAL = "SHA256SUMS"
_STANDING = ("standing", "kept")
"""What records call rows that go on; all other counts are of rows that fell."""


@dataclass(frozen=True)
class StageStanding:
    """A stage's parts, planned and committed, and what became of the rows of the committed ones."""

    name: str
    planned: int
    committed: int
    rows: int
    standing: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class RunStanding:
    """A run at one moment. `holder` is the process that works on it, if any does."""

    state: State
    holder: Holder | None
    stages: tuple[StageStanding, ...]

    def as_json(self) -> dict[str, Any]:
        """What programs read: the state, the process, and a list of stages."""
        process = {"pid": self.holder.pid, "host": self.holder.host} if self.holder else None
        return {"state": self.state, "process": process, "stages": [vars(stage) for stage in self.stages]}


@dataclass
class _Counted:
    """The records of one step that were read already, added up."""

    parts: set[tuple[int, str]] = field(default_factory=set)
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """A record's rows, but for the seal's: it counts those of the files before it once more."""
        if all(file.name != _SEAL for file in record.files):
            self.rows += record.rows
            self.counts.update(record.counts)


class StandingReader:
    """Reads one run again and again, each record once."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._counted: dict[str, _Counted] = {}

    def read(self) -> RunStanding:
        """Where the run stands now."""
        bring_up_to_date(self._run)
        planned = planned_parts(self._run)
        stages = tuple(self._stage(stage.name, planned[stage.name]) for stage in STAGES if stage.name in planned)
        holder = holder_of(self._run)
        state: State = "running" if holder else "done" if self._is_released(stages) else "stopped"
        return RunStanding(state, holder, stages)

    def _is_released(self, stages: tuple[StageStanding, ...]) -> bool:
        is_whole = any(stage.name == "release" and 0 < stage.planned == stage.committed for stage in stages)
        return is_whole and (self._run / "release" / "stats.json").is_file()

    def _stage(self, step: str, parts: list[tuple[int, str]]) -> StageStanding:
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
        return StageStanding(step, len(parts), len(done), counted.rows, standing, dict(sorted(dropped.items())))
