"""Rules over places in groups of duplicates: ranks among what stands when a rule has its turn, and who stayed."""

from collections.abc import Callable, Collection, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dedup.settings import DedupSettings
from dedup.survivors import pair_rows, rank_in_groups, rank_rows
from filters.judge import judge_samples, one_array
from filters.measures import MEASURES
from filters.rules import PlacedRule, RuleEngine
from pipelines.flow.rows import put
from pipelines.flow.texts import with_blank, with_text_field

_NOBODY = pa.scalar(None, pa.string())


def judge_with_ranks(
    table: pa.Table,
    rules: Sequence[PlacedRule],
    stage: str,
    settings: DedupSettings,
    ranks: Collection[str] = ("dup_rank",),
) -> pa.Table:
    """Judge rows of whole groups: before a rule over a rank has its turn, what stands is ranked anew.

    Adds `ranks`, null where a row or text did not stand to be ranked, and `dup_of`: who has what a row fell for.
    """

    def refresh(rows: pa.Table, rule: PlacedRule) -> pa.Table:
        for name in rule.relative:
            rows = RANKS[name](rows, settings)
        return rows

    for name in ranks:
        table = with_blank(table, MEASURES[name])
    table = judge_samples(table, rules, stage, RuleEngine(), refresh)
    for name in ranks:
        if not _judging(rules, name):
            table = RANKS[name](table, settings)
    return put(table, "dup_of", pc.coalesce(_survivors(table, rules), _holders(table, rules)))


def _with_dup_rank(table: pa.Table, settings: DedupSettings) -> pa.Table:
    return put(table, "dup_rank", rank_in_groups(table, settings.keep))


def _with_pair_rank(table: pa.Table, settings: DedupSettings) -> pa.Table:
    return with_text_field(table, "pair_rank", rank_rows(pair_rows(table, settings.keep)))


RANKS: Mapping[str, Callable[[pa.Table, DedupSettings], pa.Table]] = {
    "dup_rank": _with_dup_rank,
    "pair_rank": _with_pair_rank,
}
"""Places in groups, by name, and what works them out among the rows and texts that stand."""


def _judging(rules: Sequence[PlacedRule], rank: str) -> list[str]:
    return [rule.name for rule in rules if rank in rule.relative]


def _survivors(table: pa.Table, rules: Sequence[PlacedRule]) -> pa.Array:
    """The first-ranked sample of the group, for rows that a rule over `dup_rank` dropped."""
    judging = _judging(rules, "dup_rank")
    if not judging:
        return pa.nulls(table.num_rows, pa.string())
    first = table.filter(pc.equal(table["dup_rank"], 1))
    place = pc.index_in(table["dup_group"], first["dup_group"].combine_chunks())
    return _of_fallen(table, judging, first["uid"].combine_chunks().take(place))


def _holders(table: pa.Table, rules: Sequence[PlacedRule]) -> pa.Array:
    """Who has the first of the texts that a rule over `pair_rank` dropped, for rows that it left without any."""
    judging = _judging(rules, "pair_rank")
    if not judging:
        return pa.nulls(table.num_rows, pa.string())
    lists = one_array(table["texts"])
    texts, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
    group = pc.coalesce(table["dup_group"], table["uid"]).take(owners)
    pair = one_array(pc.binary_join_element_wise(group, texts.field("text"), " "))
    is_first = pc.equal(texts.field("pair_rank"), 1)
    first_uid = one_array(table["uid"].take(owners)).filter(is_first)
    lost = pc.is_in(texts.field("drop_reason"), value_set=pa.array(judging, pa.string()))
    holder = first_uid.take(pc.index_in(pair.filter(lost), pair.filter(is_first)))
    rows = pa.array(range(table.num_rows), owners.type)
    return _of_fallen(table, judging, holder.take(pc.index_in(rows, owners.filter(lost))))


def _of_fallen(table: pa.Table, judging: Sequence[str], survivor: pa.Array) -> pa.Array:
    """The survivor of each row that rules dropped; of nobody else, and nobody survives himself."""
    fell = pc.is_in(table["drop_reason"], value_set=pa.array(judging, pa.string()))
    return one_array(pc.if_else(pc.and_(fell, pc.not_equal(survivor, table["uid"])), survivor, _NOBODY))
