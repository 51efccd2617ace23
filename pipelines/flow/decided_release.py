"""The manifest of a decision in one pass: a range of samples is read once, for its kept files and its dropped one."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.flow.manifest_files import (
    dropped_name,
    dropped_rows,
    kept_name,
    manifest_columns,
    manifest_rows,
    placed_rows,
    rows_of_ranks,
    write_manifest,
)
from pipelines.flow.verdicts import decided_parts
from pipelines.tasks import Job, Outcome

DECIDED = "decided"
"""The kind of a release's task that writes the files of one range."""


def decided_ranges(runs: Sequence[dict[str, Any]], num_ranges: int) -> Iterator[dict[str, Any]]:
    """What each range's task has to do: the runs of kept samples that begin in it, and what fell in it."""
    counts = runs[0]["kept"] if runs else [0] * num_ranges
    firsts = list(accumulate(counts, initial=0))
    for file, (first, stop) in enumerate(pairwise(firsts)):
        begun = [run for run in runs if first <= run["start"] < stop]
        yield {"kind": DECIDED, "file": file, "runs": begun, "first": first, "kept": counts}


def write_decided(job: Job) -> Outcome:
    """The files of the kept samples that begin in one range, and the file of what fell in it."""
    kept, file = _KeptFiles(job), job.task.inputs["file"]
    fallen = _fallen(job, kept)
    num_dropped = 0
    if job.recipe.release.dropped == "none":
        deque(fallen, maxlen=0)
    else:
        tables = (dropped_rows(job, table) for table in fallen)
        num_dropped = write_manifest(job, dropped_name(file), tables, dropped_name(file))
    kept.finish()
    return Outcome(kept.num_written + num_dropped, {"kept": kept.num_written, "dropped": num_dropped})


def _fallen(job: Job, kept: "_KeptFiles") -> Iterator[pa.Table]:
    """What fell in the range; who is kept goes by the way into files of its own."""
    part = list(decided_parts(job).values())[job.task.inputs["file"]]
    for standing, fallen in part.both(manifest_columns(job.plan)):
        for table in standing:
            kept.add(table)
        yield from fallen


class _KeptFiles:
    """Files of kept samples that come in order of their ranks, each written when its last one is there."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._runs = deque(job.task.inputs["runs"])
        self._rank = job.task.inputs["first"]
        self._pieces: deque[tuple[int, pa.Table]] = deque()
        self.num_written = 0

    def add(self, table: pa.Table) -> None:
        """Take the next samples; those before the first run are another range's."""
        self._pieces.append((self._rank, table))
        self._rank += table.num_rows
        while self._runs and self._runs[0]["stop"] <= self._rank:
            self._write(self._runs.popleft())
        while self._pieces and self._is_done_with(*self._pieces[0]):
            self._pieces.popleft()

    def _is_done_with(self, rank: int, table: pa.Table) -> bool:
        return not self._runs or rank + table.num_rows <= self._runs[0]["start"]

    def finish(self) -> None:
        """Write the run that ends in a later range."""
        if self._runs:
            for table in rows_of_ranks(self._job, np.arange(self._rank, self._runs[0]["stop"])):
                self.add(table)

    def _write(self, run: dict[str, Any]) -> None:
        start, stop = run["start"], run["stop"]
        tables = [table[max(0, start - rank) : max(0, stop - rank)] for rank, table in self._pieces]
        rows = placed_rows(self._job, pa.concat_tables(tables), run["split"], start, stop)
        name = kept_name(run["file"])
        self.num_written += write_manifest(self._job, name, [manifest_rows(rows, self._job.plan)], name)
