"""Relative measures at select: what must be known of all standing samples at once, from streamed parts."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.survivors import pair_rows, rank_in_groups, rank_in_pairs
from filters.judge import one_array
from pipelines.flow.rows import looked_up, put
from pipelines.flow.texts import with_text_field


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


def repeats_in_pairs(tables: Iterable[pa.Table]) -> pa.Table:
    """`pair_rank` by best score of the texts that another sample has before: rows of (uid, text, pair_rank)."""
    pairs = (pair_rows(table, "best_score") for table in tables)
    standing = pa.concat_tables([rows.filter(rows["is_standing"]) for rows in pairs])
    ranked = standing.select(["uid", "text"]).append_column("pair_rank", rank_in_pairs(standing))
    return ranked.filter(pc.greater(ranked["pair_rank"], 1))


TALLIES: Mapping[str, Callable[[Iterable[pa.Table]], pa.Table]] = {
    "clip_pct": percentiles,
    "dup_rank": best_of_groups,
    "pair_rank": repeats_in_pairs,
}
"""Relative measure -> what makes its tally of the standing samples."""


def with_relative(table: pa.Table, measure: str, tally: pa.Table) -> pa.Table:
    """The table with a relative measure filled from its tally; null where the row or text does not stand."""
    if measure == "pair_rank":
        return _with_pair_rank(table, tally)
    if measure == "clip_pct":
        place = pc.index_in(table["clip_score"], tally["clip_score"].combine_chunks())
        filled = put(table, "clip_pct", tally["clip_pct"].combine_chunks().take(place))
    else:
        filled = looked_up(table, tally, [measure])
    column = pc.if_else(pc.is_null(table["drop_reason"]), filled[measure], pa.scalar(None, filled[measure].type))
    return put(filled, measure, column)


def _with_pair_rank(table: pa.Table, repeats: pa.Table) -> pa.Table:
    texts = pair_rows(table, "best_score")
    place = pc.index_in(_named(texts), _named(repeats).combine_chunks())
    rank = pc.coalesce(repeats["pair_rank"].combine_chunks().take(place), pa.scalar(1, pa.int32()))
    column = pc.if_else(texts["is_standing"], rank, pa.scalar(None, pa.int32()))
    return with_text_field(table, "pair_rank", one_array(column))


def _named(texts: pa.Table) -> pa.ChunkedArray:
    """A text of a sample by one name; uids are of one length."""
    return pc.binary_join_element_wise(texts["uid"], texts["text"], "")
