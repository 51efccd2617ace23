"""Deciding again: what a run has fetched, measured and scored is taken as it lies there, and nothing else is.

A sample that stands now and lacks what it never came to then cannot be decided: it falls as `not_attempted` at the
stage that it lacks, and the records count it.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.hashes import HASHES, trust_column
from filters.clip.asked import IMAGE_RANK, TEXT_RANK
from filters.judge import one_array
from filters.measures import MEASURES, measures_of
from filters.models.files import is_of_version
from pipelines.flow import lanes, measure
from pipelines.flow.embeddings import ROLE, write_embeddings
from pipelines.flow.fetch import FETCH_PART, read_samples
from pipelines.flow.holders import uid_ranges
from pipelines.flow.measure import judged_downloads, versions_at_measure
from pipelines.flow.rows import blank_drop, count_reasons, put, standing
from pipelines.flow.score import SCORER, scored_measures
from pipelines.flow.texts import with_text_field
from pipelines.tasks import Batch, Flow, Job, Outcome, PartRef, Task
from shards.catalog import planned_parts
from shards.parts import StepFolder, fingerprint
from shards.tables import TableWriter, fit, read_rows, write_table

LACKING_STEPS = ("fetch", "measure", "score")
LACKS = "lacks"
"""In a record's facts: how many samples lack what the step would have given them."""

_REASON = "not_attempted"
_GROUPED = {TEXT_RANK, IMAGE_RANK}


def collected(flow: Flow) -> Iterator[Batch]:
    """The candidates that the run has."""
    parts = _planned(flow)["collect"]
    yield Batch("collect", tuple(Task("collect", index, mark) for index, mark in parts))


def fetched(flow: Flow) -> Iterator[Batch]:
    """The downloads that the run has; what it never fetched comes into parts of its own."""
    for batch in lanes.steps(flow):
        yield replace(batch, tasks=tuple(replace(task, num_rows=None) for task in batch.tasks))


def measured(flow: Flow) -> Iterator[Batch]:
    """One part per fetch part, as ever; what the run measured of its images comes from any of its recipes."""
    known = _measured_parts(flow)
    for batch in measure.steps(flow):
        given = [{**t.inputs, "earlier": known.get(t.inputs["fetched"].fingerprint, [])} for t in batch.tasks]
        pairs = zip(batch.tasks, given, strict=True)
        yield replace(batch, tasks=tuple(replace(task, inputs=inputs, num_rows=None) for task, inputs in pairs))


def scored(flow: Flow) -> Iterator[Batch]:
    """One part per dedup part, if scores are asked for: the run's own, or one with the scores that it has."""
    if not flow.plan.scores:
        return
    of_dedup, of_fetched = _scored_parts(flow)
    tasks = []
    for task in flow.tasks("dedup"):
        there = of_dedup.get(task.ref)
        source = of_fetched.get(task.inputs["fetched"].fingerprint)
        wanted = [scored_measures(flow.plan), flow.plan.embeds]
        mark = there or fingerprint("score again", task.fingerprint, source and source.fingerprint, wanted)
        given = {"dedup": task.ref, "fetched": task.inputs["fetched"], "earlier": source, "embeds": flow.plan.embeds}
        tasks.append(Task("score", task.index, mark, given))
    yield Batch("score", tuple(tasks))


def _planned(flow: Flow) -> dict[str, list[tuple[int, str]]]:
    if flow.context.below is None:
        raise ValueError("only what was run can be decided again")
    return planned_parts(flow.context.below)


def _measured_parts(flow: Flow) -> dict[str, list[PartRef]]:
    """By fetch part, the run's measure parts that know all that is wanted now: the latest recipe's first."""
    latest = {(index, mark) for index, mark in _planned(flow)["measure"]}
    wanted, models = measures_of(flow.plan.measures, "measure", "image"), flow.recipe.models
    found: dict[str, list[PartRef]] = {}
    folder = StepFolder(flow.context.below or flow.context.run, "measure")
    for record in sorted(folder.records(), key=lambda record: (record.index, record.fingerprint) not in latest):
        if all(is_of_version(name, record.meta["measures"], models) for name in wanted) and folder.is_whole(record):
            ref = PartRef("measure", record.index, record.fingerprint)
            found.setdefault(record.meta["fetched"], []).append(ref)
    return found


def _scored_parts(flow: Flow) -> tuple[dict[PartRef, str], dict[str, PartRef]]:
    """The run's score parts: their fingerprints by the dedup part that each was made of, and by fetch part."""
    planned = _planned(flow)
    folder = flow.context.folder("measure")
    by_part = zip(planned["measure"], planned["dedup"], planned["score"], strict=True)
    of_dedup, of_fetched = {}, {}
    for made, judged, (index, mark) in by_part:
        of_dedup[PartRef("dedup", *judged)] = mark
        of_fetched[folder.record(*made).meta["fetched"]] = PartRef("score", index, mark)
    return of_dedup, of_fetched


def leave_unfetched(job: Job) -> Outcome:
    """Samples that the run never fetched, each with the reason for which it has no image."""
    rows = read_samples(job).select(["uid"])
    rows = rows.append_column("drop_reason", pa.array([_REASON] * rows.num_rows, pa.string()))
    rows = rows.append_column("detail", pa.array([_story("fetched")] * rows.num_rows, pa.string()))
    with TableWriter(job.attempt.path("rows", "parquet"), FETCH_PART) as writer:
        writer.write(fit(rows, FETCH_PART))
    facts = {LACKS: rows.num_rows, "uids": uid_ranges([rows["uid"]])}
    return Outcome(rows.num_rows, {_REASON: rows.num_rows}, facts)


def _story(what: str) -> str:
    return f"never {what} by the run that was decided again"


def take_measures(job: Job) -> Outcome:
    """Join samples with their downloads, judge what fetch recorded, take what was measured of the images."""
    table = judged_downloads(read_samples(job), job)
    names = measures_of(job.plan.measures, "measure", "image")
    table, num_lacking = _with_measures(table, names, job) if names else (table, 0)
    versions = versions_at_measure(job.plan)
    facts = {"fetched": job.task.inputs["fetched"].fingerprint, "measures": versions, LACKS: num_lacking}
    return _written(table, job, facts)


def _with_measures(table: pa.Table, names: list[str], job: Job) -> tuple[pa.Table, int]:
    """The measures of standing samples; who stands and was never measured falls. Returns how many do as well."""
    columns = [*names, *(trust_column(name) for name in names if name in HASHES)]
    known = _known_rows(columns, job)
    is_standing = pc.is_null(table["drop_reason"])
    place = one_array(pc.index_in(table["uid"], value_set=one_array(known["uid"])))
    place = pc.if_else(is_standing, place, pa.scalar(None, place.type))
    for name in columns:
        table = put(table, name, one_array(known[name]).take(place))
    return _without_lacking(table, pc.and_(is_standing, pc.is_null(place)), "measure", "measured")


def _known_rows(columns: list[str], job: Job) -> pa.Table:
    """What any recipe measured of the images that lie on the task's fetch part: a row each uid."""
    kinds = [(name, MEASURES[name].dtype if name in MEASURES else pa.bool_()) for name in columns]
    known = pa.schema([("uid", pa.string()), *kinds]).empty_table()
    for ref in job.task.inputs["earlier"]:
        rows = standing(read_rows(job.context.path(ref), ["uid", "drop_reason", *columns])).select(known.column_names)
        is_new = pc.invert(pc.is_in(rows["uid"], value_set=one_array(known["uid"])))
        known = pa.concat_tables([known, rows.filter(is_new).cast(known.schema)])
    return known


def _without_lacking(table: pa.Table, lacking: pa.ChunkedArray, stage: str, what: str) -> tuple[pa.Table, int]:
    table = blank_drop(table, lacking, pa.scalar(_REASON), stage, pa.scalar(_story(what)))
    return table, int(pc.sum(lacking).as_py() or 0)


def take_scores(job: Job) -> Outcome:
    """The scores that standing texts and images have; a sample with a standing text that was never scored falls.

    Places in groups hold for those who stood then: where others stand now, nobody of the part has one.
    """
    table = read_rows(job.path("dedup"))
    names = _standing_texts(table)
    earlier = _scored_rows(job)
    known = _standing_texts(earlier)
    place = pc.index_in(names, value_set=known, skip_nulls=True)
    is_lacking = pc.and_(pc.is_valid(names), pc.is_null(place)).to_numpy(zero_copy_only=False)
    lacking = np.zeros(table.num_rows, np.bool_)
    lacking[pc.list_parent_indices(one_array(table["texts"])).to_numpy()[is_lacking]] = True
    if _GROUPED & set(job.plan.measures) and _in_order(names) != _in_order(_standing_texts(_as_they_stood(earlier))):
        lacking[pc.is_null(table["drop_reason"]).to_numpy(zero_copy_only=False)] = True
    table = _with_scores(table, earlier, place, job)
    table, num_lacking = _without_lacking(table, pa.array(lacking), "score", "scored")
    embedded = _take_embeddings(table, job) if job.task.inputs["embeds"] else {}
    return _written(table, job, {LACKS: num_lacking, **_scorer(job), **embedded})


def _scorer(job: Job) -> dict[str, object]:
    """The model whose scores are taken, as its part's record tells it."""
    earlier = job.task.inputs["earlier"]
    told = None if earlier is None else job.context.record(earlier).meta.get(SCORER)
    return {} if told is None else {SCORER: told}


def _scored_rows(job: Job) -> pa.Table:
    """The samples of the task's fetch part that came to be scored, with what was said of them."""
    of_texts, of_images = (measures_of(job.plan.measures, "score", level) for level in ("text", "image"))
    kinds = [(name, MEASURES[name].dtype) for name in of_images]
    earlier = job.task.inputs["earlier"]
    if earlier is None:
        text = pa.struct([(name, pa.string()) for name in ("text", "drop_reason")])
        text = pa.struct([*text, *((name, MEASURES[name].dtype) for name in of_texts)])
        words = [(name, pa.string()) for name in ("uid", "drop_reason", "dropped_at")]
        return pa.schema([*words, ("texts", pa.list_(text)), *kinds]).empty_table()
    return read_rows(job.context.path(earlier), ["uid", "drop_reason", "dropped_at", "texts", *of_images])


def _as_they_stood(rows: pa.Table) -> pa.Table:
    """Scored samples before any fell for a damaged copy."""
    fell_here = pc.fill_null(pc.equal(rows["dropped_at"], "score"), False)
    return put(rows, "drop_reason", pc.if_else(fell_here, pa.scalar(None, pa.string()), rows["drop_reason"]))


def _with_scores(table: pa.Table, earlier: pa.Table, place: pa.Array, job: Job) -> pa.Table:
    """What was said of texts, which lie at `place` among the earlier ones, and of the images of standing samples."""
    structs = one_array(earlier["texts"]).flatten()
    for name in measures_of(job.plan.measures, "score", "text"):
        table = with_text_field(table, name, structs.field(name).take(place))
    uids = pc.if_else(pc.is_null(table["drop_reason"]), table["uid"], pa.scalar(None, pa.string()))
    rows = one_array(pc.index_in(uids, value_set=one_array(earlier["uid"]), skip_nulls=True))
    for name in measures_of(job.plan.measures, "score", "image"):
        table = put(table, name, one_array(earlier[name]).take(rows))
    return table


def _in_order(names: pa.Array) -> pa.Array:
    known = names.drop_null()
    return known.take(pc.sort_indices(known))


def _standing_texts(table: pa.Table) -> pa.Array:
    """A name for each text of the table that stands on a standing sample, in their order; null for the others."""
    lists = one_array(table["texts"])
    texts, owners = lists.flatten(), pc.list_parent_indices(lists)
    names = pc.binary_join_element_wise(one_array(table["uid"]).take(owners), pc.fill_null(texts.field("text"), ""), "")
    is_standing = pc.and_(
        pc.is_null(texts.field("drop_reason")), pc.is_null(one_array(table["drop_reason"])).take(owners)
    )
    return pc.if_else(is_standing, names, pa.scalar(None, pa.string()))


def _take_embeddings(table: pa.Table, job: Job) -> dict[str, int]:
    """Write the embeddings of the standing images beside the scores; returns how many, and of what dimension."""
    wanted = standing(table)["uid"]
    earlier = job.task.inputs["earlier"]
    if earlier is None:
        known = pa.table({"uid": pa.array([], pa.string()), "embedding": pa.array([], pa.list_(pa.float16(), 1))})
    else:
        known = read_rows(job.context.path(earlier, ROLE))
    rows = known.filter(pc.is_in(known["uid"], value_set=one_array(wanted)))
    write_embeddings(job.attempt.path(ROLE, f"{ROLE}.parquet"), rows)
    size = known.schema.field("embedding").type.list_size
    return {"embedded": rows.num_rows - rows["embedding"].null_count, "dimension": size}


def _written(table: pa.Table, job: Job, facts: dict[str, object]) -> Outcome:
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table, read_once=True)
    return Outcome(table.num_rows, counts, facts)
