"""Dedup: groups over all hashed samples, judged so that a group's survivor is always one that may live."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.groups import assign_groups
from dedup.settings import DedupSettings
from dedup.survivors import rank_in_groups
from filters.judge import judge_samples
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.measure import INFORMATIVE
from pipelines.flow.rows import count_reasons, looked_up, put, standing
from pipelines.flow.texts import merged_texts
from pipelines.tasks import Batch, Flow, Job, Outcome, Plan, Task
from shards.database import quoted, scratch_database
from shards.parts import fingerprint
from shards.tables import TableWriter, iter_batches, read_row_groups, read_rows, write_table

_VERSION = 1
_HASH_COLUMNS = ["uid", "phash", INFORMATIVE, "stored_sha256", "original_width", "original_height", "drop_reason"]
_GROUPS = pa.schema([("uid", pa.string()), ("dup_group", pa.string())])


def steps(flow: Flow) -> Iterator[Batch]:
    """Group by hash; judge measures; settle each group of several as a whole; judge the others."""
    plan = flow.plan
    measured = flow.refs("measure")
    settings = [_VERSION, plan.recipe.dedup.model_dump()]
    if plan.finds_duplicates:
        yield _single("dedup-groups", [settings, flow.chain("measure")], {"measured": measured})
    groups = flow.refs("dedup-groups")
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("measure")]
    yield _per_part(flow, "dedup-stand", "measure", [_VERSION, rules, flow.chain("dedup-groups")], {"groups": groups})
    rules = [(rule.name, rule.expression) for rule in plan.rules_at("dedup")]
    if _ranks_here(plan):
        stood = flow.refs("dedup-stand")
        yield _single("dedup-rank", [settings, rules, flow.chain("dedup-stand")], {"stood": stood})
    settled = flow.refs("dedup-rank")
    yield _per_part(flow, "dedup", "dedup-stand", [_VERSION, rules, flow.chain("dedup-rank")], {"settled": settled})


def _single(step: str, key: object, inputs: dict[str, object]) -> Batch:
    return Batch(step, (Task(step, 0, fingerprint(step, key), inputs),))


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


def _ranks_here(plan: Plan) -> bool:
    return "dup_rank" in plan.measures and plan.recipe.dedup.keep != "best_score"


def find_groups(job: Job) -> Outcome:
    """`dup_group` of every sample that has a stored copy: a row group per measure part."""
    paths = job.paths("measured")
    hashed = pa.Table.from_batches(list(iter_batches(paths, _HASH_COLUMNS)))
    sizes = [read_rows(path, ["uid"]).num_rows for path in paths]
    leaders = _leaders(hashed, job.recipe.dedup)
    with TableWriter(job.attempt.path("rows", "parquet"), _GROUPS) as writer:
        start = 0
        for size in sizes:
            writer.write_row_group(
                pa.table({"uid": hashed["uid"][start : start + size], "dup_group": leaders[start : start + size]})
            )
            start += size
    return Outcome(hashed.num_rows)


def _leaders(measured: pa.Table, settings: DedupSettings) -> pa.Array:
    """The uid of each row's group leader; null for what was not measured."""
    rows = standing(measured)
    pixels = pc.multiply(rows["original_width"].cast(pa.int64()), rows["original_height"].cast(pa.int64()))
    trusted = pc.if_else(rows[INFORMATIVE], rows["phash"], pa.scalar(None, pa.uint64()))
    leaders = assign_groups(rows["uid"], trusted, rows["stored_sha256"], pixels, settings.distance)
    column = np.full(measured.num_rows, -1, np.int64)
    column[pc.is_null(measured["drop_reason"]).to_numpy(zero_copy_only=False)] = leaders
    return rows["uid"].combine_chunks().take(pa.array(column, mask=column < 0))


def stand(job: Job) -> Outcome:
    """One part with its groups, judged by the rules over measures."""
    table = read_rows(job.path("part"))
    if job.task.inputs["groups"]:
        table = looked_up(table, read_row_groups(job.paths("groups")[0], [job.task.inputs["place"]]), ["dup_group"])
    table = judge_samples(table, job.plan.rules_at("measure"), "measure", RuleEngine())
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows)


def settle(job: Job) -> Outcome:
    """Groups of which several samples stand, judged whole: who stays, who is a duplicate of whom, whose texts merge.

    Writes the rows of these groups, a row group per part.
    """
    paths = job.paths("stood")
    members = _standing_members(paths, _crowded_groups(paths, job))
    rules = job.plan.rules_at("dedup")
    judged = judge_with_ranks(members.sort_by("uid"), rules, "dedup", job.recipe.dedup)
    if job.recipe.dedup.merge_texts:
        judged = merged_texts(judged)
    places = judged["place"]
    judged = judged.drop_columns(["place"])
    with TableWriter(job.attempt.path("rows", "parquet"), judged.schema) as writer:
        for place in range(len(paths)):
            writer.write_row_group(judged.filter(pc.equal(places, place)))
    return Outcome(judged.num_rows)


def _crowded_groups(paths: list[Path], job: Job) -> pa.Array:
    """Groups of which more than one sample stands."""
    with scratch_database(job.attempt.folder) as database:
        found = database.sql(
            f"""
            SELECT dup_group FROM read_parquet({quoted(paths)})
            WHERE drop_reason IS NULL AND dup_group IS NOT NULL GROUP BY dup_group HAVING count(*) > 1
            """
        ).to_arrow_table()
    return found["dup_group"].combine_chunks()


def _standing_members(paths: list[Path], groups: pa.Array) -> pa.Table:
    tables = []
    for place, path in enumerate(paths):
        rows = standing(read_rows(path))
        rows = rows.filter(pc.is_in(rows["dup_group"], value_set=groups))
        tables.append(rows.append_column("place", pa.array(np.full(rows.num_rows, place, np.int64))))
    return pa.concat_tables(tables)


def judge_with_ranks(table: pa.Table, rules: Sequence[PlacedRule], stage: str, settings: DedupSettings) -> pa.Table:
    """Judge rows of whole groups: before a rule over `dup_rank` has its turn, what stands is ranked anew.

    Adds `dup_rank` (null where the row did not stand to be ranked) and `dup_of`, the survivor of those it dropped.
    """

    def refresh(rows: pa.Table, rule: PlacedRule) -> pa.Table:
        return with_ranks(rows, settings) if "dup_rank" in rule.relative else rows

    table = put(table, "dup_rank", pa.nulls(table.num_rows, pa.int32()))
    table = judge_samples(table, rules, stage, RuleEngine(), refresh)
    judging = [rule.name for rule in rules if "dup_rank" in rule.relative]
    if not judging:
        table = with_ranks(table, settings)
    return put(table, "dup_of", _survivors(table, judging))


def with_ranks(table: pa.Table, settings: DedupSettings) -> pa.Table:
    """`dup_rank` among the standing rows of each group; null elsewhere."""
    return put(table, "dup_rank", rank_in_groups(table, settings.keep))


def _survivors(table: pa.Table, judging: list[str]) -> pa.Array:
    """The first-ranked sample of the group, for rows that a rule over `dup_rank` dropped."""
    first = table.filter(pc.equal(table["dup_rank"], 1))
    place = pc.index_in(table["dup_group"], first["dup_group"].combine_chunks())
    survivor = first["uid"].combine_chunks().take(place)
    fell = pc.is_in(table["drop_reason"], value_set=pa.array(judging, pa.string()))
    return pc.if_else(fell, survivor, pa.scalar(None, pa.string()))


def finish(job: Job) -> Outcome:
    """One part with the verdict over its groups; a sample alone in its group ranks first."""
    table = read_rows(job.path("part"))
    rules = job.plan.rules_at("dedup")
    if job.task.inputs["settled"]:
        settled = read_row_groups(job.paths("settled")[0], [job.task.inputs["place"]])
        alone = table.filter(pc.invert(pc.is_in(table["uid"], value_set=settled["uid"].combine_chunks())))
        judged = judge_with_ranks(alone, rules, "dedup", job.recipe.dedup)
        table = pa.concat_tables([judged.select(settled.column_names).cast(settled.schema), settled]).sort_by("uid")
    else:
        table = judge_samples(table, rules, "dedup", RuleEngine())
    counts: dict[str, int] = {}
    count_reasons(counts, table)
    write_table(job.attempt.path("rows", "parquet"), table)
    return Outcome(table.num_rows, counts)
