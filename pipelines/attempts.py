"""One attempt at a task, in the process that runs it: do the work, publish its files, commit the record."""

from pipelines.stages import WORK
from pipelines.stages_again import WORK_AGAIN
from pipelines.tasks import Context, Job, Outcome, RowFilter, Task
from shards.lease import holds
from shards.parts import Attempt, Record
from shards.storage import disk_faults


def perform(task: Task, context: Context, rows: RowFilter | None = None) -> Record:
    """Make one part and commit it; returns the winning record, which may be another attempt's."""
    folder = context.folder(task.step)
    attempt = Attempt(folder, task.index)
    try:
        with disk_faults(folder.path):
            outcome = _work(Job(task, context, attempt, rows or RowFilter()))
            files = attempt.publish()
    finally:
        attempt.discard()
    record = Record(
        task.step, task.index, task.fingerprint, files, outcome.rows, dict(sorted(outcome.counts.items())), outcome.meta
    )
    return folder.commit(record, may_commit=lambda: holds(context.run, context.token))


def probe(task: Task, context: Context, rows: RowFilter) -> None:
    """Do the work on some rows and throw the result away: it raises or dies, or these rows are innocent."""
    attempt = Attempt(context.folder(task.step), task.index)
    try:
        _work(Job(task, context, attempt, rows))
    finally:
        attempt.discard()


def _work(job: Job) -> Outcome:
    return (WORK if job.context.below is None else WORK_AGAIN)[job.task.step](job)
