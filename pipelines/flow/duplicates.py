"""Who is near whom: distinct hashes by range, near pairs table by table, leaders, and each sample's group.

Hashes are cut into ranges, and samples without a hash lie with equal stored bytes. A task of the join holds one range
of the cells that some tables share; only near pairs come together in one task.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.groups import DISTINCT, HASHED, LED, distinct_hashes, groups_of, led_hashes
from dedup.hamming import Hashes, Join, pairs_in_tables, plan_join
from dedup.hash_file import sha256_heads
from dedup.hashes import HashName, trust_column
from pipelines.flow import known_sets
from pipelines.flow.cells import HASH_BITS, num_parts, read_cells
from pipelines.flow.rows import standing
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.tasks import Batch, Flow, Job, Outcome, buckets_for, tasks_of
from shards.tables import TableWriter, iter_batches, read_rows, write_table

_VERSION = 2
_MEASURED = ["uid", "sha256", "stored_sha256", "original_width", "original_height", "drop_reason"]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 / the golden ratio: multiplied by it, numbers spread over their highest bits (Knuth, TAOCP 3, 6.4)."""
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
    yield tasks_of("dedup-shuffle", _VERSION, [buckets, flow.recipe.dedup.hash], given, keys)
    ranges: list[object] = list(range(buckets))
    by_range = [{"shuffled": flow.refs("dedup-shuffle"), "bucket": bucket} for bucket in range(buckets)]
    yield tasks_of("dedup-distinct", _VERSION, flow.chain("dedup-shuffle"), by_range, ranges)
    yield _near_batch(flow)
    sets = known_sets.known_sets(flow.recipe.dedup, flow.context.run)
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
    """By the hash, mixed, since many begin alike; without one the stored bytes decide, without those the uid."""
    hashes = pc.fill_null(table["hash"], 0).to_numpy() * _GOLDEN
    ranges = ((hashes >> np.uint64(32)) * np.uint64(num_ranges)) >> np.uint64(32)
    unhashed = np.flatnonzero(pc.is_null(table["hash"]).to_numpy())
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
    """Near pairs that the cells of one family of tables, or a range of them, tell."""
    plan: Join = job.task.inputs["plan"]
    family = job.task.inputs["family"]
    words = read_cells(plan, family, job.task.inputs["part"], job.paths("distinct"))
    with TableWriter(job.attempt.path("rows", "parquet"), _PAIRS, read_once=True) as writer:
        for found in pairs_in_tables(plan, family, words):
            one, other = np.ascontiguousarray(found[:, 0, 0]), np.ascontiguousarray(found[:, 1, 0])
            writer.write(pa.table({"one": one, "other": other}, schema=_PAIRS))
    return Outcome(writer.num_rows)


def leaders(job: Job) -> Outcome:
    """Who leads each hash that is near another. Holds the near pairs, and what they need to know of their hashes."""
    pairs = pa.Table.from_batches(list(iter_batches(job.paths("near"))), _PAIRS)
    one, other = pairs["one"].to_numpy(), pairs["other"].to_numpy()
    involved = np.unique(np.concatenate([one, other]))
    led = led_hashes(one, other, _of_hashes(job.paths("distinct"), involved, DISTINCT))
    write_table(job.attempt.path("rows", "parquet"), led)
    return Outcome(led.num_rows)


def groups(job: Job) -> Outcome:
    """`dup_group` of one range's samples, whether they share it, and who else has them: a row group a measure part."""
    rows = read_bucket(job.paths("shuffled"), job.task.inputs["bucket"])
    known = read_rows(job.path("distinct"))
    led = _of_hashes([job.path("led")], known["hash"].to_numpy(), LED)
    group, is_shared = groups_of(rows, known, led)
    found = rows.append_column("dup_group", group).append_column("is_shared", pa.array(is_shared))
    found = known_sets.marked(found, job).select(["uid", "dup_group", "is_shared", "seen_in", "eval_match"])
    write_buckets(
        job.attempt.path("rows", "parquet"), found, rows["part"].to_numpy().astype(np.int64), job.task.inputs["parts"]
    )
    return Outcome(found.num_rows)


def _of_hashes(paths: Sequence[Path], wanted: Hashes, schema: pa.Schema) -> pa.Table:
    """The rows of some files whose hash is among the wanted, which are in order; the files are streamed."""
    found = [schema.empty_table()]
    for batch in iter_batches(paths):
        hashes = batch["hash"].to_numpy()
        place = np.searchsorted(wanted, hashes)
        is_wanted = np.zeros(len(hashes), np.bool_)
        inside = place < len(wanted)
        is_wanted[inside] = wanted[place[inside]] == hashes[inside]
        found.append(pa.Table.from_batches([batch.filter(pa.array(is_wanted))]))
    return pa.concat_tables(found)
