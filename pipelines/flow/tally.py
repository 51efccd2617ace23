"""Relative measures at select: shares of all that stands, from streamed parts; shares and places filled in again."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.survivors import Keep, pair_rows
from filters.judge import one_array
from pipelines.flow.rows import looked_up, put
from pipelines.flow.texts import with_text_field

_FIRST = pa.scalar(1, pa.int32())
_NO_PLACE = pa.scalar(None, pa.int32())


def percentiles(tables: Iterable[pa.Table]) -> pa.Table:
    """For each `clip_score` that stands, the share of samples with a lower one: rows of (clip_score, clip_pct).

    Scores are rounded to 1e-4, so the table has at most 20,001 rows whatever the number of samples.
    """
    counts: dict[float, int] = {}
    for table in tables:
        values, numbers = np.unique(_scores(table).drop_null().to_numpy(), return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + number
    scores = sorted(counts)
    numbers = np.array([counts[score] for score in scores], np.float64)
    lower = np.concatenate([[0.0], np.cumsum(numbers)[:-1]]) if scores else numbers
    shares = lower / max(1.0, float(numbers.sum()))
    return pa.table({"clip_score": pa.array(scores, pa.float64()), "clip_pct": pa.array(shares, pa.float64())})


def with_shares(table: pa.Table, tally: pa.Table) -> pa.Table:
    """The table with `clip_pct` from its tally; null for what fell or has no score."""
    place = pc.index_in(_scores(table), tally["clip_score"].combine_chunks())
    share = tally["clip_pct"].combine_chunks().take(place)
    return put(table, "clip_pct", pc.if_else(pc.is_null(table["drop_reason"]), share, pa.scalar(None, share.type)))


def _scores(table: pa.Table) -> pa.ChunkedArray:
    """The scores of a part; none of its samples may have got so far, and then it has no such column."""
    if "clip_score" in table.column_names:
        return table["clip_score"]
    return pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])


def with_later(table: pa.Table, name: str, later: pa.Table, keep: Keep) -> pa.Table:
    """The table with `dup_rank` or `pair_rank`, from those who are `later` than first in their groups.

    Null for what fell, and without a group.
    """
    if name == "pair_rank":
        return _with_pair_rank(table, later, keep)
    is_member = pc.and_(pc.is_null(table["drop_reason"]), pc.is_valid(table["dup_group"]))
    found = looked_up(table, later, [name])
    return put(found, name, pc.if_else(is_member, pc.coalesce(found[name], _FIRST), _NO_PLACE))


def _with_pair_rank(table: pa.Table, later: pa.Table, keep: Keep) -> pa.Table:
    texts = pair_rows(table, keep)
    place = pc.index_in(_named(texts), _named(later).combine_chunks())
    rank = pc.coalesce(later["pair_rank"].combine_chunks().take(place), _FIRST)
    return with_text_field(table, "pair_rank", one_array(pc.if_else(texts["is_standing"], rank, _NO_PLACE)))


def _named(texts: pa.Table) -> pa.ChunkedArray:
    """A text of a sample by one name; uids are of one length."""
    return pc.binary_join_element_wise(texts["uid"], texts["text"], "")
