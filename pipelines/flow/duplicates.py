"""Who is near whom: distinct hashes by range, near pairs table by table, and each sample's group.

Hashes are cut into ranges, and samples without a hash lie with equal stored bytes. A task of the join holds one range
of the cells that some tables share.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.groups import DISTINCT, HASHED, distinct_hashes, groups_of
from dedup.hamming import Join, pairs_in_tables, plan_join
from dedup.hash_file import sha256_heads
from dedup.hashes import HashName, trust_column
from dedup.leaders import ENDS
from pipelines.flow import known_sets, leaders
from pipelines.flow.cells import HASH_BITS, num_parts, range_of_hashes, read_cells
from pipelines.flow.rows import standing
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, buckets_for, tasks_of
from shards.tables import TableWriter, read_rows, write_table

_VERSION = 3
_MEASURED = ["uid", "sha256", "stored_sha256", "original_width", "original_height", "drop_reason"]


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
    yield tasks_of("dedup-shuffle", _VERSION, [buckets, flow.recipe.dedup.hash], given, keys)
    ranges: list[object] = list(range(buckets))
    by_range = [{"shuffled": flow.refs("dedup-shuffle"), "bucket": bucket} for bucket in range(buckets)]
    yield tasks_of("dedup-distinct", _VERSION, flow.chain("dedup-shuffle"), by_range, ranges)
    yield _near_batch(flow)
    sets = known_sets.known_sets(flow.recipe.dedup, flow.context.run)
    yield known_sets.read_batch(flow, sets)
    yield known_sets.match_batch(flow)
    distinct = flow.refs("dedup-distinct")
    yield from leaders.steps(flow)
    shared = {"parts": len(rows), "sets": sets}
    shared |= {"known": flow.refs("dedup-known"), "matched": flow.refs("dedup-match")}
    given = [
        one | shared | {"distinct": distinct[bucket], "led": leaders.led_part(flow, bucket)}
        for bucket, one in enumerate(by_range)
    ]
    names = [[known.column, known.name] for known in sets]
    settings = [names, flow.chain("dedup-leaders", "dedup-shuffle", "dedup-known", "dedup-match")]
    yield tasks_of("dedup-groups", _VERSION, settings, given, ranges)


def _near_batch(flow: Flow) -> Batch:
    """One task for each family of tables of the join and each range of its cells."""
    num = sum(record.rows for record in flow.records("dedup-distinct"))
    plan = plan_join(HASH_BITS, flow.recipe.dedup.distance, num)
    ranges = num_parts(num)
    parts = [(family, number) for family in range(len(plan.families)) for number in range(ranges)]
    distinct = flow.refs("dedup-distinct")
    shared = {"distinct": distinct, "plan": plan}
    given = [shared | {"family": family, "part": (number, ranges)} for family, number in parts]
    settings = [plan.distance, num, plan.agreeing, ranges, flow.chain("dedup-distinct")]
    return tasks_of("dedup-near", _VERSION, settings, given, parts)


def shuffle(job: Job) -> Outcome:
    """What the join needs of the standing samples of some measure parts, by range of hash or of stored bytes."""
    places = enumerate(job.paths("measured"), job.task.inputs["first"])
    table = pa.concat_tables([_to_join(path, place, job.recipe.dedup.hash) for place, path in places])
    buckets = job.task.inputs["buckets"]
    write_buckets(job.attempt.path("rows", "parquet"), table, _ranges_of(table, buckets), buckets)
    return Outcome(table.num_rows)


def _to_join(path: Path, place: int, name: HashName) -> pa.Table:
    """The standing samples of one measure part, with the hash `name` where it can be trusted."""
    trust = trust_column(name)
    rows = standing(read_rows(path, [*_MEASURED, name, trust]))
    width, height = (rows[f"original_{side}"].cast(pa.int64()) for side in ("width", "height"))
    return pa.table(
        {
            "uid": rows["uid"],
            "hash": pc.if_else(rows[trust], rows[name], pa.scalar(None, pa.uint64())),
            "stored_sha256": rows["stored_sha256"],
            "sha256_head": _heads(rows["sha256"]),
            "pixels": pc.multiply(width, height),
            "part": pa.array(np.full(rows.num_rows, place, np.int32)),
        }
    )


def _heads(digests: pa.ChunkedArray) -> pa.Array:
    """uint64, null where the digest is."""
    valid = digests.is_valid().to_numpy()
    heads = np.zeros(len(digests), np.uint64)
    heads[valid] = sha256_heads(digests.drop_null())
    return pa.array(heads, mask=~valid)


def _ranges_of(table: pa.Table, num_ranges: int) -> npt.NDArray[np.int64]:
    """By the hash; without one the stored bytes decide, without those the uid."""
    ranges = range_of_hashes(pc.fill_null(table["hash"], 0).to_numpy(), num_ranges)
    unhashed = np.flatnonzero(pc.is_null(table["hash"]).to_numpy())
    names = pc.utf8_slice_codeunits(pc.coalesce(table["stored_sha256"], table["uid"]), 0, 32)
    ranges[unhashed] = bucket_of_uids(names.take(pa.array(unhashed)), num_ranges)
    return ranges


def distinct(job: Job) -> Outcome:
    """One range's hashes, each with the best of its images."""
    rows = read_bucket(job.paths("shuffled"), job.task.inputs["bucket"], HASHED.names)
    found = distinct_hashes(rows)
    write_table(job.attempt.path("rows", "parquet"), found.cast(DISTINCT))
    return Outcome(found.num_rows)


def near(job: Job) -> Outcome:
    """Near pairs that the cells of one family of tables, or a range of them, tell."""
    plan: Join = job.task.inputs["plan"]
    family = job.task.inputs["family"]
    words = read_cells(plan, family, job.task.inputs["part"], job.paths("distinct"))
    with TableWriter(job.attempt.path("rows", "parquet"), ENDS, read_once=True) as writer:
        for found in pairs_in_tables(plan, family, words):
            one, other = np.ascontiguousarray(found[:, 0, 0]), np.ascontiguousarray(found[:, 1, 0])
            writer.write(pa.table([one, other], schema=ENDS))
    return Outcome(writer.num_rows)


def groups(job: Job) -> Outcome:
    """`dup_group` of one range's samples, whether they share it, and who else has them: a row group a measure part."""
    rows = read_bucket(job.paths("shuffled"), job.task.inputs["bucket"])
    known = read_rows(job.path("distinct"))
    led = read_rows(job.path("led"))
    group, is_shared = groups_of(rows, known, led)
    found = rows.append_column("dup_group", group).append_column("is_shared", pa.array(is_shared))
    found = known_sets.marked(found, job).select(["uid", "dup_group", "is_shared", "seen_in", "eval_match"])
    write_buckets(
        job.attempt.path("rows", "parquet"), found, rows["part"].to_numpy().astype(np.int64), job.task.inputs["parts"]
    )
    return Outcome(found.num_rows)
