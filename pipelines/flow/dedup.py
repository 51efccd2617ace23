"""Dedup: groups over all hashed samples, judged so that a group's survivor is always one that may live."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge_samples
from filters.rules import RuleEngine
from pipelines.flow import duplicates
from pipelines.flow.ranks import RANKS, judge_with_ranks
from pipelines.flow.rows import count_reasons, looked_up, put, standing
from pipelines.flow.shuffle import bucket_of_uids, read_bucket, write_buckets
from pipelines.flow.texts import merged_texts
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, Task, tasks_of
from shards.parts import fingerprint
from shards.tables import read_rows, write_table

_VERSION = 2


def steps(flow: Flow) -> Iterator[Batch]:
    """Group by hash; judge measures; settle each group of several as a whole; judge the others."""
    plan = flow.plan
    if plan.finds_duplicates and flow.tasks("measure"):
        yield from duplicates.steps(flow)
    groups = flow.refs("dedup-groups")
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("measure")]
    yield _per_part(flow, "dedup-stand", "measure", [_VERSION, rules, flow.chain("dedup-groups")], {"groups": groups})
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("dedup")]
    ranks = _ranks_here(plan)
    if ranks:
        stood = flow.refs("dedup-stand")
        settings = [rules, ranks, plan.recipe.dedup.keep, plan.recipe.dedup.merge_texts, flow.chain("dedup-stand")]
        given = [{"stood": stood, "bucket": bucket} for bucket in range(len(groups))]
        yield tasks_of("dedup-rank", _VERSION, settings, given, list(range(len(groups))))
    settled = flow.refs("dedup-rank")
    yield _per_part(flow, "dedup", "dedup-stand", [_VERSION, rules, flow.chain("dedup-rank")], {"settled": settled})


def _per_part(flow: Flow, step: str, before: str, key: object, inputs: dict[str, object]) -> Batch:
    """One task for each part of the step before, which passes on where the part's downloads lie."""
    tasks = tuple(
        Task(
            step,
            task.index,
            fingerprint(step, key, task.fingerprint),
            {"part": task.ref, "place": place, "fetched": task.inputs["fetched"], **inputs},
            num_rows=task.num_rows,
        )
        for place, task in enumerate(flow.tasks(before))
    )
    return Batch(step, tasks)


def _ranks_here(plan: Plan) -> list[str]:
    """The ranks that are wanted and known before anything is scored."""
    return [name for name in RANKS if name in plan.measures and plan.recipe.dedup.dup_rank_stage == "dedup"]


def stand(job: Job) -> Outcome:
    """One part with its groups, judged by the rules over measures; apart, by group, what stands and is not alone."""
    table = read_rows(job.path("part"))
    ranges = job.paths("groups")
    if ranges:
        groups = read_bucket(ranges, job.task.inputs["place"])
        marks = [name for name in ("seen_in", "eval_match") if name in job.plan.measures]
        table = looked_up(table, groups, ["dup_group", "is_shared", *marks])
    table = judge_samples(table, job.plan.rules_at("measure"), "measure", RuleEngine())
    if ranges:
        shared = standing(table.filter(pc.fill_null(table["is_shared"], False))).drop_columns(["is_shared"])
        shared = put(shared, "place", pa.array(np.full(shared.num_rows, job.task.inputs["place"], np.int64)))
        of_groups = bucket_of_uids(shared["dup_group"], len(ranges))
        write_buckets(job.attempt.path("shared", "shared.parquet"), shared, of_groups, len(ranges))
        table = table.drop_columns(["is_shared"])
    write_table(job.attempt.path("rows", "parquet"), table, read_once=True)
    return Outcome(table.num_rows)


def settle(job: Job) -> Outcome:
    """Groups of which several samples stand, judged whole: who stays, who is a duplicate of whom, whose texts merge.

    The rows of one range's groups, a row group per part.
    """
    members = read_bucket(job.paths("stood", "shared"), job.task.inputs["bucket"])
    judged = _judged(_crowded(members).sort_by("uid"), job)
    if job.recipe.dedup.merge_texts:
        judged = merged_texts(judged)
    places = judged["place"].to_numpy()
    judged = judged.drop_columns(["place"])
    write_buckets(job.attempt.path("rows", "parquet"), judged, places, len(job.task.inputs["stood"]))
    return Outcome(judged.num_rows)


def _crowded(members: pa.Table) -> pa.Table:
    """The rows of groups with more than one."""
    counted = pc.value_counts(members["dup_group"].combine_chunks())
    crowded = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    return members.filter(pc.is_in(members["dup_group"], value_set=crowded))


def _judged(table: pa.Table, job: Job) -> pa.Table:
    return judge_with_ranks(table, job.plan.rules_at("dedup"), "dedup", job.recipe.dedup, _ranks_here(job.plan))


def finish(job: Job) -> Outcome:
    """One part with the verdict over its groups; a sample alone in its group ranks first."""
    table = read_rows(job.path("part"))
    if job.task.inputs["settled"]:
        settled = read_bucket(job.paths("settled"), job.task.inputs["place"])
        alone = table.filter(pc.invert(pc.is_in(table["uid"], value_set=settled["uid"].combine_chunks())))
        judged = _judged(alone, job)
        table = pa.concat_tables([judged.select(settled.column_names).cast(settled.schema), settled]).sort_by("uid")
    else:
        table = judge_samples(table, job.plan.rules_at("dedup"), "dedup", RuleEngine())
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, counts)
