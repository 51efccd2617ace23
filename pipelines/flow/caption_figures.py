"""What the captions of a release hold in numbers: the table that the released sets print, from streamed rows."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import HAN, Counts, TextColumn, bounded_slices
from filters.judge import one_array
from filters.tokens import DifferentTokens, characters_of, tokens_of
from pipelines.flow.histograms import bin_edges
from pipelines.flow.sample_rows import SampleRows

SCRIPTS = ("mostly_han", "some_han", "no_han")
"""What a caption is written in: at least half of its characters Han, some of them, none."""

_Lengths = Counter[int]
_MEASURED = "num_tokens"
_MOST_OF_CATEGORY = 4096
"""Different runs that are counted exactly in one category; beyond, with a standard error of 1.6 %."""


def caption_figures(rows: SampleRows, categories: Sequence[str], categories_by: str = "category") -> dict[str, Any]:
    """Figures of the captions of kept samples: of all, and of each category that is named, by the column of them.

    `characters` and `tokens` are spreads over captions: mean, std (of the population), median and a histogram. Where
    the measure `num_tokens` was taken, `tokens` is of it, in the pieces of its vocabulary; `different_tokens` never is.
    """
    tally = _Tally(categories, categories_by)
    for batch in rows.kept(["text", categories_by, _MEASURED]):
        tally.add(batch)
    return tally.figures()


class _OfCategory:
    """Counts of one category."""

    def __init__(self) -> None:
        self.characters, self.tokens = _Lengths(), _Lengths()
        self.different = DifferentTokens(_MOST_OF_CATEGORY)

    def figures(self) -> dict[str, Any]:
        return {
            "characters": _moments(self.characters),
            "tokens": _moments(self.tokens),
            "different_tokens": self.different.tokens,
            "different_tokens_exact": self.different.is_exact,
        }


class _Tally:
    """Counts as they grow; a length is counted, not kept, so that memory does not grow with captions."""

    def __init__(self, categories: Sequence[str], categories_by: str) -> None:
        self._by = categories_by
        self._is_measured = False
        self._different = DifferentTokens()
        self._characters, self._tokens = _Lengths(), _Lengths()
        self._scripts = Counter[str]()
        self._of_category = {category: _OfCategory() for category in categories}

    def add(self, batch: pa.RecordBatch) -> None:
        rows = pa.Table.from_batches([batch]).filter(pc.is_valid(batch.column("text")))
        self._is_measured |= _MEASURED in rows.column_names
        first = 0
        for texts in bounded_slices(one_array(rows["text"])):
            column, categories = TextColumn(texts), rows[self._by].slice(first, len(texts))
            self._add(column, categories, _tokens(column, rows.slice(first, len(texts))))
            first += len(texts)

    def _add(self, column: TextColumn, categories: pa.ChunkedArray, tokens: Counts) -> None:
        characters = characters_of(column)
        self._different.add(column)
        _count(self._characters, characters)
        _count(self._tokens, tokens)
        han = column.count(HAN)
        some = int(((han > 0) & (2 * han < characters)).sum())
        mostly = int(((han > 0) & (2 * han >= characters)).sum())
        self._scripts.update(mostly_han=mostly, some_han=some, no_han=len(han) - mostly - some)
        for category, counts in self._of_category.items():
            inside = pc.fill_null(pc.equal(categories, category), False).to_numpy()
            if inside.any():
                _count(counts.characters, characters[inside])
                _count(counts.tokens, tokens[inside])
                counts.different.add(TextColumn(column.texts.filter(pa.array(inside))))

    def figures(self) -> dict[str, Any]:
        return {
            "captions": self._characters.total(),
            "different_characters": self._different.characters,
            "different_tokens": self._different.tokens,
            "different_tokens_exact": self._different.is_exact,
            "tokens_measured": self._is_measured,
            "characters": _spread(self._characters),
            "tokens": _spread(self._tokens),
            "scripts": {script: self._scripts[script] for script in SCRIPTS},
            "categories": {category: counts.figures() for category, counts in self._of_category.items()},
        }


def _tokens(column: TextColumn, rows: pa.Table) -> Counts:
    """As they were measured, or as BERT's basic tokenizer cuts where they were not."""
    if _MEASURED not in rows.column_names:
        return tokens_of(column)
    measured = rows[_MEASURED].cast(pa.int64())
    if measured.null_count:
        measured = pc.coalesce(measured, pa.array(tokens_of(column)))
    return np.asarray(measured.to_numpy(), np.int64)


def _count(lengths: _Lengths, values: Counts) -> None:
    found, numbers = np.unique(values, return_counts=True)
    for length, number in zip(found.tolist(), numbers.tolist(), strict=True):
        lengths[length] += number


def _moments(lengths: Mapping[int, int]) -> dict[str, Any] | None:
    """n, mean, std, median (the lower of two), least and greatest; null without a caption."""
    n = sum(lengths.values())
    if not n:
        return None
    total = sum(length * number for length, number in lengths.items())
    squares = sum(length * length * number for length, number in lengths.items())
    mean, std = total / n, math.sqrt(n * squares - total * total) / n
    return {
        "n": n,
        "mean": round(mean, 4),
        "std": round(std, 4),
        "median": _quantile(lengths, n, 2),
        "least": min(lengths),
        "greatest": max(lengths),
    }


def _quantile(lengths: Mapping[int, int], n: int, quarters: int) -> int:
    """The value at so many quarters of the way, as `quantile_disc` takes it."""
    before = 0
    for length in sorted(lengths):
        before += lengths[length]
        if 4 * before >= quarters * n:
            return length
    raise ValueError("no values")


def _spread(lengths: Mapping[int, int]) -> dict[str, Any] | None:
    """The moments, and a histogram in the form that measures have."""
    found = _moments(lengths)
    if found is None:
        return None
    scale, edges = bin_edges(found["least"], found["median"], found["greatest"], is_whole=True)
    bins = Counter[int]()
    for length, number in lengths.items():
        bins[max(0, int(np.searchsorted(edges[1:], length, side="left")))] += number
    quartiles = [_quantile(lengths, found["n"], quarters) for quarters in (1, 2, 3)]
    histogram = [[place, "kept", bins[place]] for place in sorted(bins)]
    return {**found, "quartiles": quartiles, "scale": scale, "edges": edges, "histogram": histogram}
