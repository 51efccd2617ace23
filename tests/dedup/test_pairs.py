"""Pairs of an image and its words: the same pair is there once, whatever the order of rows."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.survivors import Keep, pair_rows, rank_rows

TEXT = pa.struct([("text", pa.string()), ("clip_score", pa.float64()), ("drop_reason", pa.string())])
SAMPLES = pa.schema(
    [
        *[(name, pa.string()) for name in ("uid", "dup_group", "drop_reason")],
        *[(name, pa.int32()) for name in ("original_width", "original_height")],
        *[(name, pa.float64()) for name in ("sharpness", "clip_score")],
        ("texts", pa.list_(TEXT)),
    ]
)

Words = str | tuple[str | None, float | None, str | None]


def sample(uid: str, group: str | None, side: int | None, *words: Words, reason: str | None = None) -> dict[str, Any]:
    """A text is its words alone, or with a score and a drop reason."""
    texts = [dict(zip(TEXT.names, (one, None, None) if isinstance(one, str) else one, strict=True)) for one in words]
    sides = {"original_width": side, "original_height": side, "sharpness": -float(side or 0)}
    return {"uid": uid, "dup_group": group, "drop_reason": reason, "texts": texts} | sides


def ranks(rows: list[dict[str, Any]], keep: Keep = "largest") -> list[list[int | None]]:
    """The rank of each text, sample by sample."""
    table = pa.Table.from_pylist(rows, SAMPLES)
    found = rank_rows(pair_rows(table, keep))
    assert found.type == pa.int32()
    flat = iter(found.to_pylist())
    return [[next(flat) for _ in row["texts"] or []] for row in rows]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([sample("a", "g", 5, "一")], [[1]]),
        ([sample("a", "g", 5, "一"), sample("b", "g", 9, "一")], [[2], [1]]),
        ([sample("a", "g", 5, "一"), sample("b", "g", 5, "一")], [[1], [2]]),
        ([sample("a", "g", None, "一"), sample("b", "g", 1, "一")], [[2], [1]]),
        # The same image with other words, and other images with the same words.
        ([sample("a", "g", 5, "一"), sample("b", "g", 9, "二")], [[1], [1]]),
        ([sample("a", "g", 5, "一"), sample("b", "h", 9, "一")], [[1], [1]]),
        ([sample("a", "g", 5, "一", "二"), sample("b", "g", 9, "二", "三")], [[1, 2], [1, 1]]),
        ([sample("a", "g", 5, "一"), sample("b", "g", 9, "一 ")], [[1], [1]]),
        # Without a group each is alone.
        ([sample("a", None, 5, "一"), sample("b", None, 9, "一")], [[1], [1]]),
        # What fell is not counted, nor are missing words.
        ([sample("a", "g", 5, "一"), sample("b", "g", 9, "一", reason="small")], [[1], [None]]),
        ([sample("a", "g", 5, "一"), sample("b", "g", 9, ("一", None, "long"))], [[1], [None]]),
        ([sample("a", "g", 5, (None, None, None)), sample("b", "g", 9, (None, None, None))], [[None], [None]]),
        ([sample("a", "g", 5), {**sample("b", "g", 9), "texts": None}, sample("c", "g", 9, "一")], [[], [], [1]]),
    ],
)
def test_a_text_is_ranked_among_equal_ones_of_its_group(
    rows: list[dict[str, Any]], expected: list[list[int | None]]
) -> None:
    assert ranks(rows) == expected
    assert ranks(rows[::-1]) == expected[::-1]


@pytest.mark.parametrize(
    ("keep", "expected"), [("largest", [[2], [1]]), ("sharpest", [[1], [2]]), ("best_score", [[1], [2]])]
)
def test_the_order_is_that_of_keep(keep: Keep, expected: list[list[int | None]]) -> None:
    assert ranks([sample("b", "g", 5, ("一", 0.3, None)), sample("a", "g", 9, ("一", 0.2, None))], keep) == expected


def test_each_text_s_own_score_counts() -> None:
    rows = [
        sample("a", "g", 5, ("一", 0.3, None), ("二", 0.1, None)),
        sample("b", "g", 5, ("一", 0.2, None), ("二", None, None)),
        sample("c", "g", 5, ("二", 0.2, None)),
    ]
    assert ranks(rows, "best_score") == [[1, 2], [2, 3], [1]]


some_samples = st.lists(
    st.tuples(
        st.sampled_from([None, "g", "h"]),
        st.sampled_from([None, 1, 2]),
        st.sets(st.sampled_from(["一", "二", "三"]), max_size=3),
        st.sampled_from([None, None, "small"]),
    ),
    max_size=8,
)


@given(some_samples, st.randoms())
def test_order_and_slices_of_rows_change_nothing_and_each_pair_has_one_first(values: Any, random: Any) -> None:
    rows = [
        sample(f"{number:02d}", group, side, *sorted(words), reason=reason)
        for number, (group, side, words, reason) in enumerate(values)
    ]
    found = {row["uid"]: rank for row, rank in zip(rows, ranks(rows), strict=True)}
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert {row["uid"]: rank for row, rank in zip(shuffled, ranks(shuffled), strict=True)} == found
    firsts = [
        (row["dup_group"] or row["uid"], text["text"])
        for row in rows
        for text, rank in zip(row["texts"], found[row["uid"]], strict=True)
        if rank == 1
    ]
    there = {
        (row["dup_group"] or row["uid"], text["text"])
        for row in rows
        if row["drop_reason"] is None
        for text in row["texts"]
    }
    assert sorted(firsts) == sorted(there)
    table = pa.Table.from_pylist(rows, SAMPLES)
    pieces = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert rank_rows(pair_rows(pieces, "largest")).to_pylist() == [rank for row in rows for rank in found[row["uid"]]]
