"""The typed texts of samples as lists: merging those of duplicates, and choosing the caption."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import one_array
from filters.measures import Measure
from pipelines.flow.rows import put
from shards.schema import MAX_TEXTS, kind_rank

Text = dict[str, Any]


def with_text_field(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    """The table with a field of each text set, in its old place or at the end; texts as they lie in the lists."""
    lists = one_array(table["texts"])
    fields = _fields(lists) | {name: column}
    structs = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return put(table, "texts", pa.ListArray.from_arrays(offsets, structs, mask=pc.is_null(lists)))


def with_blank(table: pa.Table, measure: Measure) -> pa.Table:
    """The table with a measure that nobody has yet: null, of each text where it belongs to texts."""
    if measure.level != "text":
        return put(table, measure.name, pa.nulls(table.num_rows, measure.dtype))
    num_texts = len(pc.list_flatten(one_array(table["texts"])))
    return with_text_field(table, measure.name, pa.nulls(num_texts, measure.dtype))


def _fields(lists: pa.ListArray) -> dict[str, pa.Array]:
    structs = pc.list_flatten(lists)
    return dict(zip([field.name for field in structs.type], structs.flatten(), strict=True))


def merged_texts(judged: pa.Table) -> pa.Table:
    """Give the standing texts of each duplicate to its survivor: new wordings only, at most MAX_TEXTS in all."""
    donors = judged.filter(pc.is_valid(judged["dup_of"])).select(["dup_of", "texts"]).to_pylist()
    places = {uid: place for place, uid in enumerate(judged["uid"].to_pylist())}
    texts = judged["texts"].combine_chunks()
    merged: dict[int, list[Text]] = {}
    for donor in donors:
        place = places[donor["dup_of"]]
        own = merged.get(place) or texts[place].as_py()
        known = {text["text"] for text in own}
        new = [text for text in donor["texts"] if text["drop_reason"] is None and text["text"] not in known]
        if new:
            merged[place] = [*own, *new]
    if not merged:
        return judged
    lists = texts.to_pylist()
    for place, own in merged.items():
        lists[place] = sorted(own, key=_standing_first)[:MAX_TEXTS]
        lists[place].sort(key=_by_kind)
    return put(judged, "texts", pa.array(lists, texts.type))


def _standing_first(text: Text) -> tuple[bool, tuple[int, str], str]:
    return (text["drop_reason"] is not None, *_by_kind(text))


def _by_kind(text: Text) -> tuple[tuple[int, str], str]:
    return kind_rank(text["kind"] or ""), text["text"] or ""


def with_captions(table: pa.Table, order: Literal["best_score"] | Sequence[str], measures: Sequence[str]) -> pa.Table:
    """Choose each sample's caption and copy its kind, text and text measures into columns of the sample.

    The caption is a standing text: the one of the best score, or the first by the kinds in `order`; then by kind.
    A sample of which no text stands shows the text that comes first by kind, so that a reader sees what it was.
    """
    lists = one_array(table["texts"])
    chosen = _captions(lists, order)
    fields = _fields(lists)
    for name in ("text", "kind", *measures):
        table = put(table, "text_kind" if name == "kind" else name, fields[name].take(chosen))
    return table


def _captions(lists: pa.ListArray, order: Literal["best_score"] | Sequence[str]) -> pa.Array:
    """The place of each list's caption among all texts; null where a list has none. Most have one text only."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    chosen = np.cumsum(sizes) - sizes
    owners = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.flatnonzero((sizes > 1)[owners])
    texts = pa.table(_fields(lists)).take(pa.array(rows))
    ranked = rows[pc.sort_indices(_wishes(texts, owners[rows], order), sort_keys=_BY_WISH).to_numpy()]
    several, first = np.unique(owners[ranked], return_index=True)
    chosen[several] = ranked[first]
    return pa.array(chosen, mask=sizes == 0)


def _wishes(texts: pa.Table, owners: npt.NDArray[np.int64], order: Literal["best_score"] | Sequence[str]) -> pa.Table:
    """What makes one text the caption of its owner rather than another: the least of each column in turn."""
    kinds = one_array(pc.fill_null(texts["kind"], "")).dictionary_encode()
    names = kinds.dictionary.to_pylist()
    ranks = {name: rank for rank, name in enumerate(sorted(names, key=kind_rank))}
    if order == "best_score":
        scores = texts["clip_score"] if "clip_score" in texts.column_names else pa.nulls(len(texts), pa.float64())
        wish = pc.negate(scores.cast(pa.float64()))
    else:
        places = {name: place for place, name in enumerate(order)}
        wish = pa.array([places.get(name, len(places)) for name in names], pa.float64()).take(kinds.indices)
    return pa.table(
        {
            "owner": owners,
            "fell": pc.cast(pc.is_valid(texts["drop_reason"]), pa.int8()),
            "wish": wish,
            "kind": pa.array([ranks[name] for name in names], pa.int64()).take(kinds.indices),
            "text": pc.fill_null(texts["text"], ""),
        }
    )


_BY_WISH = [(name, "ascending") for name in ("owner", "fell", "wish", "kind", "text")]
