"""Texts as lists: duplicates give their words to the survivor, and the caption is one that stands."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.measures import MEASURES
from pipelines.flow.texts import merged_texts, with_blank, with_captions, with_text_field
from shards.schema import MAX_TEXTS, kind_rank

TEXT = pa.struct(
    [("kind", pa.string()), ("text", pa.string()), ("clip_score", pa.float64()), ("drop_reason", pa.string())]
)


def text(kind: str, words: str | None, score: float | None = None, reason: str | None = None) -> dict[str, Any]:
    return {"kind": kind, "text": words, "clip_score": score, "drop_reason": reason}


def table_of(texts: list[list[dict[str, Any]] | None], dup_of: list[str | None] | None = None) -> pa.Table:
    uids = [str(row) for row in range(len(texts))]
    survivors = pa.array(dup_of or [None] * len(texts), pa.string())
    return pa.table({"uid": uids, "dup_of": survivors, "texts": pa.array(texts, pa.list_(TEXT))})


class TestMerging:
    def test_new_words_go_to_the_survivor_and_stay_with_the_fallen(self) -> None:
        table = table_of([[text("alt", "一")], [text("caption", "二"), text("alt", "一")]], [None, "0"])
        first, second = merged_texts(table)["texts"].to_pylist()
        assert [entry["text"] for entry in first] == ["二", "一"]
        assert [entry["text"] for entry in second] == ["二", "一"]

    def test_words_that_fell_are_not_handed_on(self) -> None:
        table = table_of([[text("alt", "一")], [text("caption", "二", reason="too_long")]], [None, "0"])
        assert [entry["text"] for entry in merged_texts(table)["texts"].to_pylist()[0]] == ["一"]

    def test_the_same_words_under_another_kind_are_no_new_ones(self) -> None:
        table = table_of([[text("alt", "一")], [text("caption", "一")], [text("title", "一")]], [None, "0", "0"])
        assert merged_texts(table)["texts"].to_pylist()[0] == [text("alt", "一")]

    def test_two_donors_of_the_same_words_give_them_once(self) -> None:
        table = table_of([[text("alt", "一")], [text("alt", "二")], [text("alt", "二")]], [None, "0", "0"])
        assert [entry["text"] for entry in merged_texts(table)["texts"].to_pylist()[0]] == ["一", "二"]

    def test_who_has_no_words_left_hands_nothing_on(self) -> None:
        table = table_of([[text("alt", "一")], [text("alt", "二", reason="repeated")]], [None, "0"])
        assert merged_texts(table) is table

    def test_without_duplicates_nothing_changes(self) -> None:
        table = table_of([[text("alt", "一")], []])
        assert merged_texts(table) is table

    @given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 10))
    def test_a_survivor_keeps_a_bounded_number_of_texts_standing_ones_first(
        self, own: int, given_texts: int, fallen: int
    ) -> None:
        mine = [text("alt", f"自{n}") for n in range(own)] + [text("alt", f"落{n}", reason="x") for n in range(fallen)]
        theirs = [text("title", f"他{n}") for n in range(given_texts)]
        (found, _) = merged_texts(table_of([mine[:MAX_TEXTS], theirs[:MAX_TEXTS]], [None, "0"]))["texts"].to_pylist()
        assert len(found) <= MAX_TEXTS
        standing = [entry for entry in found if entry["drop_reason"] is None]
        possible = min(own, MAX_TEXTS) + min(given_texts, MAX_TEXTS)
        assert len(standing) == min(MAX_TEXTS, possible)
        assert found == sorted(found, key=lambda entry: (kind_rank(entry["kind"]), entry["text"]))


class TestFields:
    def test_a_field_is_added_in_place_and_missing_lists_stay_missing(self) -> None:
        whole = table_of([[text("alt", "零")], [text("alt", "一"), text("title", "二")], None, [], [text("alt", "三")]])
        table = pa.concat_tables([whole.slice(1, 2), whole.slice(3)])
        for values in ([1, 2, 3], [4, None, 6]):  # the second time in its old place
            table = with_text_field(table, "pair_rank", pa.array(values, pa.int32()))
            lists = table["texts"].to_pylist()
            assert [entry and [one["pair_rank"] for one in entry] for entry in lists] == [
                values[:2],
                None,
                [],
                values[2:],
            ]
            assert [field.name for field in table.schema.field("texts").type.value_type] == [*TEXT.names, "pair_rank"]
        assert [one["text"] for one in lists[0]] == ["一", "二"]

    @pytest.mark.parametrize("rows", [[], [[text("alt", "一")], None]])
    def test_a_measure_that_nobody_has_is_null(self, rows: list[list[dict[str, Any]] | None]) -> None:
        table = with_blank(with_blank(table_of(rows), MEASURES["pair_rank"]), MEASURES["dup_rank"])
        assert table["dup_rank"].to_pylist() == [None] * len(rows)
        assert table.schema.field("texts").type.value_type.field("pair_rank").type == pa.int32()
        assert [one["pair_rank"] for texts in table["texts"].to_pylist() for one in texts or []] == [None] * bool(rows)


class TestCaptions:
    @staticmethod
    def caption(texts: list[dict[str, Any]] | None, order: Any) -> tuple[str | None, str | None]:
        table = with_captions(table_of([texts]), order, ["clip_score"])
        return table["text_kind"][0].as_py(), table["text"][0].as_py()

    @pytest.mark.parametrize(
        ("texts", "order", "expected"),
        [
            ([text("alt", "低", 0.1), text("title", "高", 0.9)], "best_score", ("title", "高")),
            ([text("alt", "低", 0.1), text("title", "高", 0.9, "x")], "best_score", ("alt", "低")),
            ([text("title", "二", 0.5), text("alt", "一", 0.5)], "best_score", ("alt", "一")),
            ([text("title", "二"), text("alt", "一", -0.9)], "best_score", ("alt", "一")),
            ([text("title", "二"), text("alt", "一")], "best_score", ("alt", "一")),
            ([text("alt", "一"), text("title", "二")], ["title", "alt"], ("title", "二")),
            ([text("alt", "一"), text("title", "二")], ["caption"], ("alt", "一")),
            ([text("zebra", "一"), text("apple", "二")], ["caption"], ("apple", "二")),
            ([text("alt", "乙"), text("alt", "甲")], ["alt"], ("alt", "乙")),
            ([text("alt", "一", reason="x"), text("title", "二", reason="x")], ["title"], ("title", "二")),
            ([], "best_score", (None, None)),
            (None, "best_score", (None, None)),
        ],
    )
    def test_the_caption_is_chosen(
        self, texts: list[dict[str, Any]] | None, order: Any, expected: tuple[str | None, str | None]
    ) -> None:
        assert self.caption(texts, order) == expected

    def test_the_caption_s_measures_become_the_sample_s(self) -> None:
        table = with_captions(table_of([[text("alt", "一", 0.4)], []]), "best_score", ["clip_score"])
        assert table["clip_score"].to_pylist() == [0.4, None]
