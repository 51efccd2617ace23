"""Who stays of a group of near-duplicates: a rank among those that still stand."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Keep = Literal["largest", "sharpest", "best_score"]


def rank_in_groups(samples: pa.Table, keep: Keep) -> pa.Array:
    """`dup_rank` (int32), rows as given: the place of each standing sample in its group, from 1.

    The highest value first, no value last, ties by uid; null for rows with a `drop_reason` or without a `dup_group`.
    Reads uid, dup_group, drop_reason and what `keep` compares.
    """
    standing = pc.and_(pc.is_null(samples["drop_reason"]), pc.is_valid(samples["dup_group"]))
    ordered = pa.table(
        {
            "uid": samples["uid"],
            "group": samples["dup_group"],
            "value": keep_values(samples, keep),
            "row": np.arange(samples.num_rows),
        }
    ).filter(standing)
    keys = [("group", "ascending"), ("value", "descending"), ("uid", "ascending")]
    ordered = ordered.take(pc.sort_indices(ordered, sort_keys=keys))
    groups = pc.rank(ordered["group"], tiebreaker="dense").to_numpy()
    opens = np.ones(ordered.num_rows, dtype=np.bool_)
    opens[1:] = groups[1:] != groups[:-1]
    first = np.flatnonzero(opens)[np.cumsum(opens) - 1]
    rank = np.zeros(samples.num_rows, dtype=np.int32)
    rank[ordered["row"].to_numpy()] = np.arange(ordered.num_rows) - first + 1
    return pa.array(rank, mask=rank == 0)


def keep_values(samples: pa.Table, keep: Keep) -> pa.ChunkedArray:
    """What `dedup.keep` compares, more is better: pixels of the original, sharpness, or the sample's clip_score."""
    if keep == "largest":
        return pc.multiply(samples["original_width"].cast(pa.int64()), samples["original_height"].cast(pa.int64()))
    return samples["sharpness" if keep == "sharpest" else "clip_score"]
