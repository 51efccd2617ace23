"""The rules of select in their turns: before a relative one, what is known of all samples that stand then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge_samples
from filters.measures import MEASURES
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.balanced import BALANCE, KEYED, Balanced, Keyed, with_balance, with_keyed
from pipelines.flow.rows import put, standing
from pipelines.flow.shuffle import read_bucket
from pipelines.flow.tally import with_later, with_shares
from pipelines.flow.text_verdicts import TEXT_REASONS, with_no_texts
from pipelines.flow.texts import with_blank, with_captions
from pipelines.tasks import Job, PartRef, Plan
from shards.tables import iter_tables, read_rows

BY_CLUSTER = "sem_dup_cos"
"""The relative measure that is worked out by clusters of embeddings; places in groups are, by group."""

TALLIED = "clip_pct"
"""The relative measure that is told from one table over all samples."""

BY_GROUP = ("dup_rank", "pair_rank")
"""Those that are told by group of duplicates."""

MADE = (
    *("select-judge", "select-tally", "select-cosines", "select-ranks"),
    *("select-sums", "select-balance"),
)
"""The steps whose parts decide what stands at a later turn."""

NEAR_UID = "sem_dup_of"
"""Whose image `sem_dup_cos` compares with."""


@dataclass(frozen=True)
class Relation:
    """What a turn made of what its rule names: a tally of shares, cosines by cluster, places in groups or by key."""

    tally: PartRef | None = None
    cosines: tuple[PartRef, ...] = ()
    places: tuple[PartRef, ...] = ()
    keyed: Keyed | None = None
    balanced: Balanced | None = None


Relations = dict[str, Relation]
"""By rule. The name "" stands for the turn after the last rule."""


def relative_rules(plan: Plan) -> list[PlacedRule]:
    """The rules of select that need to know of all standing samples, in their turns."""
    return [rule for rule in plan.rules_at("select") if rule.relative]


def last_turn(plan: Plan) -> tuple[str, ...]:
    """The relative measures that are asked for and that no rule of select names: told of what stands in the end."""
    ranks = BY_GROUP if plan.recipe.dedup.dup_rank_stage == "select" else ()
    named = {name for rule in relative_rules(plan) for name in rule.relative}
    known = (TALLIED, BY_CLUSTER, *ranks, *KEYED, BALANCE)
    return tuple(name for name in known if name in plan.measures and name not in named)


def rules_before(plan: Plan, turn: int) -> tuple[PlacedRule, ...]:
    """The rules that are judged before a turn, by its place among the relative ones; all of them behind the last."""
    rules = plan.rules_at("select")
    relative = relative_rules(plan)
    return rules[: rules.index(relative[turn])] if turn < len(relative) else rules


def standing_at(path: Path, place: int, job: Job, columns: Sequence[str] | None = None) -> pa.Table:
    """The samples of one judged part that stand when the job's turn comes, with their captions so far.

    Where no rule has had its turn before, `columns` of them.
    """
    return standing(rows_at(path, place, job, columns, standing))


def rows_at(
    path: Path,
    place: int,
    job: Job,
    columns: Sequence[str] | None = None,
    chosen: Callable[[pa.Table], pa.Table] = lambda table: table,
) -> pa.Table:
    """The same with what fell, too, or with the rows that are `chosen` piece by piece."""
    rules = rules_before(job.plan, job.task.inputs["turn"])
    if not rules:
        return chosen(read_rows(path, columns))
    tables = (judged_by(table, place, rules, job) for table in iter_tables(path))
    return pa.concat_tables([_some(chosen(captioned(table, job)), columns) for table in tables])


def _some(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    """Those of the columns that the table has."""
    return table if columns is None else table.select([name for name in columns if name in table.column_names])


def judged_by(table: pa.Table, place: int, rules: Sequence[PlacedRule], job: Job) -> pa.Table:
    """Rows of a judged part, the `place`th, judged by some rules of select, relative ones by what their turns made."""
    relations: Relations = job.task.inputs["relations"]

    def refresh(table: pa.Table, rule: PlacedRule) -> pa.Table:
        for measure in rule.relative:
            table = with_relative(table, measure, relations[rule.name], place, job)
        return table

    for name in sorted({name for rule in rules for name in rule.relative}):
        if name not in table.column_names:
            table = with_blank(table, MEASURES[name])
    judged = judge_samples(with_no_texts(table), rules, "select", RuleEngine(), refresh)
    return judged if "texts" in table.column_names else judged.drop_columns(["texts"])


def with_relative(table: pa.Table, measure: str, relation: Relation, place: int, job: Job) -> pa.Table:
    """The table of the `place`th judged part with a relative measure as its turn found it."""
    if measure == BY_CLUSTER:
        return with_cosines(table, relation, place, job)
    if measure == TALLIED and relation.tally is not None:
        return with_shares(captioned(table, job), read_rows(job.context.path(relation.tally)))
    if relation.keyed is not None and measure in KEYED:
        return with_keyed(table, measure, relation.keyed, place, job)
    if relation.balanced is not None and measure == BALANCE:
        return with_balance(table, relation.balanced, place, job)
    paths = [job.context.path(ref, measure) for ref in relation.places]
    return with_later(table, measure, read_bucket(paths, place), job.recipe.dedup.keep)


def captioned(table: pa.Table, job: Job) -> pa.Table:
    """The table with each sample's would-be caption; what came without texts has the one that it keeps."""
    if TEXT_REASONS in table.column_names:
        return table
    fields = {field.name for field in table.schema.field("texts").type.value_type}
    names = [name for name in job.plan.measures if name in fields]
    return with_captions(table, job.recipe.release.caption, names)


def with_cosines(table: pa.Table, relation: Relation, place: int, job: Job) -> pa.Table:
    """`sem_dup_cos` and `sem_dup_of` of who stood at a turn; what others have of earlier turns they keep."""
    if not relation.cosines:
        return table
    known = read_bucket([job.context.path(ref) for ref in relation.cosines], place)
    found = pc.index_in(table["uid"], known["uid"].combine_chunks())
    for name in (BY_CLUSTER, NEAR_UID):
        column = known[name].combine_chunks().take(found)
        if name in table.column_names:
            column = pc.if_else(pc.is_valid(found), column, table[name])
        table = put(table, name, column)
    return table
