"""The order of a release: near-duplicates lie apart, and nothing is lost or doubled on the way."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.flow.spread import Spread, spread_apart

Kept = list[str]
"""The group of each kept sample in order of uid; the sample of rank n is called by its number."""


def spread(groups: Kept, gap: int, batch_rows: int = 3) -> Spread:
    leaders = {group: groups.index(group) for group in groups}
    table = pa.table(
        {"uid": [str(rank) for rank in range(len(groups))], "dup_group": [str(leaders[group]) for group in groups]},
        pa.schema([("uid", pa.string()), ("dup_group", pa.string())]),
    )
    return spread_apart(lambda: table.to_batches(max_chunksize=batch_rows), gap)


def placed(groups: Kept, gap: int, batch_rows: int = 3) -> list[int]:
    """The rank at each place of the release."""
    moved = spread(groups, gap, batch_rows).moved
    order = {rank: rank for rank in range(len(groups))} | dict(
        zip(moved["rank"].to_pylist(), moved["place"].to_pylist(), strict=True)
    )
    assert all(order[rank] != rank for rank in moved["rank"].to_pylist())
    return [rank for rank, _ in sorted(order.items(), key=lambda pair: pair[1])] if is_permutation(order) else []


def is_permutation(order: dict[int, int]) -> bool:
    return sorted(order.values()) == list(range(len(order)))


def nearest(groups: Kept, ranks: list[int]) -> int:
    """The least distance between two of one group."""
    places = {rank: place for place, rank in enumerate(ranks)}
    pairs = [(a, b) for a in range(len(groups)) for b in range(a) if groups[a] == groups[b]]
    return min((abs(places[a] - places[b]) for a, b in pairs), default=len(groups))


GROUPS = st.lists(st.sampled_from("abcdefghij"), max_size=40)


@given(GROUPS, st.integers(1, 8), st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_every_kept_sample_has_exactly_one_place(groups: Kept, gap: int, batch_rows: int) -> None:
    assert sorted(placed(groups, gap, batch_rows)) == list(range(len(groups)))


@given(GROUPS, st.integers(1, 8), st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_places_do_not_depend_on_how_rows_come(groups: Kept, gap: int, batch_rows: int) -> None:
    assert placed(groups, gap, batch_rows) == placed(groups, gap, len(groups) + 1)


@pytest.mark.parametrize(
    ("groups", "gap"),
    [
        (["x", "x", *(f"lone{n}" for n in range(30))], 10),
        ([*(f"lone{n}" for n in range(30)), "x", "x", "x"], 10),
        ([*(f"lone{n}" for n in range(15)), "x", "y", "x", "y", *(f"other{n}" for n in range(15))], 10),
    ],
)
def test_two_of_one_group_lie_apart_where_there_is_room(groups: Kept, gap: int) -> None:
    assert nearest(groups, placed(groups, gap)) >= gap


@pytest.mark.parametrize("groups", [[], ["a"], ["a", "b", "c"], ["a", "a"], ["a", "a", "a", "b"]])
def test_without_groups_or_without_room_samples_stay(groups: Kept) -> None:
    assert placed(groups, 10) == list(range(len(groups)))


def test_only_the_members_of_a_group_and_their_partners_move() -> None:
    groups = ["x", "x", *(f"lone{n}" for n in range(30))]
    ranks = placed(groups, 10)
    assert sum(rank != place for place, rank in enumerate(ranks)) == 2


def test_samples_without_a_group_are_left_alone() -> None:
    table = pa.table({"uid": ["a", "b"], "dup_group": pa.nulls(2, pa.string())})
    assert spread_apart(table.to_batches).moved.num_rows == 0


@given(GROUPS, st.integers(1, 8), st.integers(1, 50))
@settings(max_examples=200, deadline=None)
def test_exactly_those_that_lie_close_all_the_same_are_listed(groups: Kept, gap: int, batch_rows: int) -> None:
    ranks = placed(groups, gap, batch_rows)
    expected = []
    for place, rank in enumerate(ranks):
        later = [n for n in range(place + 1, len(ranks)) if groups[ranks[n]] == groups[rank]]
        if later and later[0] - place < gap:
            expected.append((str(groups.index(groups[rank])), str(rank), str(ranks[later[0]]), later[0] - place))
    close = spread(groups, gap, batch_rows).close
    assert close.column_names == ["dup_group", "uid", "next_uid", "distance"]
    assert [tuple(row.values()) for row in close.to_pylist()] == expected
