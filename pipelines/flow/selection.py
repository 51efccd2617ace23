"""Select: relative measures over what stands, the last rules, the caption, and each sample's place in the release."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge_samples
from filters.measures import MEASURES
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.final import selected_rows, selected_schema
from pipelines.flow.rows import count_reasons, put, standing
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.flow.spread import spread_apart
from pipelines.flow.tally import best_of_groups, percentiles, with_relative
from pipelines.flow.texts import with_captions
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, Task
from shards.parts import fingerprint
from shards.tables import iter_batches, read_rows, write_table

_VERSION = 1


def steps(flow: Flow) -> Iterator[Batch]:
    """Judge scores; tally before each relative rule; judge the rest; bring samples back into uid ranges and order."""
    plan = flow.plan
    before = "score" if flow.tasks("score") else "dedup"
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("score", "select")]
    key = [_VERSION, rules, plan.recipe.release.caption, plan.recipe.dedup.keep]
    judged = [
        Task(
            "select-judge",
            task.index,
            fingerprint("select-judge", key, task.fingerprint),
            {"part": task.ref, "fetched": task.inputs["fetched"]},
        )
        for task in flow.tasks(before)
    ]
    yield Batch("select-judge", tuple(judged))
    for number in range(len(_relative_rules(plan))):
        given = {"judged": flow.refs("select-judge"), "tallies": flow.refs("select-tally")}
        mark = fingerprint("select-tally", key, number, flow.chain("select-judge"))
        yield Batch("select-tally", (Task("select-tally", number, mark, given),))
    settled = [
        Task(
            "select-settle",
            task.index,
            fingerprint("select-settle", key, flow.chain("select-tally"), task.fingerprint),
            {"part": task.ref, "fetched": task.inputs["fetched"], "tallies": flow.refs("select-tally")},
        )
        for task in judged
    ]
    yield Batch("select-settle", tuple(settled))
    yield from _back_to_uids(flow)


def _back_to_uids(flow: Flow) -> Iterator[Batch]:
    """Buckets of uid as admit made them, so that what fell there comes back in."""
    rows = [record.rows for record in flow.records("select-settle")]
    buckets = len(flow.tasks("admit"))
    groups = list(grouped_by_rows(flow.refs("select-settle"), rows))
    shuffles = tuple(
        Task(
            "select-shuffle",
            place,
            fingerprint("select-shuffle", _VERSION, buckets, [ref.fingerprint for ref in group]),
            {"settled": group, "buckets": buckets},
        )
        for place, group in enumerate(groups)
    )
    yield Batch("select-shuffle", shuffles)
    dropped = flow.recipe.release.dropped
    finals = tuple(
        Task(
            "select",
            task.index,
            fingerprint("select", _VERSION, flow.chain("select-shuffle"), dropped, task.fingerprint),
            {"shuffled": flow.refs("select-shuffle"), "admit": task.ref, "bucket": task.index},
        )
        for task in flow.tasks("admit")
    )
    yield Batch("select", finals)
    mark = fingerprint("select-order", _VERSION, flow.chain("select"))
    yield Batch("select-order", (Task("select-order", 0, mark, {"selected": flow.refs("select")}),))


def _relative_rules(plan: Plan) -> list[PlacedRule]:
    return [rule for rule in plan.rules_at("select") if rule.relative]


def judge(job: Job) -> Outcome:
    """One part judged by the rules over scores, with each sample's would-be caption."""
    table = read_rows(job.path("part"))
    table = judge_samples(table, job.plan.rules_at("score"), "score", RuleEngine())
    write_table(job.attempt.path("rows", "parquet"), _captioned(table, job))
    return Outcome(table.num_rows)


def _captioned(table: pa.Table, job: Job) -> pa.Table:
    fields = {field.name for field in table.schema.field("texts").type.value_type}
    names = [name for name in job.plan.measures if name in fields]
    return with_captions(table, job.recipe.release.caption, names)


def tally(job: Job) -> Outcome:
    """What the next relative rule needs to know of all that stands when its turn comes."""
    rules = job.plan.rules_at("select")
    rule = _relative_rules(job.plan)[job.task.index]
    before = rules[: rules.index(rule)]
    for measure in rule.relative:
        tables = (standing(_captioned(_judged(path, before, job), job)) for path in job.paths("judged"))
        found = percentiles(tables) if measure == "clip_pct" else best_of_groups(tables)
        write_table(job.attempt.path(measure, f"{measure}.parquet"), found)
    return Outcome(0)


def _judged(path: Path, rules: Sequence[PlacedRule], job: Job) -> pa.Table:
    """One part judged by some of the select rules, relative ones by the tallies made for them."""
    refs = dict(zip((rule.name for rule in _relative_rules(job.plan)), job.task.inputs["tallies"], strict=False))

    def refresh(table: pa.Table, rule: PlacedRule) -> pa.Table:
        table = _captioned(table, job)
        for measure in rule.relative:
            table = with_relative(table, measure, read_rows(job.context.path(refs[rule.name], measure)))
        return table

    return judge_samples(_with_columns(read_rows(path), rules), rules, "select", RuleEngine(), refresh)


def _with_columns(table: pa.Table, rules: Sequence[PlacedRule]) -> pa.Table:
    for name in sorted({name for rule in rules for name in rule.relative}):
        if name not in table.column_names:
            table = put(table, name, pa.nulls(table.num_rows, MEASURES[name].dtype))
    return table


def settle(job: Job) -> Outcome:
    """One part with its last verdicts and its captions."""
    rules = job.plan.rules_at("select")
    table = _captioned(_judged(job.path("part"), rules, job), job)
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    fetched = job.task.inputs["fetched"]
    table = put(table, "fetch_index", pa.array(np.full(table.num_rows, fetched.index, np.int32)))
    table = put(table, "fetch_fingerprint", pa.array([fetched.fingerprint] * table.num_rows, pa.string()))
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, counts)


def shuffle(job: Job) -> Outcome:
    """Some parts' samples, sorted into buckets of uid."""
    buckets = job.task.inputs["buckets"]
    table = pa.concat_tables([read_rows(path) for path in job.paths("settled")])
    write_buckets(job.attempt.path("rows", "parquet"), table, bucket_of_uids(table["uid"], buckets), buckets)
    return Outcome(table.num_rows)


def finish(job: Job) -> Outcome:
    """One uid range in full, sorted by uid: what was released in one file, what fell anywhere in another."""
    schema = selected_schema(job.plan)
    fell_early = read_rows(job.path("admit"))
    fell_early = _captioned(fell_early.filter(pc.is_valid(fell_early["drop_reason"])), job)
    tables = [selected_rows(fell_early, schema)]
    if job.task.inputs["shuffled"]:
        tables.append(selected_rows(read_bucket(job.paths("shuffled"), job.task.inputs["bucket"]), schema))
    table = pa.concat_tables(tables).sort_by("uid")
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    kept = standing(table)
    write_table(job.attempt.path("kept", "kept.parquet"), kept)
    write_table(job.attempt.path("dropped", "dropped.parquet"), table.filter(pc.is_valid(table["drop_reason"])))
    return Outcome(table.num_rows, counts, {"kept": kept.num_rows})


def order(job: Job) -> Outcome:
    """Which kept samples change places, so that near-duplicates lie apart: rows of (rank, place)."""
    paths = job.paths("selected", "kept")
    moved = spread_apart(lambda: iter_batches(paths, ["uid", "dup_group"]))
    write_table(job.attempt.path("rows", "parquet"), moved)
    return Outcome(moved.num_rows)
