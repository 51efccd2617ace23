"""Who is near whom: distinct hashes by range, near pairs table by table, leaders, and each sample's group.

Hashes are cut into ranges, and samples without a hash lie with equal stored bytes. A task of the join holds one range
of one table's cells; only near pairs come together in one task.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.groups import DISTINCT, HASHED, LED, distinct_hashes, groups_of, led_hashes
from dedup.hamming import Join, pairs_in_table, plan_join
from dedup.hash_file import sha256_heads
from pipelines.flow import known_sets
from pipelines.flow.cells import HASH_BITS, num_parts, read_cells
from pipelines.flow.measure import INFORMATIVE
from pipelines.flow.rows import standing
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, buckets_for, tasks_of
from shards.tables import TableWriter, iter_batches, read_rows, write_table

_VERSION = 1
_MEASURED = ["uid", "phash", INFORMATIVE, "sha256", "stored_sha256", "original_width", "original_height", "drop_reason"]
_PAIRS = pa.schema([("one", pa.uint64()), ("other", pa.uint64())])


def steps(flow: Flow) -> Iterator[Batch]:
    """`dedup-groups` in the end: for each range a file with a row group for each measure part."""
    rows = [record.rows for record in flow.records("measure")]
    buckets = buckets_for(sum(rows))
    places = list(range(len(rows)))
    groups = list(grouped_by_rows(places, rows))
    measured = flow.refs("measure")
    given = [
        {"measured": [measured[place] for place in group], "first": group[0], "buckets": buckets} for group in groups
    ]
    keys = [[measured[place].fingerprint for place in group] for group in groups]
    yield tasks_of("dedup-shuffle", _VERSION, buckets, given, keys)
    ranges: list[object] = list(range(buckets))
    by_range = [{"shuffled": flow.refs("dedup-shuffle"), "bucket": bucket} for bucket in range(buckets)]
    yield tasks_of("dedup-distinct", _VERSION, flow.chain("dedup-shuffle"), by_range, ranges)
    yield _near_batch(flow)
    sets = known_sets.known_sets(flow.recipe.dedup)
    yield known_sets.read_batch(flow, sets)
    yield known_sets.match_batch(flow)
    distinct = flow.refs("dedup-distinct")
    inputs = {"near": flow.refs("dedup-near"), "distinct": distinct}
    yield tasks_of("dedup-leaders", _VERSION, flow.chain("dedup-near"), [inputs], [0])
    led = flow.refs("dedup-leaders")[0]
    shared = {"led": led, "parts": len(rows), "sets": sets}
    shared |= {"known": flow.refs("dedup-known"), "matched": flow.refs("dedup-match")}
    given = [one | shared | {"distinct": distinct[bucket]} for bucket, one in enumerate(by_range)]
    names = [[known.column, known.name] for known in sets]
    settings = [names, flow.chain("dedup-leaders", "dedup-shuffle", "dedup-known", "dedup-match")]
    yield tasks_of("dedup-groups", _VERSION, settings, given, ranges)


def _near_batch(flow: Flow) -> Batch:
    """One task for each table of the join and each range of its cells."""
    num = sum(record.rows for record in flow.records("dedup-distinct"))
    plan = plan_join(HASH_BITS, flow.recipe.dedup.distance, num)
    ranges = num_parts(num)
    parts = [(table, number) for table in range(len(plan.tables)) for number in range(ranges)]
    distinct = flow.refs("dedup-distinct")
    given = [{"distinct": distinct, "plan": plan, "table": table, "part": (number, ranges)} for table, number in parts]
    settings = [plan.distance, num, plan.agreeing, ranges, flow.chain("dedup-distinct")]
    return tasks_of("dedup-near", _VERSION, settings, given, parts)


def shuffle(job: Job) -> Outcome:
    """What the join needs of the standing samples of some measure parts, by range of hash or of stored bytes."""
    tables = []
    for place, path in enumerate(job.paths("measured"), job.task.inputs["first"]):
        rows = standing(read_rows(path, _MEASURED))
        table = pa.table(
            {
                "uid": rows["uid"],
                "phash": pc.if_else(rows[INFORMATIVE], rows["phash"], pa.scalar(None, pa.uint64())),
                "stored_sha256": rows["stored_sha256"],
                "sha256_head": _heads(rows["sha256"]),
                "pixels": pc.multiply(
                    rows["original_width"].cast(pa.int64()), rows["original_height"].cast(pa.int64())
                ),
                "part": pa.array(np.full(rows.num_rows, place, np.int32)),
            }
        )
        tables.append(table)
    table = pa.concat_tables(tables)
    buckets = job.task.inputs["buckets"]
    write_buckets(job.attempt.path("rows", "parquet"), table, _ranges_of(table, buckets), buckets)
    return Outcome(table.num_rows)


def _heads(digests: pa.ChunkedArray) -> pa.Array:
    """uint64, null where the digest is."""
    valid = digests.is_valid().to_numpy()
    heads = np.zeros(len(digests), np.uint64)
    heads[valid] = sha256_heads(digests.drop_null())
    return pa.array(heads, mask=~valid)


def _ranges_of(table: pa.Table, num_ranges: int) -> npt.NDArray[np.int64]:
    """Range after range hashes rise; without a hash the stored bytes decide, without those the uid."""
    hashes = pc.fill_null(table["phash"], 0).to_numpy()
    ranges = ((hashes >> np.uint64(32)) * np.uint64(num_ranges)) >> np.uint64(32)
    unhashed = np.flatnonzero(pc.is_null(table["phash"]).to_numpy())
    names = pc.utf8_slice_codeunits(pc.coalesce(table["stored_sha256"], table["uid"]), 0, 32)
    ranges[unhashed] = bucket_of_uids(names.take(pa.array(unhashed)), num_ranges)
    return np.asarray(ranges, np.int64)


def distinct(job: Job) -> Outcome:
    """One range's hashes, each with the best of its images."""
    rows = read_bucket(job.paths("shuffled"), job.task.inputs["bucket"], HASHED.names)
    found = distinct_hashes(rows)
    write_table(job.attempt.path("rows", "parquet"), found.cast(DISTINCT))
    return Outcome(found.num_rows)


def near(job: Job) -> Outcome:
    """Near pairs that one table's cells, or a range of them, tell."""
    plan: Join = job.task.inputs["plan"]
    table, part = job.task.inputs["table"], job.task.inputs["part"]
    words = read_cells(plan, table, part, job.paths("distinct"))
    with TableWriter(job.attempt.path("rows", "parquet"), _PAIRS, read_once=True) as writer:
        for found in pairs_in_table(plan, table, words):
            one, other = np.ascontiguousarray(found[:, 0, 0]), np.ascontiguousarray(found[:, 1, 0])
            writer.write(pa.table({"one": one, "other": other}, schema=_PAIRS))
    return Outcome(writer.num_rows)


def leaders(job: Job) -> Outcome:
    """Who leads each hash that is near another. Holds the near pairs, and what they need to know of their hashes."""
    pairs = pa.Table.from_batches(list(iter_batches(job.paths("near"))), _PAIRS)
    one, other = pairs["one"].to_numpy(), pairs["other"].to_numpy()
    involved = np.unique(np.concatenate([one, other]))
    known = [DISTINCT.empty_table()]
    for batch in iter_batches(job.paths("distinct")):
        hashes = batch["phash"].to_numpy()
        place = np.searchsorted(involved, hashes)
        is_known = np.zeros(len(hashes), np.bool_)
        inside = place < len(involved)
        is_known[inside] = involved[place[inside]] == hashes[inside]
        known.append(pa.Table.from_batches([batch.filter(pa.array(is_known))]))
    led = led_hashes(one, other, pa.concat_tables(known))
    write_table(job.attempt.path("rows", "parquet"), led)
    return Outcome(led.num_rows)


def groups(job: Job) -> Outcome:
    """`dup_group` of one range's samples, whether they share it, and who else has them: a row group a measure part."""
    rows = read_bucket(job.paths("shuffled"), job.task.inputs["bucket"])
    known = read_rows(job.path("distinct"))
    led = _within(read_rows(job.path("led")), known["phash"])
    group, is_shared = groups_of(rows, known, led)
    found = rows.append_column("dup_group", group).append_column("is_shared", pa.array(is_shared))
    found = known_sets.marked(found, job).select(["uid", "dup_group", "is_shared", "seen_in", "eval_match"])
    write_buckets(
        job.attempt.path("rows", "parquet"), found, rows["part"].to_numpy().astype(np.int64), job.task.inputs["parts"]
    )
    return Outcome(found.num_rows)


def _within(led: pa.Table, hashes: pa.ChunkedArray) -> pa.Table:
    """The rows of LED, which lie by hash, from the first of `hashes` to the last."""
    if not len(hashes):
        return LED.empty_table()
    ends = np.array([hashes[0].as_py(), hashes[-1].as_py()], np.uint64)
    ordered = led["phash"].to_numpy()
    start, end = int(np.searchsorted(ordered, ends[0])), int(np.searchsorted(ordered, ends[1], side="right"))
    return led.slice(start, end - start)
