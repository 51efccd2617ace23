"""Select: relative measures over what stands, the last rules, the caption, and each sample's place in the release."""

import itertools
from collections import Counter
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge_samples
from filters.rules import RuleEngine
from pipelines.flow import balance_turns, gather, group_turns, keyed_turns, semantic
from pipelines.flow.balanced import columns_of_key
from pipelines.flow.final import selected_rows, selected_schema
from pipelines.flow.gather import GATHERED_ROWS
from pipelines.flow.rows import count_reasons, put, standing
from pipelines.flow.splits import SPLIT, counted_splits, of_split, split_names, with_split_column, with_splits
from pipelines.flow.spread import CLOSE, MOVED, spread_apart
from pipelines.flow.taken_down import without_taken_down
from pipelines.flow.tally import percentiles
from pipelines.flow.text_verdicts import TEXT_REASONS, without_texts
from pipelines.flow.turns import (
    BY_CLUSTER,
    MADE,
    TALLIED,
    Relation,
    Relations,
    captioned,
    judged_by,
    last_turn,
    relative_rules,
    rules_before,
    standing_at,
    with_cosines,
    with_relative,
)
from pipelines.flow.verdicts import VERDICTS, lie_apart, told_by_judging, write_verdicts
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Plan, Task
from shards.parts import fingerprint
from shards.tables import TableWriter, iter_batches, iter_tables, read_names, write_table

_VERSION = 3


def steps(flow: Flow) -> Iterator[Batch]:
    """Gather samples by uid; judge scores; take the turns of relative rules; judge the rest; order what stays."""
    yield from gather.steps(flow)
    plan = flow.plan
    judged = _judging(flow)
    yield Batch("select-judge", judged)
    relations = yield from _turns(flow)
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("select")]
    made = flow.chain(*MADE[1:])
    settings, apart = plan.recipe.release, lie_apart(flow.context)
    shape = [plan.measures, settings.caption, settings.dropped, list(settings.splits.items()), *[VERDICTS] * apart]
    shared = {"relations": relations, "apart": apart}
    decided = tuple(
        Task(
            "select",
            task.index,
            fingerprint("select", _VERSION, rules, shape, made, task.fingerprint),
            {"judged": task.ref, "gathered": task.inputs["gathered"], "place": place, **shared},
        )
        for place, task in enumerate(judged)
    )
    yield Batch("select", decided)
    mark = fingerprint("select-order", _VERSION, flow.chain("select"))
    yield Batch("select-order", (Task("select-order", 0, mark, {"selected": flow.refs("select")}),))


def _judging(flow: Flow) -> tuple[Task, ...]:
    """A task for each range. Where only verdicts are written, texts are left out once they are judged for good.

    But what the run has judged in the same way is taken as it is.
    """
    plan, with_texts = flow.plan, _judging_with(flow, {})
    if not lie_apart(flow.context) or "pair_rank" in plan.measures:
        return with_texts
    if any(rule.level == "text" for rule in plan.rules_at("select")):
        return with_texts
    there = flow.context.folder("select-judge").committed()
    if all((task.index, task.fingerprint[:8]) in there for task in with_texts):
        return with_texts
    return _judging_with(flow, {"without": "texts"})


def _judging_with(flow: Flow, settings: dict[str, str]) -> tuple[Task, ...]:
    plan = flow.plan
    # A score part may hold more than this recipe asks for, so that its fingerprint does not tell which columns follow.
    of_scores = [plan.measures, *((rule.name, rule.expression) for rule in plan.rules_at("score"))]
    columns = _judged_columns(plan)
    shape = [of_scores, columns, plan.recipe.release.caption, *settings.values()]
    return tuple(
        Task(
            "select-judge",
            task.index,
            fingerprint("select-judge", _VERSION, *shape, task.fingerprint),
            {"gathered": task.ref, "columns": columns, **settings},
        )
        for task in flow.tasks("select-rows")
    )


def _judged_columns(plan: Plan) -> list[str]:
    """What judging by scores and at select reads: all else stays where it was gathered."""
    named = {name for rule in plan.rules_at("score", "select") for name in rule.columns}
    return sorted({*_DECIDING, *columns_of_key(plan), *named})


_DECIDING = (
    *("uid", "texts", "drop_reason", "failed_rules", "dropped_at", "detail"),
    *("dup_group", "original_width", "original_height", "sharpness"),
)
"""Columns that verdicts are written in, and those that `dedup.keep` and relative measures look at."""


def _turns(flow: Flow) -> Generator[Batch, None, Relations]:
    """What relative rules need to know, turn by turn; at the end what `measures` asks for and no rule."""
    relations: Relations = {}
    turns = [(rule.name, rule.relative) for rule in relative_rules(flow.plan)]
    if last_turn(flow.plan):
        turns.append(("", last_turn(flow.plan)))
    if BY_CLUSTER in flow.plan.measures:
        yield from semantic.steps(flow)
    for number, (name, measures) in enumerate(turns):
        tally = (yield from _tallied(flow, number, relations)) if TALLIED in measures else None
        cosines = (yield from semantic.turn(flow, number, relations)) if BY_CLUSTER in measures else ()
        places = yield from group_turns.turn(flow, number, measures, relations)
        keyed = yield from keyed_turns.turn(flow, number, measures, relations)
        balanced = yield from balance_turns.turn(flow, number, measures, relations)
        relations[name] = Relation(tally, cosines, places, keyed, balanced)
    return relations


def _tallied(flow: Flow, number: int, relations: Relations) -> Generator[Batch, None, PartRef]:
    before = [(rule.name, rule.expression) for rule in rules_before(flow.plan, number)]
    captions = flow.recipe.release.caption
    made = flow.chain(*MADE)
    mark = fingerprint("select-tally", _VERSION, number, before, captions, made)
    given = {"judged": flow.refs("select-judge"), "turn": number, "relations": dict(relations)}
    task = Task("select-tally", number, mark, given)
    yield Batch("select-tally", (task,))
    return task.ref


def judge(job: Job) -> Outcome:
    """One range of uids judged by the rules over scores, with each sample's would-be caption."""
    rules, engine = job.plan.rules_at("score"), RuleEngine()
    read = iter_tables(job.path("gathered"), job.task.inputs["columns"])
    tables = (captioned(judge_samples(table, rules, "score", engine), job) for table in read)
    if "without" in job.task.inputs:
        tables = (without_texts(table) for table in tables)
    first = next(tables)
    with TableWriter(job.attempt.path("rows", "parquet"), first.schema, read_once=True) as writer:
        for table in itertools.chain([first], tables):
            writer.write(table, GATHERED_ROWS)
    return Outcome(writer.num_rows)


def tally(job: Job) -> Outcome:
    """The shares of scores among all that stands when the next relative rule has its turn."""
    columns = ("clip_score", "drop_reason")
    shares = percentiles(standing_at(path, place, job, columns) for place, path in enumerate(job.paths("judged")))
    write_table(job.attempt.path("rows", "parquet"), shares)
    return Outcome(shares.num_rows)


def finish(job: Job) -> Outcome:
    """One uid range with its last verdicts: what is released in one file, what fell anywhere in another."""
    if job.task.inputs["apart"]:
        return write_verdicts(job, _settled(job))
    schema, settings = selected_schema(job.plan), job.recipe.release
    counts, splits = Counter[str](), Counter[str]()
    with (
        TableWriter(job.attempt.path("kept", "kept.parquet"), schema, read_once=True) as released,
        TableWriter(job.attempt.path("dropped", "dropped.parquet"), schema, read_once=True) as fallen,
    ):
        for piece in _whole(job):
            table = without_taken_down(selected_rows(piece, schema), job.context.run)
            count_reasons(counts, table)
            kept = with_splits(standing(table), settings)
            splits.update(counted_splits(kept, settings))
            released.write(kept, GATHERED_ROWS)
            fallen.write(table.filter(pc.is_valid(table["drop_reason"])))
    facts = {"splits": dict(splits)} if settings.splits else {}
    return Outcome(released.num_rows + fallen.num_rows, dict(counts), {"kept": released.num_rows, **facts})


def _whole(job: Job) -> Iterator[pa.Table]:
    """The range in pieces, settled, with what no rule asked for."""
    judged, gathered = job.path("judged"), job.path("gathered")
    known = set(read_names(judged))
    others = iter_tables(gathered, [name for name in read_names(gathered) if name not in known])
    for table, rest in zip(_settled(job), others, strict=True):
        for name in rest.column_names:
            table = put(table, name, rest[name])
        yield table


def _settled(job: Job) -> Iterator[pa.Table]:
    """What was judged of the range in pieces, by uid, with the last verdicts and captions."""
    place, relations, rules = job.task.inputs["place"], job.task.inputs["relations"], job.plan.rules_at("select")
    for table in iter_tables(job.path("judged"), _still_asked(job)):
        table = judged_by(table, place, rules, job)
        if any(rule.level == "text" for rule in rules):
            table = captioned(table, job)
        for relation in relations.values():
            table = with_cosines(table, relation, place, job)
        for measure in last_turn(job.plan):
            table = with_relative(table, measure, relations[""], place, job)
        yield table


def _still_asked(job: Job) -> list[str]:
    """The columns of what was judged but for captions that were told for good."""
    names = read_names(job.path("judged"))
    told = told_by_judging(job.plan, names, ())
    asked = {*columns_of_key(job.plan), *(name for rule in job.plan.rules_at("select") for name in rule.columns)}
    return [name for name in names if name not in told - {*asked, *_ASKED_ALWAYS}]


_ASKED_ALWAYS = ("clip_score", TEXT_REASONS)
"""What `clip_pct` is told from, and what says that texts are judged for good."""


def order(job: Job) -> Outcome:
    """Which kept samples change places, so that near-duplicates lie apart, and which lie close all the same."""
    paths, settings = job.paths("selected", "kept"), job.recipe.release
    columns = with_split_column(["uid", "dup_group"], settings)
    moved, close = [MOVED.empty_table()], [CLOSE.empty_table()]
    for split in split_names(settings):
        spread = spread_apart(partial(_kept_of_split, paths, columns, split))
        for tables, found in ((moved, spread.moved), (close, spread.close)):
            tables.append(put(found, SPLIT, pa.array([split] * found.num_rows, pa.string())))
    rows = pa.concat_tables(moved)
    write_table(job.attempt.path("rows", "parquet"), rows)
    write_table(job.attempt.path("close", "close.parquet"), pa.concat_tables(close))
    return Outcome(rows.num_rows)


def _kept_of_split(paths: list[Path], columns: list[str], split: str | None) -> Iterator[pa.RecordBatch]:
    return of_split(iter_batches(paths, columns), split)
