"""Places and numbers by query, host or category at a rule's turn in select, and how much of a host is bad."""

from collections.abc import Generator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import one_array
from pipelines.flow.balanced import BAD_SHARE, KEYED, Keyed, columns_of_key, role_of
from pipelines.flow.keyed import bucket_of_keys, counted, marked_by, order_values, summed
from pipelines.flow.rows import standing
from pipelines.flow.shuffle import read_bucket, write_buckets
from pipelines.flow.turns import MADE, Relations, rows_at, rules_before
from pipelines.tasks import Batch, Flow, Job, Outcome, buckets_for, tasks_of
from shards.tables import write_table

_VERSION = 1
_ROWS = 4_000_000
"""Samples of which one range of keys is summed: each part tells of a key and a value once, whatever their number."""


def turn(
    flow: Flow, number: int, measures: Sequence[str], relations: Relations
) -> Generator[Batch, None, Keyed | None]:
    """What is known by key at a turn: a part for each judged part, and one for each range of keys."""
    wanted = [name for name in measures if name in KEYED]
    if not wanted:
        return None
    balance = flow.recipe.balance
    roles = sorted({role_of(name) for name in wanted})
    before = [(rule.name, rule.expression) for rule in rules_before(flow.plan, number)]
    judged, buckets = flow.refs("select-judge"), buckets_for(flow.rows("select-judge"), _ROWS)
    settings = [number, before, roles, balance.first, balance.category, balance.bad, buckets, flow.chain(*MADE)]
    shared = {"turn": number, "relations": dict(relations), "roles": roles, "buckets": buckets}
    given = [{**shared, "judged": ref, "place": place} for place, ref in enumerate(judged)]
    keys = tasks_of("select-keys", _VERSION, settings, given, [ref.fingerprint for ref in judged])
    yield keys
    members = tuple(task.ref for task in keys.tasks)
    given = [{"keys": members, "roles": roles, "bucket": bucket} for bucket in range(buckets)]
    sums = tasks_of("select-sums", _VERSION, settings, given, list(range(buckets)))
    yield sums
    return Keyed(members, tuple(task.ref for task in sums.tasks))


def count_keys(job: Job) -> Outcome:
    """One judged part: whose group each sample is of, and its groups by range of keys; for each role in files apart.

    Of a query, a host or a category those count that stand; of a host's bad share all.
    """
    balance, place, buckets = job.recipe.balance, job.task.inputs["place"], job.task.inputs["buckets"]
    columns = {"uid", "drop_reason", "failed_rules", "clip_score", *columns_of_key(job.plan)}
    rows = rows_at(job.path("judged"), place, job, sorted(columns))
    num_members = 0
    for role in job.task.inputs["roles"]:
        is_bad = role == BAD_SHARE
        table = rows if is_bad else standing(rows)
        marks = marked_by(table, balance.bad) if is_bad else np.zeros(len(table), np.bool_)
        values = np.zeros(len(table), np.int64) if is_bad else order_values(table, balance.first)
        members, groups = counted(table["uid"], _keys(table, role, job), values, place, marks)
        write_table(job.attempt.path(f"{role}-members", f"{role}-members.parquet"), members, read_once=True)
        path = job.attempt.path(f"{role}-groups", f"{role}-groups.parquet")
        write_buckets(path, groups, bucket_of_keys(groups["key"], buckets), buckets)
        num_members += members.num_rows
    return Outcome(num_members)


def _keys(table: pa.Table, role: str, job: Job) -> pa.Array:
    """The key of each sample; an empty one is none."""
    column = {BAD_SHARE: "host", "category": job.recipe.balance.category}.get(role, role)
    if column not in table.column_names:
        return pa.nulls(len(table), pa.string())
    keys = one_array(table[column])
    return pc.if_else(pc.equal(keys, ""), pa.scalar(None, pa.string()), keys)


def sum_keys(job: Job) -> Outcome:
    """One range of keys: what each part's groups are told, by part."""
    num_rows = 0
    for role in job.task.inputs["roles"]:
        paths = job.paths("keys", f"{role}-groups")
        sums, places = summed(read_bucket(paths, job.task.inputs["bucket"]))
        write_buckets(job.attempt.path(role, f"{role}.parquet"), sums, places.astype(np.int64), len(paths))
        num_rows += sums.num_rows
    return Outcome(num_rows)
