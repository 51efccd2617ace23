"""Tables of samples: counting, joining by uid, and setting rows aside."""

import pyarrow as pa
import pytest

from pipelines.flow.narrow import mark_skipped, only_taken
from pipelines.flow.rows import blank_drop, count_reasons, looked_up, put, relisted, standing
from pipelines.tasks import RowFilter


def samples(reasons: list[str | None]) -> pa.Table:
    size = len(reasons)
    return pa.table(
        {
            "uid": [str(row) for row in range(size)],
            "drop_reason": pa.array(reasons, pa.string()),
            "detail": pa.nulls(size, pa.string()),
            "dropped_at": pa.nulls(size, pa.string()),
        }
    )


def test_reasons_add_up_over_tables() -> None:
    counts: dict[str, int] = {}
    for reasons in (["a", None, "a"], [None, "b"], []):
        count_reasons(counts, samples(reasons))
    assert counts == {"a": 2, "standing": 2, "b": 1}


def test_what_stands_has_no_reason() -> None:
    assert standing(samples(["a", None])).column("uid").to_pylist() == ["1"]
    assert standing(samples([])).num_rows == 0


def test_a_column_keeps_its_place_or_comes_last() -> None:
    table = pa.table({"a": [1], "b": [2]})
    assert put(table, "a", pa.array([3])).to_pydict() == {"a": [3], "b": [2]}
    assert put(table, "c", pa.array([3])).column_names == ["a", "b", "c"]


def test_columns_are_looked_up_by_uid_and_null_where_there_is_none() -> None:
    other = pa.table({"uid": ["2", "0"], "n": [20, 0]})
    assert looked_up(samples([None] * 3), other, ["n"])["n"].to_pylist() == [0, None, 20]
    assert looked_up(samples([None]), other.slice(0, 0), ["n"])["n"].to_pylist() == [None]


def test_only_what_stands_is_dropped() -> None:
    table = samples([None, "a", None])
    words, details = pa.array(["x", "y", "z"]), pa.array(["1", "2", "3"])
    table = blank_drop(table, pa.array([True, True, False]), words, "fetch", details)
    assert table["drop_reason"].to_pylist() == ["x", "a", None]
    assert table["dropped_at"].to_pylist() == ["fetch", None, None]
    assert table["detail"].to_pylist() == ["1", None, None]


def test_a_field_is_added_to_the_structs_of_lists() -> None:
    lists = pa.array([[{"a": 1}, {"a": 2}], None, [], [{"a": 3}]])
    assert relisted(lists, "b", pa.array([10, 20, 30])).to_pylist() == [
        [{"a": 1, "b": 10}, {"a": 2, "b": 20}],
        None,
        [],
        [{"a": 3, "b": 30}],
    ]


@pytest.mark.parametrize(
    ("only", "first_place", "taken"),
    [
        (None, 0, ["0", "1", "2", "3"]),
        ((0, 4), 0, ["0", "1", "2", "3"]),
        ((1, 3), 0, ["1", "2"]),
        ((3, 9), 0, ["3"]),
        ((2, 2), 0, []),
        ((11, 13), 10, ["1", "2"]),
        ((0, 10), 10, []),
        ((14, 20), 10, []),
        ((5, 11), 10, ["0"]),
    ],
)
def test_while_a_part_is_narrowed_only_a_range_is_tried(
    only: tuple[int, int] | None, first_place: int, taken: list[str]
) -> None:
    table = samples([None] * 4)
    assert only_taken(table, RowFilter(only=only), first_place)["uid"].to_pylist() == taken


def test_rows_set_aside_get_their_reason_where_they_had_none() -> None:
    rows = RowFilter(skip={10: "bad_row", 12: "worker_oom", 99: "bad_row", 3: "bad_row"})
    table = mark_skipped(samples([None, None, "too_small", None]), rows, 10, stage="measure")
    assert table["drop_reason"].to_pylist() == ["bad_row", None, "too_small", None]
    assert table["detail"].to_pylist() == ["set aside in dead/", None, None, None]
    assert table["dropped_at"].to_pylist() == ["measure", None, None, None]


def test_nothing_set_aside_changes_nothing() -> None:
    table = samples([None])
    assert mark_skipped(table, RowFilter()) is table
