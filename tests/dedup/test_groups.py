"""Groups and their survivors: near the leader, in any order of rows, and only among what stands."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dedup.groups import HASHED, distinct_hashes, groups_of
from dedup.hamming import near_pairs
from dedup.settings import DedupSettings
from dedup.survivors import Keep, rank_in_groups
from tests.dedup.leading import led_in_ranges

Row = tuple[str, int | None, str | None, int | None]


def leaders_of(rows: list[Row], distance: int = 4, num_ranges: int = 1) -> dict[str, str]:
    """Each row's leader, put together from so many ranges of hashes, as the flow does it."""
    ranges: list[list[Row]] = [[] for _ in range(num_ranges)]
    for row in rows:
        ranges[(len(row[2] or "") if row[1] is None else row[1]) % num_ranges].append(row)
    tables = [
        pa.Table.from_pylist([dict(zip(HASHED.names, row, strict=True)) for row in some], HASHED) for some in ranges
    ]
    distinct = [distinct_hashes(table) for table in tables]
    known = pa.concat_tables(distinct)
    hashes = known["hash"].to_numpy()
    one, other = near_pairs(hashes, distance)
    led = led_in_ranges(hashes[one], hashes[other], known, num_ranges)
    found: dict[str, str] = {}
    shared: set[str] = set()
    for table, its_distinct in zip(tables, distinct, strict=True):
        group, is_shared = groups_of(table, its_distinct, led)
        found |= dict(zip(table["uid"].to_pylist(), group.to_pylist(), strict=True))
        shared |= set(table["uid"].filter(pa.array(is_shared)).to_pylist())
    assert shared == {uid for uid, leader in found.items() if list(found.values()).count(leader) > 1}
    return found


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {}),
        ([("a", 7, "x", 1)], {"a": "a"}),
        ([("a", 0, "x", 1), ("b", 0b1111, "y", 2)], {"a": "b", "b": "b"}),
        ([("a", 0, "x", 1), ("b", 0b11111, "y", 2)], {"a": "a", "b": "b"}),
        ([("b", 5, "x", 3), ("a", 5, "y", 3)], {"a": "a", "b": "a"}),
        ([("a", 5, "x", None), ("b", 5, "y", 1)], {"a": "b", "b": "b"}),
        # A chain 0 - 4 bits - 8 bits: the far end is not near the leader and leads for itself.
        ([("a", 0, "x", 9), ("b", 0xF, "y", 8), ("c", 0xFF, "z", 7)], {"a": "a", "b": "a", "c": "c"}),
        # The middle of the chain leads where it is the largest.
        ([("a", 0, "x", 7), ("b", 0xF, "y", 9), ("c", 0xFF, "z", 8)], {"a": "b", "b": "b", "c": "b"}),
        # Near two leaders: the first of them takes it.
        ([("a", 0, "x", 9), ("b", 0xF, "y", 7), ("c", 0xFF, "z", 8)], {"a": "a", "b": "a", "c": "c"}),
        ([("a", None, "x", 1), ("b", None, "x", 2), ("c", None, "y", 3)], {"a": "b", "b": "b", "c": "c"}),
        ([("a", None, None, 1), ("b", None, None, 1)], {"a": "a", "b": "b"}),
        ([("b", None, "x", 2), ("a", None, "x", 2), ("c", 0, "x", 9)], {"a": "a", "b": "a", "c": "c"}),
        ([("a", None, "x", 1), ("b", 0, "x", 2)], {"a": "a", "b": "b"}),
        ([("a", 2**64 - 1, "x", 1), ("b", 2**64 - 2, "y", 2)], {"a": "b", "b": "b"}),
    ],
)
def test_each_image_joins_the_first_leader_near_it(rows: list[Row], expected: dict[str, str]) -> None:
    assert leaders_of(rows) == expected
    assert leaders_of(rows[::-1]) == expected


def test_distance_zero_wants_equal_hashes() -> None:
    rows: list[Row] = [("a", 0, "x", 1), ("b", 1, "y", 2), ("c", 0, "z", 3)]
    assert leaders_of(rows, distance=0) == {"a": "c", "b": "b", "c": "c"}


some_rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sets(st.integers(0, 11), max_size=8).map(lambda bits: sum(1 << bit for bit in bits))),
        st.sampled_from([None, "x", "y"]),
        st.sampled_from([None, 1, 2, 3]),
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(some_rows, st.integers(0, 5), st.randoms())
def test_groups_do_not_depend_on_the_order_of_rows(
    values: list[tuple[int | None, str | None, int | None]], distance: int, random: np.random.Generator
) -> None:
    rows: list[Row] = [(f"{n:02d}", *value) for n, value in enumerate(values)]
    leaders = leaders_of(rows, distance)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert leaders_of(shuffled, distance, num_ranges=1 + len(rows) % 4) == leaders
    hashes = {uid: value for uid, value, *_ in rows}
    for uid, leader in leaders.items():
        assert leaders[leader] == leader
        mine, theirs = hashes[uid], hashes[leader]
        if mine is not None and theirs is not None:
            assert (mine ^ theirs).bit_count() <= distance
        else:
            assert mine is theirs


def ranked(rows: list[dict[str, object]], keep: Keep) -> list[int | None]:
    kinds = [("uid", pa.string()), ("dup_group", pa.string()), ("drop_reason", pa.string())]
    kinds += [("original_width", pa.int32()), ("original_height", pa.int32())]
    kinds += [("sharpness", pa.float64()), ("clip_score", pa.float64())]
    ranks = rank_in_groups(pa.Table.from_pylist(rows, pa.schema(kinds)), keep)
    assert ranks.type == pa.int32()
    return list(ranks.to_pylist())


GROUP: list[dict[str, object]] = [
    {"uid": "d", "dup_group": "g", "original_width": 10, "original_height": 10, "sharpness": 5.0, "clip_score": 0.1},
    {"uid": "c", "dup_group": "g", "original_width": 20, "original_height": 10, "sharpness": 5.0, "clip_score": None},
    {"uid": "b", "dup_group": "h", "original_width": 1, "original_height": 1, "sharpness": 1.0, "clip_score": 0.1},
    {
        "uid": "a",
        "dup_group": "g",
        "original_width": 30000,
        "original_height": 100000,
        "sharpness": 1.0,
        "clip_score": 0.3,
    },
    {"uid": "e", "dup_group": None, "original_width": 9, "original_height": 9, "sharpness": 1.0, "clip_score": 0.1},
]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [("largest", [3, 2, 1, 1, None]), ("sharpest", [2, 1, 1, 3, None]), ("best_score", [2, 3, 1, 1, None])],
)
def test_survivor_is_who_the_recipe_keeps_ties_by_uid(keep: Keep, expected: list[int | None]) -> None:
    assert ranked(GROUP, keep) == expected
    assert ranked(GROUP[::-1], keep) == expected[::-1]


def test_only_standing_rows_are_ranked() -> None:
    rows = [{**row, "drop_reason": "small" if row["uid"] == "a" else None} for row in GROUP]
    assert ranked(rows, "largest") == [2, 1, 1, None, None]
    assert ranked([{**row, "drop_reason": "small"} for row in GROUP], "largest") == [None] * 5
    assert ranked([], "largest") == []


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"distance": 17}, "less than or equal to 16"),
        ({"distance": -1}, "greater than or equal to 0"),
        ({"keep": "smallest"}, "'largest', 'sharpest' or 'best_score'"),
        ({"hash": "ahash"}, "'phash' or 'dhash'"),
        ({"distence": 4}, "Extra inputs"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given_settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        DedupSettings.model_validate(given_settings)


def test_best_score_ranks_after_scoring() -> None:
    assert DedupSettings().dup_rank_stage == "dedup"
    assert DedupSettings(keep="best_score").dup_rank_stage == "select"
    assert DedupSettings(keep="sharpest").needed_measures == ("sharpness",)
