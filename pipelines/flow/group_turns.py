"""Places in groups of duplicates at a rule's turn in select: members brought together by group, and ranked there.

A task holds one range of groups, whatever the number of samples. Told are only those who come second or later.
"""

from collections.abc import Generator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.survivors import group_rows, pair_rows, rank_rows
from pipelines.flow.rows import put
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.flow.turns import MADE, Relations, rules_before, standing_at
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, buckets_for, tasks_of

_VERSION = 1
_ROWS = 250_000
"""Samples of a range of groups; each may have 32 texts."""

_ROWS_OF = {"dup_rank": group_rows, "pair_rank": pair_rows}


def turn(
    flow: Flow, number: int, measures: Sequence[str], relations: Relations
) -> Generator[Batch, None, tuple[PartRef, ...]]:
    """Who comes second or later at a turn: a part for each range of groups, a row group for each judged part."""
    wanted = [name for name in measures if name in _ROWS_OF]
    if not wanted:
        return ()
    judged, rows = flow.refs("select-judge"), [record.rows for record in flow.records("select-judge")]
    before = [(rule.name, rule.expression) for rule in rules_before(flow.plan, number)]
    made = flow.chain(*MADE)
    buckets = buckets_for(sum(rows), _ROWS)
    settings = [number, before, wanted, flow.recipe.dedup.keep, buckets, made]
    shared = {"turn": number, "relations": dict(relations), "measures": wanted, "buckets": buckets}
    places = [list(group) for group in grouped_by_rows(range(len(judged)), rows, _ROWS)]
    given = [{**shared, "places": group, "judged": [judged[place] for place in group]} for group in places]
    members = tasks_of("select-members", _VERSION, settings, given, places)
    yield members
    shared = {"members": [task.ref for task in members.tasks], "measures": wanted, "parts": len(judged)}
    given = [{**shared, "bucket": bucket} for bucket in range(buckets)]
    ranks = tasks_of("select-ranks", _VERSION, settings, given, list(range(buckets)))
    yield ranks
    return tuple(task.ref for task in ranks.tasks)


def gather_members(job: Job) -> Outcome:
    """Who stands of some judged parts, with what they are ranked by: a file for each measure, by range of groups."""
    rows: dict[str, list[pa.Table]] = {name: [] for name in job.task.inputs["measures"]}
    for place, path in zip(job.task.inputs["places"], job.paths("judged"), strict=True):
        standing = standing_at(path, place, job)
        for name, tables in rows.items():
            members = _ROWS_OF[name](standing, job.recipe.dedup.keep)
            members = members.filter(members["is_standing"])
            tables.append(put(members, "place", pa.array(np.full(len(members), place, np.int64))))
    buckets = job.task.inputs["buckets"]
    for name, tables in rows.items():
        table = pa.concat_tables(tables)
        groups = bucket_of_uids(table["group"], buckets)
        write_buckets(job.attempt.path(name, f"{name}.parquet"), table, groups, buckets)
    return Outcome(sum(len(table) for tables in rows.values() for table in tables))


def rank_members(job: Job) -> Outcome:
    """Who comes second or later in one range of groups, for each measure, by judged part."""
    num_rows = 0
    for name in job.task.inputs["measures"]:
        members = read_bucket(job.paths("members", name), job.task.inputs["bucket"])
        ranked = members.append_column(name, rank_rows(members))
        ranked = ranked.filter(pc.greater(ranked[name], 1)).drop_columns(["group", "value", "is_standing"])
        places = ranked["place"].to_numpy().astype(np.int64)
        path = job.attempt.path(name, f"{name}.parquet")
        write_buckets(path, ranked.drop_columns(["place"]), places, job.task.inputs["parts"])
        num_rows += ranked.num_rows
    return Outcome(num_rows)
