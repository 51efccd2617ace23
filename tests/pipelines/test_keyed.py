"""Members of keys: places and numbers from parts that are counted apart are those of all together."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.flow.keyed import bucket_of_keys, counted, marked_by, order_values, placed, summed
from pipelines.flow.shuffle import bucket_of_uids

Row = tuple[str | None, int, bool]


def told(rows: list[Row], num_parts: int, num_buckets: int) -> list[tuple[int, int, int] | None]:
    """(rank, members, marked) of each row, by way of parts and buckets."""
    uids = [f"{number:032x}" for number in range(len(rows))]
    edges = np.linspace(0, len(rows), num_parts + 1).astype(int).tolist()
    parts = []
    for place in range(num_parts):
        some = rows[edges[place] : edges[place + 1]]
        keys = pa.array([key for key, _, _ in some], pa.string())
        values, marks = np.array([value for _, value, _ in some], np.int64), np.array([m for *_, m in some], np.bool_)
        names = pa.array(uids[edges[place] : edges[place + 1]], pa.string())
        parts.append(counted(names, keys, values, place, marks))
    groups = pa.concat_tables([groups for _, groups in parts])
    buckets = bucket_of_keys(groups["key"], num_buckets)
    sums = [summed(groups.filter(pa.array(buckets == bucket))) for bucket in range(num_buckets)]
    found: list[tuple[int, int, int] | None] = []
    for place, (members, _) in enumerate(parts):
        own = pa.concat_tables([table.filter(pa.array(places == place)) for table, places in sums])
        wanted = pa.chunked_array([pa.array(uids[edges[place] : edges[place + 1]], pa.string())])
        columns = placed(wanted, members, own)
        rows_told = zip(*(columns[name].to_pylist() for name in ("rank", "members", "marked")), strict=True)
        found += [None if row[0] is None else row for row in rows_told]
    return found


def by_hand(rows: list[Row]) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for number, (key, value, _) in enumerate(rows):
        same = [(other[1], place, other[2]) for place, other in enumerate(rows) if other[0] == key]
        rank = sum((of, place) < (value, number) for of, place, _ in same) + 1
        found.append(None if key is None else (rank, len(same), sum(mark for *_, mark in same)))
    return found


KEYS = st.sampled_from([None, "a.cn", "b.cn", "猫", ""])


@given(st.lists(st.tuples(KEYS, st.integers(0, 2), st.booleans()), max_size=30), st.integers(1, 4), st.integers(1, 3))
def test_parts_and_ranges_change_no_place(rows: list[Row], num_parts: int, num_buckets: int) -> None:
    assert told(rows, num_parts, num_buckets) == by_hand(rows)


def test_a_part_tells_of_a_key_once_whatever_its_members() -> None:
    uids = pa.array([f"{number:032x}" for number in range(1000)])
    rows = 1000 * ["a.cn"]
    members, groups = counted(uids, pa.array(rows), np.zeros(1000, np.int64), 3, np.zeros(1000, np.bool_))
    assert len(members) == 1000
    assert groups.to_pylist() == [{"key": "a.cn", "value": 0, "place": 3, "group": 0, "members": 1000, "marked": 0}]


def test_a_key_lies_in_one_bucket_wherever_it_is_seen() -> None:
    keys = pa.array([f"host-{number}.cn" for number in range(200)])
    buckets = bucket_of_keys(keys, 7)
    assert set(buckets.tolist()) == set(range(7))
    assert bucket_of_keys(keys[::-1], 7).tolist() == buckets[::-1].tolist()
    assert bucket_of_uids(pa.array(["f" * 32]), 7).tolist() == [6]  # unlike uids, whose buckets are ranges


@pytest.mark.parametrize(
    ("first", "expected"),
    [("uid", [0, 0, 0]), ("best_score", [-3512, 2**40, 100]), ("query_rank", [7, 2**40, 1])],
)
def test_the_best_comes_first_and_what_has_no_value_last(first: str, expected: list[int]) -> None:
    ranks = pa.array([7, None, 1], pa.int32())
    table = pa.table({"clip_score": [0.3512, None, -0.01], "query_rank": ranks})
    assert order_values(table, first).tolist() == expected


def test_a_column_that_is_not_there_orders_nothing() -> None:
    assert len(set(order_values(pa.table({"uid": ["a", "b"]}), "best_score").tolist())) == 1


def test_bad_is_who_fell_for_a_reason_or_failed_it_as_well() -> None:
    rows: list[dict[str, Any]] = [
        {"drop_reason": "unsafe", "failed_rules": ["unsafe"]},
        {"drop_reason": "small", "failed_rules": ["small", "unsafe"]},
        {"drop_reason": "small", "failed_rules": ["small"]},
        {"drop_reason": "http_status", "failed_rules": None},
        {"drop_reason": None, "failed_rules": []},
        {"drop_reason": None, "failed_rules": None},
    ]
    schema = pa.schema([("drop_reason", pa.string()), ("failed_rules", pa.list_(pa.string()))])
    table = pa.Table.from_pylist(rows, schema)
    assert marked_by(table, ["unsafe", "http_status"]).tolist() == [True, True, False, True, False, False]
    assert not marked_by(table, []).any()
