"""A source looked at in part: its first rows, whatever the workers, and a share of its images, whatever the order.

A limit counts rows as the source gives them; a sample then takes of these rows the images whose uids are drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from pipelines.tasks import Batch, Flow, Task
from shards.draws import below_share, draws_of
from shards.parts import fingerprint

MOST_ROWS = "most_rows"
"""In a task's inputs: how many rows of its piece a limit leaves it."""

NUM_READ = "read"
"""In a record's facts, where a limit stands: the rows that were read, before a sample was taken of them."""

_DRAW = "source sample"


@dataclass(frozen=True)
class Piece:
    """What one part reads of a source. `num_rows` is None where nobody knows before it is read."""

    inputs: dict[str, Any]
    key: object
    num_rows: int | None = None
    lane: int | None = None


@dataclass(frozen=True)
class Planner:
    """Makes a step's tasks out of pieces; `mark` is what their fingerprints share, as (code version, settings)."""

    step: str
    mark: tuple[int, object]
    longest: int
    """Rows that a piece of unknown length may hold, for narrowing it."""

    def task(self, index: int, piece: Piece) -> Task:
        """The task that reads a piece whole."""
        made = fingerprint(self.step, *self.mark, piece.key)
        return Task(self.step, index, made, piece.inputs, piece.num_rows or self.longest, piece.lane)

    def limited(self, index: int, piece: Piece, most_rows: int) -> Task:
        """The task that reads a piece's first rows; of a piece that has no more, the task that reads it whole."""
        if piece.num_rows is not None and piece.num_rows <= most_rows:
            return self.task(index, piece)
        inputs = {**piece.inputs, MOST_ROWS: most_rows}
        task = self.task(index, replace(piece, inputs=inputs, key=[piece.key, {MOST_ROWS: most_rows}]))
        return replace(task, num_rows=min(most_rows, task.num_rows or most_rows))


def batches(flow: Flow, planner: Planner, pieces: Iterator[Piece], limit: int | None) -> Iterator[Batch]:
    """All pieces side by side; with a limit, as many as it takes, and no piece is looked for that it does not take.

    Pieces whose rows are known run side by side then, too; where one ends the others cannot be told, it is waited for.
    """
    if limit is None:
        yield Batch(planner.step, tuple(planner.task(index, piece) for index, piece in enumerate(pieces)))
        return
    left, tasks = limit, list[Task]()
    for index, piece in enumerate(pieces):
        task = planner.limited(index, piece, left)
        tasks.append(task)
        if piece.num_rows is not None:
            left -= min(left, piece.num_rows)
        else:
            yield Batch(planner.step, tuple(tasks))
            left -= int(flow.context.record(task.ref).meta[NUM_READ])
            tasks = []
        if left <= 0:
            break
    if tasks:
        yield Batch(planner.step, tuple(tasks))


def first_rows(rows: Iterator[pa.RecordBatch], most: int | None) -> Iterator[pa.RecordBatch]:
    """The first `most` rows; what comes behind them is not read."""
    if most is None:
        yield from rows
        return
    for batch in rows:
        yield batch.slice(0, most)
        most -= batch.num_rows
        if most <= 0:
            return


def sampled(rows: pa.Table, uids: pa.Array, share: float) -> pa.Table:
    """The rows of the images that a sample of this share draws, by their uids alone: all rows of an image, or none."""
    if share >= 1 or not rows.num_rows:
        return rows
    return rows.filter(pa.array(below_share(draws_of(uids, _DRAW), share)))
