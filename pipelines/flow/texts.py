"""The typed texts of samples as lists: merging those of duplicates, and choosing the caption."""

from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.rows import put
from shards.schema import MAX_TEXTS, kind_rank

Text = dict[str, Any]


def merged_texts(judged: pa.Table) -> pa.Table:
    """Give the standing texts of each duplicate to its survivor: new wordings only, at most MAX_TEXTS in all."""
    donors = judged.filter(pc.is_valid(judged["dup_of"])).select(["dup_of", "texts"]).to_pylist()
    places = {uid: place for place, uid in enumerate(judged["uid"].to_pylist())}
    texts = judged["texts"].combine_chunks()
    merged: dict[int, list[Text]] = {}
    for donor in donors:
        place = places[donor["dup_of"]]
        own = merged.setdefault(place, texts[place].as_py())
        known = {text["text"] for text in own}
        own.extend(text for text in donor["texts"] if text["drop_reason"] is None and text["text"] not in known)
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
    chosen = [_caption(texts, order) for texts in table["texts"].to_pylist()]
    fields = table.schema.field("texts").type.value_type
    for name in ("text", "kind", *measures):
        values = [text[name] if text is not None else None for text in chosen]
        table = put(table, "text_kind" if name == "kind" else name, pa.array(values, fields.field(name).type))
    return table


def _caption(texts: list[Text] | None, order: Literal["best_score"] | Sequence[str]) -> Text | None:
    if not texts:
        return None
    standing = [text for text in texts if text["drop_reason"] is None] or texts
    if order == "best_score":
        return min(standing, key=lambda text: (-_score(text), *_by_kind(text)))
    places = {kind: place for place, kind in enumerate(order)}
    return min(standing, key=lambda text: (places.get(text["kind"], len(places)), *_by_kind(text)))


def _score(text: Text) -> float:
    score = text.get("clip_score")
    return float("-inf") if score is None else float(score)
