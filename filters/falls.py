"""What judged candidates mean for their sample: which reason an image falls for when no text of it is left."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import Bools, Ints, name_lists, one_array
from filters.rules import PlacedRule
from shards.schema import kind_rank


def fell_by_texts(candidates: pa.Table, rules: Sequence[PlacedRule]) -> pa.Table:
    """What judged candidates, sorted by `uid`, say of their samples: one row per uid, in order.

    Reads the columns uid, kind, drop_reason and failed_rules; `rules` are those judged so far, in order of
    judgement. Gives uid, first_row, num_rows, num_standing, decider (the row of the text that stood longest;
    ties by kind, then the first row), drop_reason (null while a text stands), failed_rules, dropped_at.
    """
    starts = _group_starts(candidates["uid"])
    sizes = np.diff(np.append(starts, candidates.num_rows))
    groups = np.repeat(np.arange(len(starts)), sizes)
    order = _fall_order(candidates["drop_reason"], rules)
    longest = np.maximum.reduceat(order, starts) if len(starts) else order
    decider = _deciders(order, longest, groups, candidates["kind"])
    fallen = longest < len(rules)
    standing = np.bincount(groups, order == len(rules), minlength=len(starts)).astype(np.int64)
    reasons = _only(candidates["drop_reason"].take(pa.array(decider)), fallen)
    return pa.table(
        {
            "uid": candidates["uid"].take(pa.array(starts)),
            "first_row": starts,
            "num_rows": sizes,
            "num_standing": standing,
            "decider": decider,
            "drop_reason": reasons,
            "failed_rules": _failed_by_all(candidates["failed_rules"], order, longest, groups, rules),
            "dropped_at": _only(_stage_of(longest, rules), fallen),
        }
    )


def _group_starts(uids: pa.ChunkedArray) -> Ints:
    if len(uids) == 0:
        return np.zeros(0, dtype=np.int64)
    column = one_array(uids)
    changes = pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)


def _fall_order(reasons: pa.ChunkedArray, rules: Sequence[PlacedRule]) -> Ints:
    """Place of each row's reason in the order of judgement: -1 for the web's own, len(rules) for what stands."""
    place = {rule.name: k for k, rule in enumerate(rules)}
    encoded = one_array(reasons).dictionary_encode()
    places = [place.get(name, -1) for name in encoded.dictionary.to_pylist()]
    indices = pc.fill_null(encoded.indices, len(places)).to_numpy(zero_copy_only=False)
    order: Ints = np.array([*places, len(rules)], dtype=np.int64)[indices]
    return order


def _deciders(order: Ints, longest: Ints, groups: Ints, kinds: pa.ChunkedArray) -> Ints:
    encoded = pc.fill_null(one_array(kinds), "").dictionary_encode()
    names = encoded.dictionary.to_pylist()
    ranked = {name: rank for rank, name in enumerate(sorted(names, key=kind_rank))}
    ranks = np.array([ranked[name] for name in names], dtype=np.int64)
    rank = ranks[encoded.indices.to_numpy(zero_copy_only=False)]
    last = np.flatnonzero(order == longest[groups])
    best = np.lexsort((last, rank[last], groups[last]))
    candidates = last[best]
    _, first = np.unique(groups[candidates], return_index=True)
    decider: Ints = candidates[first]
    return decider


def _failed_by_all(
    failed: pa.ChunkedArray, order: Ints, longest: Ints, groups: Ints, rules: Sequence[PlacedRule]
) -> pa.Array:
    """Per group, the rules that every text failed which stood when the group's last stage began."""
    num_groups, width = len(longest), max(len(rules), 1)
    stages = np.array([rule.stage for rule in rules] or [""])
    stage_start = np.array([int(np.argmax(stages == stage)) for stage in stages], dtype=np.int64)
    by_rule = (longest >= 0) & (longest < len(rules))
    entry = np.where(by_rule, stage_start[np.clip(longest, 0, width - 1)], 0)
    stood = by_rule[groups] & (order >= entry[groups])
    num_stood = np.bincount(groups[stood], minlength=num_groups)
    lists = one_array(failed.filter(pa.array(stood)))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    names = pa.array([rule.name for rule in rules], pa.string())
    which = pc.fill_null(pc.index_in(lists.flatten(), names), -1).to_numpy().astype(np.int64)
    cells = (np.repeat(groups[stood], lengths) * width + which)[which >= 0]
    counts = np.bincount(cells, minlength=num_groups * width)
    chosen = counts.reshape(num_groups, width) == np.maximum(num_stood, 1)[:, None]
    return _nulled(name_lists(chosen, names), longest < len(rules))


def _stage_of(order: Ints, rules: Sequence[PlacedRule]) -> pa.Array:
    """The stage of the rule at each place; what the web did was known at `collect`."""
    stages = pa.array(["collect", *(rule.stage for rule in rules), ""])
    return stages.take(pa.array(order + 1))


def _only(column: pa.Array | pa.ChunkedArray, keep: Bools) -> pa.Array | pa.ChunkedArray:
    return pc.if_else(pa.array(keep), column, pa.scalar(None, pa.string()))


def _nulled(lists: pa.Array, keep: Bools) -> pa.Array:
    return lists.take(pa.array(np.arange(len(lists)), mask=~keep))
