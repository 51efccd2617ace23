"""What the texts of a release hold in numbers: reasons of all samples, kinds of the kept ones."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.flow.sample_rows import StoredRows
from pipelines.flow.text_figures import text_figures
from shards.tables import write_table

_TEXT = pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string())])
_ROWS = pa.schema([("text_kind", pa.string()), ("texts", pa.list_(_TEXT)), ("topic", pa.string())])


def _text(kind: str | None, reason: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "text": "字", "drop_reason": reason}


@pytest.fixture
def paths(tmp_path: Path) -> tuple[list[Path], list[Path]]:
    rows: dict[str, list[tuple[str | None, list[dict[str, Any]] | None]]] = {
        "kept": [
            ("alt", [_text("alt"), _text("alt"), _text("title"), _text("caption", "too_long")]),
            ("title", [_text("title"), _text(None)]),
            (None, []),
            (None, None),
        ],
        "dropped": [("alt", [_text("alt", "too_long"), _text("alt", "ads")]), ("alt", [_text("alt", "too_long")])],
    }
    for name, some in rows.items():
        columns = {"text_kind": [kind for kind, _ in some], "texts": [texts for _, texts in some]}
        columns["topic"] = ["动物", "动物", "风景", None][: len(some)]
        write_table(tmp_path / f"{name}.parquet", pa.table(columns, schema=_ROWS))
    return [tmp_path / "kept.parquet"], [tmp_path / "dropped.parquet"]


def test_reasons_are_of_all_texts_and_the_most_frequent_comes_first(paths: tuple[list[Path], list[Path]]) -> None:
    found = text_figures(StoredRows(*paths))["text_drops"]
    assert found == [{"reason": "too_long", "texts": 3}, {"reason": "ads", "texts": 1}]


def test_kinds_are_of_kept_samples(paths: tuple[list[Path], list[Path]]) -> None:
    kinds = {row.pop("kind"): row for row in text_figures(StoredRows(*paths))["text_kinds"]}
    assert list(kinds) == ["alt", "title", "caption", None]
    assert kinds["alt"] == {"texts": 2, "standing": 2, "captions": 1}
    assert kinds["caption"] == {"texts": 1, "standing": 0, "captions": 0}
    assert kinds[None] == {"texts": 1, "standing": 1, "captions": 2}


def test_kinds_of_an_image_are_those_of_its_standing_texts(paths: tuple[list[Path], list[Path]]) -> None:
    """Two texts of one kind count once, what has no kind not at all; a sample without a list of texts is told apart."""
    found = text_figures(StoredRows(*paths))["kinds_an_image"]
    assert found == [{"kinds": number, "samples": 1} for number in (0, 1, 2, None)]


def test_standing_texts_of_a_category_are_counted_by_kind(paths: tuple[list[Path], list[Path]]) -> None:
    found = text_figures(StoredRows(*paths), ["动物", "风景"], "topic")["category_texts"]
    assert found == {"动物": {"alt": 2, "title": 2, "": 1}, "风景": {}}
    assert text_figures(StoredRows(*paths))["category_texts"] == {}
