"""Relative measures at select: what must be known of all standing samples at once, from streamed parts."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.survivors import rank_in_groups
from pipelines.flow.rows import looked_up, put


def percentiles(tables: Iterable[pa.Table]) -> pa.Table:
    """For each `clip_score` that stands, the share of samples with a lower one: rows of (clip_score, clip_pct).

    Scores are rounded to 1e-4, so the table has at most 20,001 rows whatever the number of samples.
    """
    counts: dict[float, int] = {}
    for table in tables:
        values, numbers = np.unique(table["clip_score"].drop_null().to_numpy(), return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + number
    scores = sorted(counts)
    numbers = np.array([counts[score] for score in scores], np.float64)
    lower = np.concatenate([[0.0], np.cumsum(numbers)[:-1]]) if scores else numbers
    shares = lower / max(1.0, float(numbers.sum()))
    return pa.table({"clip_score": pa.array(scores, pa.float64()), "clip_pct": pa.array(shares, pa.float64())})


def best_of_groups(tables: Iterable[pa.Table]) -> pa.Table:
    """`dup_rank` by best score among the standing samples of each group: rows of (uid, dup_rank)."""
    narrow = pa.concat_tables([table.select(["uid", "dup_group", "clip_score", "drop_reason"]) for table in tables])
    return pa.table({"uid": narrow["uid"], "dup_rank": rank_in_groups(narrow, "best_score")})


def with_relative(table: pa.Table, measure: str, tally: pa.Table) -> pa.Table:
    """The table with a relative measure filled from its tally; null where the row does not stand."""
    if measure == "clip_pct":
        place = pc.index_in(table["clip_score"], tally["clip_score"].combine_chunks())
        filled = put(table, "clip_pct", tally["clip_pct"].combine_chunks().take(place))
    else:
        filled = looked_up(table, tally, [measure])
    column = pc.if_else(pc.is_null(table["drop_reason"]), filled[measure], pa.scalar(None, filled[measure].type))
    return put(filled, measure, column)
