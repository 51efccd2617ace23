"""One attempt at a task, in the process that runs it: do the work, publish its files, commit the record."""

from pipelines.stages import WORK
from pipelines.stages_again import WORK_AGAIN
from pipelines.tasks import Context, Job, Outcome, RowFilter, Task, lane_memory
from shards.lease import holds
from shards.parts import Attempt, PartFile, Record, StepFolder
from shards.storage import disk_faults


def perform(task: Task, context: Context, rows: RowFilter | None = None) -> Record:
    """Make one part and commit it; returns the winning record, which may be another attempt's."""
    with context.on_this_node() as here:
        folder = here.folder(task.step)
        outcome, files = _made(task, here, folder, rows or RowFilter())
        counts = dict(sorted(outcome.counts.items()))
        record = Record(task.step, task.index, task.fingerprint, files, outcome.rows, counts, outcome.meta)
        return folder.commit(record, may_commit=lambda: holds(here.run, here.token))


def _made(task: Task, context: Context, folder: StepFolder, rows: RowFilter) -> tuple[Outcome, tuple[PartFile, ...]]:
    """The work's outcome, and its files, published."""
    attempt, memory = Attempt(folder, task.index), lane_memory(task)
    try:
        with disk_faults(folder.path):
            if memory is not None:
                folder.borrow(memory)
            outcome = _work(Job(task, context, attempt, rows))
            if memory is not None:
                folder.lend(memory)
            return outcome, attempt.publish()
    finally:
        attempt.discard()


def probe(task: Task, context: Context, rows: RowFilter) -> None:
    """Do the work on some rows and throw the result away: it raises or dies, or these rows are innocent."""
    with context.on_this_node() as here:
        attempt = Attempt(here.folder(task.step), task.index)
        try:
            _work(Job(task, here, attempt, rows))
        finally:
            attempt.discard()


def _work(job: Job) -> Outcome:
    return (WORK if job.context.below is None else WORK_AGAIN)[job.task.step](job)
