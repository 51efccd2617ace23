"""The rules of select in their turns: before a relative one, what is known of all samples that stand then."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import judge_samples
from filters.measures import MEASURES
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.rows import put, standing
from pipelines.flow.shuffle import read_bucket
from pipelines.flow.tally import with_relative
from pipelines.flow.texts import with_blank, with_captions
from pipelines.tasks import Job, PartRef, Plan
from shards.tables import read_rows

BY_CLUSTER = "sem_dup_cos"
"""The relative measure that is worked out by clusters of embeddings; all others are tallied."""

NEAR_UID = "sem_dup_of"
"""Whose image `sem_dup_cos` compares with."""


@dataclass(frozen=True)
class Relation:
    """What a turn made: a tally, where its rule names a measure that is tallied, and cosines by cluster, where one."""

    tally: PartRef | None = None
    cosines: tuple[PartRef, ...] = ()


Relations = dict[str, Relation]
"""By rule. The name "" stands for the turn after the last rule."""


def relative_rules(plan: Plan) -> list[PlacedRule]:
    """The rules of select that need to know of all standing samples, in their turns."""
    return [rule for rule in plan.rules_at("select") if rule.relative]


def rules_before(plan: Plan, turn: int) -> tuple[PlacedRule, ...]:
    """The rules that are judged before a turn, by its place among the relative ones; all of them behind the last."""
    rules = plan.rules_at("select")
    relative = relative_rules(plan)
    return rules[: rules.index(relative[turn])] if turn < len(relative) else rules


def standing_at(path: Path, place: int, job: Job) -> pa.Table:
    """The samples of one judged part that stand when the job's turn comes, with their captions so far."""
    rules = rules_before(job.plan, job.task.inputs["turn"])
    return standing(captioned(judged_by(path, place, rules, job), job))


def judged_by(path: Path, place: int, rules: Sequence[PlacedRule], job: Job) -> pa.Table:
    """One judged part, the `place`th, judged by some of the select rules, relative ones by what their turns made."""
    relations: Relations = job.task.inputs["relations"]

    def refresh(table: pa.Table, rule: PlacedRule) -> pa.Table:
        relation = relations[rule.name]
        for measure in rule.relative:
            if measure == BY_CLUSTER:
                table = with_cosines(table, relation, place, job)
            elif relation.tally is not None:
                table = captioned(table, job)
                table = with_relative(table, measure, read_rows(job.context.path(relation.tally, measure)))
        return table

    table = read_rows(path)
    for name in sorted({name for rule in rules for name in rule.relative}):
        if name not in table.column_names:
            table = with_blank(table, MEASURES[name])
    return judge_samples(table, rules, "select", RuleEngine(), refresh)


def captioned(table: pa.Table, job: Job) -> pa.Table:
    """The table with each sample's would-be caption."""
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
