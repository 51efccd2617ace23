"""What the runner plans and a worker does: a task makes one part of one step, from parts that are committed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from filters.rules import PlacedRule
from pipelines.recipe import Recipe
from shards.parts import Attempt, Record, StepFolder, fingerprint
from shards.parts_over import FolderOver
from shards.stores.mirrors import open_mirror

ALWAYS_MADE = frozenset({"select", "select-order", "release"})
"""Steps whose parts show the columns of one recipe alone: a release that is decided again has its own."""


@dataclass(frozen=True)
class PartRef:
    """A committed part as an input: enough to find its record."""

    step: str
    index: int
    fingerprint: str


@dataclass(frozen=True)
class Task:
    """One part to make. Tasks that share a `lane` never run at the same time.

    `cpus` is the share of a CPU that it can use, `gpus` of a GPU where the pool has any, or, if it `needs_gpu`,
    once a cluster has one; `remaining_s` what its lane takes from here on, the longest first. None of them reaches a
    result.
    """

    step: str
    index: int
    fingerprint: str
    inputs: dict[str, Any] = field(default_factory=dict)
    num_rows: int | None = None
    lane: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    needs_gpu: bool = False
    remaining_s: float = 0.0

    @property
    def ref(self) -> PartRef:
        return PartRef(self.step, self.index, self.fingerprint)


def lane_memory(task: Task) -> str | None:
    """The file of a step's folder in which a lane of downloads keeps, part after part, what it learned of its hosts."""
    return f".lane-{task.lane:05d}.jsonl" if task.step == "fetch" and task.lane is not None else None


@dataclass(frozen=True)
class Batch:
    """Tasks of one step that may run side by side; the next batch is planned when all are committed.

    `kept` are parts of earlier plans that hold rows of this one too.
    """

    step: str
    tasks: tuple[Task, ...]
    kept: tuple[PartRef, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a run decides from: the recipe, its placed rules and the measures they need."""

    recipe: Recipe
    rules: tuple[PlacedRule, ...]
    measures: tuple[str, ...]

    def rules_at(self, *stages: str) -> tuple[PlacedRule, ...]:
        """The rules placed at these stages, in order of judgement."""
        return tuple(rule for stage in stages for rule in self.rules if rule.stage == stage)

    @property
    def scores(self) -> bool:
        """Whether any rule or measure needs the model."""
        return "clip_score" in self.measures

    @property
    def embeds(self) -> bool:
        """Whether embeddings of images are kept."""
        score = self.recipe.score
        return "sem_dup_cos" in self.measures or (score is not None and score.embeddings)

    @property
    def finds_duplicates(self) -> bool:
        return "dup_group" in self.measures


@dataclass(frozen=True)
class Context:
    """What every task of a run needs. It travels to workers; `token` shows that the run still owns its folder.

    `fetch_ends` is when `crawler.deadline_h` runs out, in seconds since the epoch. `below` is the run that is decided
    again here: it is only read, and nothing is fetched, measured or scored. `url` is where the run lies, if that is an
    object store: then `run` is this node's mirror of it.
    """

    run: Path
    plan: Plan
    token: str
    fetch_ends: float | None = None
    below: Path | None = None
    writes_shards: bool = True
    url: str | None = None

    @contextmanager
    def on_this_node(self) -> Iterator["Context"]:
        """The context as a worker works by it: of a run on a store, this node's mirror, where what is brought stays."""
        if self.url is None:
            yield self
            return
        mirror = open_mirror(self.url)
        mirror.begin(self.token)
        with mirror.scratch.using():
            yield replace(self, run=mirror.root)

    def folder(self, step: str) -> StepFolder:
        if self.below is None or step in ALWAYS_MADE:
            return StepFolder(self.run, step)
        return FolderOver(self.run, step, self.below)

    def record(self, ref: PartRef) -> Record:
        return self.folder(ref.step).record(ref.index, ref.fingerprint)

    def path(self, ref: PartRef, role: str = "rows") -> Path:
        """The committed file of `role` of an input part."""
        return self.folder(ref.step).file(self.record(ref), role)


@dataclass(frozen=True)
class RowFilter:
    """Which of a task's rows an attempt works on, by place in its input.

    `skip` gives the reason of each row that is set aside; `only` is a range that is tried while a part is narrowed.
    """

    skip: dict[int, str] = field(default_factory=dict)
    only: tuple[int, int] | None = None


@dataclass(frozen=True)
class Outcome:
    """What a part's record will say beside its files."""

    rows: int
    counts: dict[str, int] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One attempt at a task, as its work function sees it."""

    task: Task
    context: Context
    attempt: Attempt
    rows: RowFilter = field(default_factory=RowFilter)

    @property
    def recipe(self) -> Recipe:
        return self.context.plan.recipe

    @property
    def plan(self) -> Plan:
        return self.context.plan

    def path(self, name: str, role: str = "rows") -> Path:
        """The file of the single input part called `name`."""
        return self.context.path(self.task.inputs[name], role)

    def paths(self, name: str, role: str = "rows") -> list[Path]:
        """The files of a list of input parts."""
        return [self.context.path(ref, role) for ref in self.task.inputs[name]]


Work = Callable[[Job], Outcome]


class Flow:
    """The plan of a run as it unfolds: what each finished step made, for the steps after it to build on."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._tasks: dict[str, tuple[Task, ...]] = {}

    @property
    def plan(self) -> Plan:
        return self.context.plan

    @cached_property
    def recipe(self) -> Recipe:
        return self.plan.recipe

    def finish(self, batch: Batch) -> None:
        """Note that every part of a batch is committed. Batches of one step add up."""
        self._tasks[batch.step] = (*self._tasks.get(batch.step, ()), *batch.tasks)

    def tasks(self, step: str) -> tuple[Task, ...]:
        return self._tasks.get(step, ())

    def refs(self, step: str) -> list[PartRef]:
        return [task.ref for task in self.tasks(step)]

    def records(self, step: str) -> Iterator[Record]:
        refs = self.refs(step)
        self.context.folder(step).expect((ref.index, ref.fingerprint) for ref in refs)
        return (self.context.record(ref) for ref in refs)

    def chain(self, *steps: str) -> str:
        """One fingerprint over all parts of some steps."""
        return fingerprint([[task.fingerprint for task in self.tasks(step)] for step in steps])

    def rows(self, step: str) -> int:
        """Rows in all parts of a step, by their records."""
        return sum(record.rows for record in self.records(step))


def tasks_of(
    step: str, code_version: int, settings: object, inputs: Sequence[dict[str, Any]], keys: Sequence[object]
) -> Batch:
    """A batch of one task per entry of `inputs`; `keys` say what each entry is, for its fingerprint."""
    tasks = tuple(
        Task(step, index, fingerprint(step, code_version, settings, key), inputs=given)
        for index, (given, key) in enumerate(zip(inputs, keys, strict=True))
    )
    return Batch(step, tasks)


def with_rows(task: Task, num_rows: int) -> Task:
    return replace(task, num_rows=num_rows)


def buckets_for(rows: int, rows_per_bucket: int = 1_000_000) -> int:
    """How many buckets a global stage cuts its keys into: fixed by the data, never by the cluster."""
    return max(1, -(-rows // rows_per_bucket))
