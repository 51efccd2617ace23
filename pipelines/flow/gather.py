"""Samples gathered in order of uid before select decides, once: another rule over scores brings nothing here anew.

Rules then read the columns that they name; what none names is read once more, where the fate of samples is written.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.final import selected_rows
from pipelines.flow.rows import put
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, uid_words
from pipelines.flow.taken_down import not_fallen_twice
from pipelines.tasks import Batch, Flow, Job, Outcome, Task, buckets_for
from shards.parts import fingerprint
from shards.tables import TableWriter, iter_batches, read_rows

_VERSION = 1
_BUCKET_ROWS = 500_000
"""Samples of one uid range: they lie in memory at once, and a sample takes some 800 bytes."""

GATHERED_ROWS = 32_768
"""Rows of a row group here and in what is judged of them: they are read side by side, a few groups at a time."""


def steps(flow: Flow) -> Iterator[Batch]:
    """Sort what was scored into ranges of uid as admit made them, or finer ones; bring in what fell at admit."""
    before = "score" if flow.tasks("score") else "dedup"
    admitted = flow.tasks("admit")
    finer = buckets_for(flow.rows("admit"), _BUCKET_ROWS * len(admitted))
    buckets = finer * len(admitted)
    groups = list(grouped_by_rows(flow.tasks(before), [record.rows for record in flow.records(before)]))
    shuffles = tuple(
        Task(
            "select-shuffle",
            place,
            fingerprint("select-shuffle", _VERSION, buckets, [task.fingerprint for task in group]),
            {
                "parts": [task.ref for task in group],
                "fetched": [task.inputs["fetched"] for task in group],
                "buckets": buckets,
            },
        )
        for place, group in enumerate(groups)
    )
    yield Batch("select-shuffle", shuffles)
    shared = {"shuffled": flow.refs("select-shuffle"), "buckets": buckets}
    chain = flow.chain("select-shuffle")
    ranges = tuple(
        Task(
            "select-rows",
            bucket,
            fingerprint("select-rows", _VERSION, bucket, chain, admitted[bucket // finer].fingerprint),
            {**shared, "admit": admitted[bucket // finer].ref, "bucket": bucket},
        )
        for bucket in range(buckets)
    )
    yield Batch("select-rows", ranges)


def shuffle(job: Job) -> Outcome:
    """Some parts' samples with where their copies lie, a row group for each range of uids."""
    buckets = job.task.inputs["buckets"]
    tables = [_by_uid(_with_place(path, job, number)) for number, path in enumerate(job.paths("parts"))]
    edges = [np.searchsorted(bucket_of_uids(table["uid"], buckets), np.arange(buckets + 1)) for table in tables]
    with TableWriter(job.attempt.path("rows", "parquet"), tables[0].schema, read_once=True) as writer:
        for bucket in range(buckets):
            pairs = zip(tables, edges, strict=True)
            pieces = [table.slice(ends[bucket], ends[bucket + 1] - ends[bucket]) for table, ends in pairs]
            writer.write_row_group(pa.concat_tables(pieces).combine_chunks())
    return Outcome(writer.num_rows)


def _with_place(path: Path, job: Job, number: int) -> pa.Table:
    table = read_rows(path)
    fetched = job.task.inputs["fetched"][number]
    table = put(table, "fetch_index", pa.array(np.full(table.num_rows, fetched.index, np.int32)))
    return put(table, "fetch_fingerprint", pa.array([fetched.fingerprint] * table.num_rows, pa.string()))


def _by_uid(table: pa.Table) -> pa.Table:
    order = _order_of_uids(table)
    return table if (order[1:] > order[:-1]).all() else table.take(pa.array(order))


def _order_of_uids(table: pa.Table) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    words = uid_words(table["uid"])
    return np.lexsort((words[:, 1], words[:, 0]))


def gather(job: Job) -> Outcome:
    """One range of uids in order: what came to be judged by select, and what fell at admit."""
    shuffled, bucket = job.paths("shuffled"), job.task.inputs["bucket"]
    fallen = _fallen(job)
    table = read_bucket(shuffled, bucket) if shuffled else fallen
    if shuffled:
        fallen = selected_rows(fallen, table.schema)
        table = pa.concat_tables([not_fallen_twice(fallen, table), fallen])
    order = _order_of_uids(table)
    table = _whole(table)
    with TableWriter(job.attempt.path("rows", "parquet"), table.schema, read_once=True) as writer:
        for start in range(0, table.num_rows, GATHERED_ROWS):
            writer.write(table.take(pa.array(order[start : start + GATHERED_ROWS])))
    return Outcome(table.num_rows)


def _fallen(job: Job) -> pa.Table:
    """The samples of the range that fell at admit."""
    path, bucket, buckets = job.path("admit"), job.task.inputs["bucket"], job.task.inputs["buckets"]
    found = [pa.Table.from_batches([batch]) for batch in iter_batches([path])] or [read_rows(path)]
    for place, table in enumerate(found):
        is_here = pa.array(bucket_of_uids(table["uid"], buckets) == bucket)
        found[place] = table.filter(pc.and_(pc.is_valid(table["drop_reason"]), is_here))
    return pa.concat_tables(found)


def _whole(table: pa.Table) -> pa.Table:
    """Each column in one piece, one after another: both forms of a whole table would be twice the memory."""
    schema = table.schema
    columns = []
    while table.num_columns:
        columns.append(table.column(0).combine_chunks())
        table = table.remove_column(0)
    return pa.Table.from_arrays(columns, schema=schema)
