"""Who stays of a group of near-duplicates, and of the same words within it: ranks among those that still stand."""

from collections.abc import Sequence
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
    return rank_rows(group_rows(samples, keep))


def group_rows(samples: pa.Table, keep: Keep) -> pa.Table:
    """A row for each sample, as given: uid, group, is_standing, and the `value` to rank by."""
    is_standing = pc.and_(pc.is_null(samples["drop_reason"]), pc.is_valid(samples["dup_group"]))
    columns = {"uid": samples["uid"], "group": samples["dup_group"], "is_standing": is_standing}
    return pa.table({**columns, "value": keep_values(samples, keep)})


def pair_rows(samples: pa.Table, keep: Keep) -> pa.Table:
    """A row for each text, as they lie in the lists `texts`: uid, group, text, is_standing, and the `value` to rank by.

    A sample without a group is one of its own. With `best_score` the text's own `clip_score` counts, not its sample's
    best. A text stands if it and its sample do; missing words never do.
    """
    lists = pa.concat_arrays(samples["texts"].chunks) if samples.num_rows else samples["texts"].combine_chunks()
    texts, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
    fields = {field.name: column for field, column in zip(texts.type, texts.flatten(), strict=True)}
    stands = pc.and_(pc.is_null(samples["drop_reason"]).take(owners), pc.is_null(fields["drop_reason"]))
    value = fields["clip_score"] if keep == "best_score" else keep_values(samples, keep).take(owners)
    return pa.table(
        {
            "uid": samples["uid"].take(owners),
            "group": pc.coalesce(samples["dup_group"], samples["uid"]).take(owners),
            "text": fields["text"],
            "is_standing": pc.and_(stands, pc.is_valid(fields["text"])),
            "value": value,
        }
    )


def rank_rows(rows: pa.Table) -> pa.Array:
    """The place (int32, from 1) of each standing row of `group_rows` in its group, by `value`, then by `uid`.

    Of `pair_rows` among those with the same text: COYO-700M's rule, the same image with the same words is there once,
    with other words it stays. Null for what does not stand.
    """
    return _places(rows, [name for name in ("group", "text") if name in rows.column_names], rows["is_standing"])


def keep_values(samples: pa.Table, keep: Keep) -> pa.ChunkedArray:
    """What `dedup.keep` compares, more is better: pixels of the original, sharpness, or the sample's clip_score."""
    if keep == "largest":
        return pc.multiply(samples["original_width"].cast(pa.int64()), samples["original_height"].cast(pa.int64()))
    return samples["sharpness" if keep == "sharpest" else "clip_score"]


def _places(rows: pa.Table, keys: Sequence[str], standing: pa.ChunkedArray) -> pa.Array:
    """The place of each standing row among those that share its keys, by `value` from above, then by `uid`."""
    ordered = rows.append_column("row", pa.array(np.arange(rows.num_rows))).filter(standing)
    order = [*((key, "ascending") for key in keys), ("value", "descending"), ("uid", "ascending")]
    ordered = ordered.take(pc.sort_indices(ordered, sort_keys=order))
    opens = np.zeros(ordered.num_rows, dtype=np.bool_)
    opens[:1] = True
    for key in keys:
        opens[1:] |= pc.not_equal(ordered[key][1:], ordered[key][:-1]).to_numpy()
    first = np.flatnonzero(opens)[np.cumsum(opens) - 1]
    places = np.zeros(rows.num_rows, dtype=np.int32)
    places[ordered["row"].to_numpy()] = np.arange(ordered.num_rows) - first + 1
    return pa.array(places, mask=places == 0)
