"""What a released format cannot hold of a release, counted while it is written and told at the end."""

from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from shards.layouts import Layout
from shards.schema import kind_rank

ONE_CAPTION = ("text", "text_kind", "texts")
"""Columns of the manifest that `count_one_caption` reads."""

_SAMPLES_AT_ONCE = 4096

Text = tuple[str, str]
"""A text's kind and the text."""


class Losses:
    """What is lost and how often, some of it with what it is made up of, and what is to be said besides."""

    def __init__(self) -> None:
        self._counted: dict[str, Counter[str]] = {}
        self._said: dict[str, None] = {}

    def count(self, num: int, what: str, of: str = "") -> None:
        """`num` more of `what`; `of` tells them apart, such as by kind."""
        if num:
            self._counted.setdefault(what, Counter())[of] += num

    def say(self, what: str) -> None:
        self._said[what] = None

    def lines(self) -> list[str]:
        """The counted ones, the largest first, then the others."""
        counted = sorted(self._counted.items(), key=lambda entry: (-entry[1].total(), entry[0]))
        return [_counted_line(what, counts) for what, counts in counted] + list(self._said)


def _counted_line(what: str, counts: Counter[str]) -> str:
    parts = [f"{num:,} {of}" for of, num in sorted(counts.items(), key=lambda part: (-part[1], part[0])) if of]
    return f"{what}: {counts.total():,}" + (f" ({', '.join(parts)})" if parts else "")


def count_one_caption(losses: Losses, batch: pa.RecordBatch, layout: Layout) -> None:
    """What one caption a sample leaves out: texts beside it, and its kind where it reads back as another."""
    captions = batch.column("text")
    num_captions = len(captions) - captions.null_count
    num_standing = pc.sum(_is_standing(batch.column("texts")), min_count=0).as_py()
    losses.count(num_standing - num_captions, "one caption a sample; further texts left out")
    count_no_text(losses, captions.null_count)
    kinds = batch.column("text_kind").filter(pc.is_valid(captions))
    what = f"captions of other kinds, which read back as {layout.text_kind}"
    for entry in pc.value_counts(kinds).to_pylist():
        if entry["values"] != layout.text_kind:
            losses.count(entry["counts"], what, entry["values"])


def count_no_text(losses: Losses, num: int) -> None:
    losses.count(num, "samples without a text")


def standing_texts(batch: pa.RecordBatch) -> Iterator[list[Text]]:
    """Of each sample the texts that stood, best kind first; a few thousand samples at a time are Python's."""
    for start in range(0, batch.num_rows, _SAMPLES_AT_ONCE):
        lists = batch.column("texts").slice(start, _SAMPLES_AT_ONCE)
        owners = pc.list_parent_indices(lists).filter(_is_standing(lists)).to_pylist()
        texts = lists.flatten().filter(_is_standing(lists))
        found: list[list[Text]] = [[] for _ in range(len(lists))]
        for owner, kind, text in zip(
            owners, *(texts.field(name).to_pylist() for name in ("kind", "text")), strict=True
        ):
            found[owner].append((kind, text))
        for stood in found:
            yield sorted(stood, key=lambda text: kind_rank(text[0])) if len(stood) > 1 else stood


def _is_standing(lists: pa.ListArray) -> pa.Array:
    """Of each text of all the lists whether no rule dropped it."""
    texts = lists.flatten()
    is_text = pc.fill_null(pc.not_equal(texts.field("text"), ""), False)
    return pc.and_(pc.is_null(texts.field("drop_reason")), is_text)


def cut(batches: Iterator[pa.RecordBatch], end: Callable[[int], int]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches cut where files end, each with its file's number; `end(n)` is the first row behind file `n`."""
    file = row = 0
    for batch in batches:
        while batch.num_rows:
            while row >= end(file):
                file += 1
            piece = batch.slice(0, end(file) - row)
            yield file, piece
            row += piece.num_rows
            batch = batch.slice(piece.num_rows)
