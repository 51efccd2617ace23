"""Measures of balance as a turn found them: places and numbers by key, a host's bad share, the odds of a caption."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.balance import Matches, keep_probabilities
from filters.judge import one_array
from pipelines.flow.keyed import placed
from pipelines.flow.rows import put
from pipelines.flow.shuffle import read_bucket
from pipelines.tasks import Job, PartRef, Plan
from shards.tables import read_rows

BALANCE = "balance_prob"
"""The one that is told by the entries which captions hold."""

BAD_SHARE = "host_bad_share"
KEYS = ("query", "host", "category")
KEYED = (*(f"{key}_{what}_kept" for key in KEYS for what in ("rank", "count")), BAD_SHARE)
"""Those that are told by key: by query, host or category."""


@dataclass(frozen=True)
class Keyed:
    """By judged part, whose key each sample is of; by range of keys, what each part is told of its own."""

    members: tuple[PartRef, ...]
    sums: tuple[PartRef, ...]


@dataclass(frozen=True)
class Balanced:
    """By judged part, the entries that captions hold; and the probability of each entry."""

    matches: tuple[PartRef, ...]
    entries: PartRef


def role_of(measure: str) -> str:
    """By what a measure of KEYED is told: one of KEYS, or the host with all that fell."""
    return measure if measure == BAD_SHARE else measure.partition("_")[0]


def columns_of_key(plan: Plan) -> tuple[str, ...]:
    """The columns that hold the keys which the plan's measures count by, and what orders their members."""
    balance, roles = plan.recipe.balance, {role_of(name) for name in plan.measures if name in KEYED}
    columns = {"query": "query", "category": balance.category, "host": "host", BAD_SHARE: "host"}
    ordering = ("query_rank",) if roles and balance.first == "query_rank" else ()
    return (*(columns[role] for role in sorted(roles)), *ordering)


def with_keyed(table: pa.Table, measure: str, keyed: Keyed, place: int, job: Job) -> pa.Table:
    """A place from 1 or a number among what stood at the turn, or the bad share of all; null for who did not stand."""
    role = role_of(measure)
    members = read_rows(job.context.path(keyed.members[place], f"{role}-members"))
    sums = read_bucket([job.context.path(ref, role) for ref in keyed.sums], place)
    told = placed(table["uid"], members, sums)
    if measure == BAD_SHARE:
        column = pc.divide(told["marked"].cast(pa.float64()), told["members"].cast(pa.float64()))
    else:
        column = told["rank" if measure.endswith("_rank_kept") else "members"]
    stands = pc.is_null(table["drop_reason"])
    return put(table, measure, pc.if_else(stands, column, pa.scalar(None, column.type)))


def with_balance(table: pa.Table, balanced: Balanced, place: int, job: Job) -> pa.Table:
    """The probability with which each caption stays; null for who did not stand."""
    held = read_rows(job.context.path(balanced.matches[place]))
    row = pc.index_in(held["uid"], one_array(table["uid"]))
    held, row = held.filter(pc.is_valid(row)), row.drop_null()
    matches = Matches(row.to_numpy().astype(np.int64), held["entry"].to_numpy().astype(np.int64))
    probabilities = read_rows(job.context.path(balanced.entries), ["probability"])["probability"].to_numpy()
    order = np.argsort(matches.texts, kind="stable")
    kept = keep_probabilities(Matches(matches.texts[order], matches.entries[order]), probabilities, len(table))
    return put(table, BALANCE, pc.if_else(pc.is_null(table["drop_reason"]), kept, pa.scalar(None, pa.float64())))
