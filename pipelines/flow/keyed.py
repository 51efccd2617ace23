"""Members of keys counted part by part: each part's own groups, and what all parts together say of each of them.

A key is a host, a query, a category. Nobody holds the members of a key together: a part tells how many it has, sums of
one range of keys go back to each part, and a member's place is the number before its part and its place inside.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import one_array
from shards.murmur import hash64

Ints = npt.NDArray[np.int64]

MEMBERS = pa.schema([("uid", pa.string()), ("group", pa.int64()), ("place_inside", pa.int64())])
_NUMBERS = ("value", "place", "group", "members", "marked")
GROUPS = pa.schema([("key", pa.string()), *((name, pa.int64()) for name in _NUMBERS)])
SUMS = pa.schema([("group", pa.int64()), ("before", pa.int64()), ("members", pa.int64()), ("marked", pa.int64())])


def bucket_of_keys(keys: pa.Array | pa.ChunkedArray, num_buckets: int) -> Ints:
    """Bucket of each key, by a hash of its characters: the same in every part. No nulls. int64 [n]."""
    if num_buckets == 1:
        return np.zeros(len(keys), np.int64)
    return np.asarray((hash64(one_array(keys)) >> 1) % num_buckets)


def counted(
    uids: pa.Array | pa.ChunkedArray, keys: pa.Array, values: Ints, place: int, marks: npt.NDArray[np.bool_]
) -> tuple[pa.Table, pa.Table]:
    """MEMBERS and GROUPS of one part, whose uids rise: a group are those of one key and one value to be ordered by.

    Who has no key is no member. `place` is the part's among all, `marks` say which members are counted apart.
    """
    rows = np.flatnonzero(pc.is_valid(keys).to_numpy(zero_copy_only=False))
    words = keys.take(pa.array(rows)).dictionary_encode()
    codes, values = words.indices.to_numpy().astype(np.int64), values[rows]
    order = np.lexsort((values, codes))
    opens = np.ones(len(order), np.bool_)
    opens[1:] = (np.diff(codes[order]) != 0) | (np.diff(values[order]) != 0)
    starts = np.flatnonzero(opens)
    number = np.cumsum(opens) - 1
    inside = np.arange(len(order)) - starts[number]
    sizes = np.diff(np.append(starts, len(order)))
    members = pa.table([uids.take(pa.array(rows[order])), pa.array(number), pa.array(inside + 1)], schema=MEMBERS)
    marked = np.bincount(number, marks[rows][order], len(starts)).astype(np.int64)
    first = order[starts]
    groups = [words.dictionary.take(pa.array(codes[first])), values[first], np.full(len(starts), place, np.int64)]
    groups += [np.arange(len(starts)), sizes, marked]
    return members, pa.table(groups, schema=GROUPS)


def summed(groups: pa.Table) -> tuple[pa.Table, Ints]:
    """SUMS for each group of some whole keys, and the place of its part.

    `before` are the key's members that come first: those of lower values, and of equal ones those in parts before.
    """
    groups = groups.sort_by([(name, "ascending") for name in ("key", "value", "place")])
    sizes, marked = groups["members"].to_numpy(), groups["marked"].to_numpy()
    keys = one_array(groups["key"])
    opens = np.ones(len(groups), np.bool_)
    opens[1:] = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
    number = np.cumsum(opens) - 1
    first = np.flatnonzero(opens)
    ends = np.cumsum(sizes)
    before = ends - sizes
    totals, total_marks = (np.bincount(number, each, len(first)).astype(np.int64) for each in (sizes, marked))
    columns = [groups["group"], before - before[first][number], totals[number], total_marks[number]]
    return pa.table(columns, schema=SUMS), groups["place"].to_numpy()


def placed(uids: pa.ChunkedArray, members: pa.Table, sums: pa.Table) -> dict[str, pa.Array]:
    """For each uid its `rank` from 1, its key's `members` and `marked`; null for who is no member (int64)."""
    row = one_array(pc.index_in(uids, one_array(members["uid"])))
    group = one_array(members["group"]).take(row)
    place = pc.index_in(group, one_array(sums["group"]), skip_nulls=True)
    told = {name: one_array(sums[name]).take(place) for name in ("before", "members", "marked")}
    told["rank"] = pc.add(told.pop("before"), one_array(members["place_inside"]).take(row))
    return told


def order_values(table: pa.Table, first: str) -> Ints:
    """What comes first of a key is lowest: scores in steps of 1e-4, ranks as they are, no value last; by uid all 0."""
    column = {"best_score": "clip_score", "query_rank": "query_rank"}.get(first)
    if column is None:
        return np.zeros(len(table), np.int64)
    if column not in table.column_names:
        return np.full(len(table), _LAST)
    values = pc.fill_null(table[column].cast(pa.float64()), np.nan).to_numpy()
    steps = np.rint(-values * 1e4) if column == "clip_score" else values
    return np.where(np.isnan(steps), _LAST, np.nan_to_num(steps)).astype(np.int64)


_LAST = np.int64(2**40)


def marked_by(table: pa.Table, reasons: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Who fell for one of the reasons, or failed a rule of that name at the stage where it fell."""
    named = pa.array(reasons, pa.string())
    fell = pc.is_in(table["drop_reason"], value_set=named).to_numpy().copy()
    failed = one_array(table["failed_rules"])
    hits = pc.is_in(pc.list_flatten(failed), value_set=named).to_numpy(zero_copy_only=False)
    fell[pc.list_parent_indices(failed).to_numpy()[hits]] = True
    return np.asarray(fell)
