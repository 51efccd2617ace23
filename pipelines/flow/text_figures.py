"""What the texts of a release hold in numbers: verdicts on them and their kinds, from streamed rows."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.sample_rows import SampleRows

_Kinds = Counter[str | None]
_KIND, _REASON = "texts.list.element.kind", "texts.list.element.drop_reason"
Ints = npt.NDArray[np.int64]


def text_figures(rows: SampleRows, categories: Sequence[str] = (), categories_by: str = "category") -> dict[str, Any]:
    """`text_drops`: texts by the reason that they fell for, of all samples.

    Of kept samples: `text_kinds`, texts, standing ones and captions of each kind, and `kinds_an_image`, samples by
    how many kinds their standing texts have. `category_texts`, of each named category the standing texts by kind.
    """
    tally = _Tally(categories)
    named = [categories_by] if categories else []
    for batch in rows.kept(["text_kind", *named, _KIND, _REASON]):
        tally.add_kept(batch.column("texts"), batch.column("text_kind"))
        if categories:
            tally.add_categories(batch.column("texts"), batch.column(categories_by))
    for batch in rows.dropped([_REASON]):
        tally.add_reasons(batch.column("texts").flatten().field("drop_reason"))
    return tally.figures()


class _Tally:
    """Counts as they grow."""

    def __init__(self, categories: Sequence[str]) -> None:
        self._of_category = {category: _Kinds() for category in categories}
        self._drops = Counter[str]()
        self._texts, self._standing, self._captions = _Kinds(), _Kinds(), _Kinds()
        self._kinds_an_image = Counter[int | None]()

    def add_reasons(self, reasons: pa.Array) -> None:
        _count(self._drops, reasons.drop_null())

    def add_kept(self, lists: pa.ListArray, captions: pa.Array) -> None:
        texts = lists.flatten()
        kinds, stands = texts.field("kind").dictionary_encode(), pc.is_null(texts.field("drop_reason"))
        self.add_reasons(texts.field("drop_reason"))
        _count(self._texts, kinds)
        _count(self._standing, kinds.filter(stands))
        _count(self._captions, captions)
        numbers = _different(kinds, stands, pc.list_parent_indices(lists), len(lists))
        _count(self._kinds_an_image, pa.array(numbers, mask=pc.is_null(lists).to_numpy(zero_copy_only=False)))

    def add_categories(self, lists: pa.ListArray, categories: pa.Array) -> None:
        texts = lists.flatten()
        owners = categories.take(pc.list_parent_indices(lists))
        standing = pa.table({"category": owners, "kind": texts.field("kind")}).filter(
            pc.is_null(texts.field("drop_reason"))
        )
        for row in standing.group_by(["category", "kind"]).aggregate([([], "count_all")]).to_pylist():
            if row["category"] in self._of_category:
                self._of_category[row["category"]][row["kind"]] += row["count_all"]

    def figures(self) -> dict[str, Any]:
        drops = sorted(self._drops.items(), key=lambda entry: (-entry[1], entry[0]))
        kinds = sorted(self._texts.keys() | self._captions.keys(), key=lambda kind: (-self._texts[kind], *_last(kind)))
        images = sorted(self._kinds_an_image.items(), key=lambda entry: _last(entry[0]))
        return {
            "text_drops": [{"reason": reason, "texts": number} for reason, number in drops],
            "text_kinds": [
                {
                    "kind": kind,
                    "texts": self._texts[kind],
                    "standing": self._standing[kind],
                    "captions": self._captions[kind],
                }
                for kind in kinds
            ],
            "category_texts": {
                category: {kind or "": counts[kind] for kind in sorted(counts, key=_last)}
                for category, counts in self._of_category.items()
            },
            "kinds_an_image": [{"kinds": kinds, "samples": number} for kinds, number in images],
        }


def _last(value: Any) -> tuple[bool, Any]:
    """A key that sorts what has no value behind all values."""
    return (value is None, value)


def _count(counts: "Counter[Any]", values: pa.Array) -> None:
    for entry in values.value_counts().to_pylist():
        counts[entry["values"]] += entry["counts"]


def _different(kinds: pa.DictionaryArray, stands: pa.Array, owners: pa.Array, num_rows: int) -> Ints:
    """Of each sample how many kinds its standing texts have; what has no kind is of none."""
    chosen = pc.and_(stands, pc.is_valid(kinds.indices))
    rows, codes = (np.asarray(column.filter(chosen).to_numpy(), np.int64) for column in (owners, kinds.indices))
    has_kind = np.zeros((num_rows, len(kinds.dictionary)), np.bool_)
    has_kind[rows, codes] = True
    return np.asarray(has_kind.sum(axis=1), np.int64)
