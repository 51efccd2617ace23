"""Select: relative measures over what stands, the last rules, the caption, and each sample's place in the release."""

from collections.abc import Generator, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge_samples
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow import semantic
from pipelines.flow.final import selected_rows, selected_schema
from pipelines.flow.rows import count_reasons, put, standing
from pipelines.flow.shuffle import bucket_of_uids, grouped_by_rows, read_bucket, write_buckets
from pipelines.flow.spread import spread_apart
from pipelines.flow.tally import TALLIES
from pipelines.flow.turns import (
    BY_CLUSTER,
    Relation,
    Relations,
    captioned,
    judged_by,
    relative_rules,
    rules_before,
    standing_at,
    with_cosines,
)
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Task
from shards.parts import fingerprint
from shards.tables import iter_batches, read_rows, write_table

_VERSION = 2


def steps(flow: Flow) -> Iterator[Batch]:
    """Judge scores; take the turns of relative rules; judge the rest; bring samples back into uid ranges and order."""
    plan = flow.plan
    before = "score" if flow.tasks("score") else "dedup"
    of_scores = [(rule.name, rule.expression) for rule in plan.rules_at("score")]
    judged = [
        Task(
            "select-judge",
            task.index,
            fingerprint("select-judge", _VERSION, of_scores, plan.recipe.release.caption, task.fingerprint),
            {"part": task.ref, "fetched": task.inputs["fetched"]},
        )
        for task in flow.tasks(before)
    ]
    yield Batch("select-judge", tuple(judged))
    relations = yield from _turns(flow)
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("select")]
    made = flow.chain("select-tally", "select-cosines")
    settled = [
        Task(
            "select-settle",
            task.index,
            fingerprint("select-settle", _VERSION, rules, plan.recipe.release.caption, made, task.fingerprint),
            {"judged": task.ref, "place": place, "fetched": task.inputs["fetched"], "relations": relations},
        )
        for place, task in enumerate(judged)
    ]
    yield Batch("select-settle", tuple(settled))
    yield from _back_to_uids(flow)


def _turns(flow: Flow) -> Generator[Batch, None, Relations]:
    """What relative rules need to know, turn by turn; at the end what `measures` asks for and no rule."""
    relations: Relations = {}
    rules = relative_rules(flow.plan)
    by_cluster = [BY_CLUSTER in rule.relative for rule in rules]
    if BY_CLUSTER in flow.plan.measures:
        yield from semantic.steps(flow)
    for number, rule in enumerate(rules):
        tally = yield from _tallied(flow, number, rule, relations)
        cosines = (yield from semantic.turn(flow, number, relations)) if by_cluster[number] else ()
        relations[rule.name] = Relation(tally, cosines)
    if BY_CLUSTER in flow.plan.measures and not any(by_cluster):
        relations[""] = Relation(cosines=(yield from semantic.turn(flow, len(rules), relations)))
    return relations


def _tallied(flow: Flow, number: int, rule: PlacedRule, relations: Relations) -> Generator[Batch, None, PartRef | None]:
    measures = [name for name in rule.relative if name != BY_CLUSTER]
    if not measures:
        return None
    before = [(rule.name, rule.expression) for rule in rules_before(flow.plan, number)]
    captions = flow.recipe.release.caption
    made = flow.chain("select-judge", "select-tally", "select-cosines")
    mark = fingerprint("select-tally", _VERSION, number, measures, before, captions, made)
    given = {"judged": flow.refs("select-judge"), "turn": number, "relations": dict(relations), "measures": measures}
    task = Task("select-tally", number, mark, given)
    yield Batch("select-tally", (task,))
    return task.ref


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


def judge(job: Job) -> Outcome:
    """One part judged by the rules over scores, with each sample's would-be caption."""
    table = read_rows(job.path("part"))
    table = judge_samples(table, job.plan.rules_at("score"), "score", RuleEngine())
    write_table(job.attempt.path("rows", "parquet"), captioned(table, job), read_once=True)
    return Outcome(table.num_rows)


def tally(job: Job) -> Outcome:
    """What the next relative rule needs to know of all that stands when its turn comes."""
    for measure in job.task.inputs["measures"]:
        tables = (standing_at(path, place, job) for place, path in enumerate(job.paths("judged")))
        write_table(job.attempt.path(measure, f"{measure}.parquet"), TALLIES[measure](tables))
    return Outcome(0)


def settle(job: Job) -> Outcome:
    """One part with its last verdicts and its captions."""
    place, relations = job.task.inputs["place"], job.task.inputs["relations"]
    table = captioned(judged_by(job.path("judged"), place, job.plan.rules_at("select"), job), job)
    for relation in relations.values():
        table = with_cosines(table, relation, place, job)
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    fetched = job.task.inputs["fetched"]
    table = put(table, "fetch_index", pa.array(np.full(table.num_rows, fetched.index, np.int32)))
    table = put(table, "fetch_fingerprint", pa.array([fetched.fingerprint] * table.num_rows, pa.string()))
    write_table(job.attempt.path("rows", "parquet"), table, read_once=True)
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
    fell_early = captioned(fell_early.filter(pc.is_valid(fell_early["drop_reason"])), job)
    tables = [selected_rows(fell_early, schema)]
    if job.task.inputs["shuffled"]:
        tables.append(selected_rows(read_bucket(job.paths("shuffled"), job.task.inputs["bucket"]), schema))
    table = pa.concat_tables(tables).sort_by("uid")
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    kept = standing(table)
    dropped = table.filter(pc.is_valid(table["drop_reason"]))
    write_table(job.attempt.path("kept", "kept.parquet"), kept, read_once=True)
    write_table(job.attempt.path("dropped", "dropped.parquet"), dropped, read_once=True)
    return Outcome(table.num_rows, counts, {"kept": kept.num_rows})


def order(job: Job) -> Outcome:
    """Which kept samples change places, so that near-duplicates lie apart: rows of (rank, place)."""
    paths = job.paths("selected", "kept")
    moved = spread_apart(lambda: iter_batches(paths, ["uid", "dup_group"]))
    write_table(job.attempt.path("rows", "parquet"), moved)
    return Outcome(moved.num_rows)
