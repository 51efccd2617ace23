"""Lanes: every host in exactly one, giants in lanes of their own, the same plan from the same counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.lanes import (
    LANE_ROWS,
    LARGE_PARTS,
    MAX_GIANTS,
    MAX_LARGE,
    MIN_GIANT_ROWS,
    LanePlan,
    is_giant,
    is_large,
    num_lanes,
    plan_lanes,
)

HOSTS = st.text("abcdef.0123456789", min_size=1, max_size=20)


def test_a_giant_has_a_lane_to_itself_and_the_others_share() -> None:
    plan = LanePlan(4, ("big.cn", "large.cn"))
    assert plan.total == 6
    assert (plan.lane_of("big.cn"), plan.lane_of("large.cn")) == (4, 5)
    others = [plan.lane_of(f"host{number}.test") for number in range(800)]
    assert set(others) == set(range(4))
    assert min(others.count(lane) for lane in range(4)) > 120


def test_lanes_are_the_same_in_every_process() -> None:
    assert [LanePlan(16).lane_of(host) for host in ("a.cn", "img.example.com", "127.0.0.1", "")] == [6, 15, 12, 4]


def test_plans_that_say_the_same_are_equal() -> None:
    used = LanePlan(2, ("a.cn",))
    used.lane_of("a.cn")
    assert used == LanePlan(2, ("a.cn",))
    assert hash(used) == hash(LanePlan(2, ("a.cn",)))


@given(st.dictionaries(HOSTS, st.integers(1, 10**6)), st.integers(1, 100), HOSTS)
def test_every_host_has_one_lane(counts: dict[str, int], max_lanes: int, host: str) -> None:
    plan = plan_lanes(counts, sum(counts.values()), max_lanes)
    assert 0 <= plan.lane_of(host) < plan.total
    assert len({plan.lane_of(giant) for giant in plan.giants}) == len(plan.giants)
    assert all(plan.lane_of(other) < plan.lanes for other in counts if other not in plan.giants)
    assert plan == plan_lanes(dict(sorted(counts.items())), sum(counts.values()), max_lanes)


@given(st.dictionaries(HOSTS, st.integers(1, 10**5), min_size=1), st.integers(0, 10**6), st.integers(2, 40))
def test_no_lane_has_a_host_more_than_a_fair_one(counts: dict[str, int], others: int, max_lanes: int) -> None:
    """Graham's bound for hosts that are dealt most rows first, with the others' rows poured where there is room."""
    num_rows = sum(counts.values()) + others
    plan = plan_lanes(counts, num_rows, max_lanes)
    filled = list(plan.room or [0] * plan.lanes)
    for host, lane in plan.dealt:
        assert plan.lane_of(host) == lane
        filled[lane] += counts[host]
    if plan.dealt:
        fair = -(-sum(filled) // plan.lanes)
        assert max(filled) <= fair + max(counts[host] for host, _ in plan.dealt)


@pytest.mark.parametrize(
    ("counts", "num_rows", "lanes", "room"),
    [
        ({"a.cn": 900, "b.cn": 800, "c.cn": 700, "d.cn": 600}, 3_000, {"a.cn": 0, "b.cn": 1, "c.cn": 1, "d.cn": 0}, ()),
        ({"a.cn": 900, "b.cn": 300}, 3_000, {"a.cn": 0, "b.cn": 1}, (600, 1_200)),
        ({"a.cn": 900}, 2_501, {"a.cn": 0}, (351, 1_251)),  # an odd row is nobody's
        ({"b.cn": 500, "a.cn": 500}, 2_600, {"a.cn": 0, "b.cn": 1}, (800, 800)),  # the name decides
        ({"a.cn": 999, "b.cn": 999, "c.cn": 999}, 3_000, {"a.cn": 0, "b.cn": 1, "c.cn": 0}, (0, 3)),
        ({"a.cn": 19}, 2_600, {}, ()),  # too small to count
        ({"a.cn": 2_000, "b.cn": 500}, 2_500, {}, ()),  # one lane has everything
    ],
)
def test_large_hosts_are_dealt_by_count_and_the_rest_fills_up(
    counts: dict[str, int], num_rows: int, lanes: dict[str, int], room: tuple[int, ...]
) -> None:
    plan = plan_lanes(counts, num_rows, 16)
    assert (dict(plan.dealt), plan.room) == (lanes, room)


def test_hosts_beyond_the_large_ones_go_where_there_is_room() -> None:
    plan = LanePlan(4, room=(0, 100, 300, 0))
    found = [plan.lane_of(f"host{number}.test") for number in range(4_000)]
    assert set(found) == {1, 2}
    assert 900 < found.count(1) < 1_100


def test_large_hosts_are_bounded_in_number() -> None:
    counts = {f"{number:05d}.cn": 100 for number in range(MAX_LARGE + 10)}
    plan = plan_lanes(counts, 100 * len(counts), 1_000)
    assert [host for host, _ in plan.dealt] == sorted(counts)[:MAX_LARGE]
    assert sum(plan.room) >= 10 * 100


@pytest.mark.parametrize(("count", "rows", "expected"), [(625, 160_000, True), (624, 160_000, False), (0, 0, True)])
def test_a_large_host_has_its_share_of_a_fair_lane(count: int, rows: int, expected: bool) -> None:
    assert is_large(count, rows, 160_000 // (625 * LARGE_PARTS)) is expected


@pytest.mark.parametrize(
    ("rows", "most", "lanes"),
    [
        (0, 16, 1),
        (1, 16, 1),
        (LANE_ROWS, 16, 1),
        (LANE_ROWS + 1, 16, 2),
        (10_000, 16, 4),
        (40_000, 16, 16),
        (10**9, 16, 16),
        (10**9, 1, 1),
        (10**6, 1_000, 400),
    ],
)
def test_lanes_grow_with_rows_up_to_what_the_recipe_allows(rows: int, most: int, lanes: int) -> None:
    assert num_lanes(rows, most) == lanes


@pytest.mark.parametrize(
    ("count", "rows", "lanes", "expected"),
    [
        (312_500, 10**7, 16, True),  # half of a fair lane
        (312_499, 10**7, 16, False),
        (MIN_GIANT_ROWS, 10_000, 16, True),
        (MIN_GIANT_ROWS - 1, 10_000, 16, False),
        (10_000, 10_000, 1, False),  # alone in the only lane as it is
        (5_000, 10_000, 4, True),
    ],
)
def test_a_giant_fills_half_a_lane(count: int, rows: int, lanes: int, expected: bool) -> None:
    assert is_giant(count, rows, lanes) is expected


def test_giants_are_ordered_by_count_and_then_by_name() -> None:
    counts = {"c.cn": 5_000, "a.cn": 5_000, "b.cn": 9_000, "small.cn": 900}
    assert plan_lanes(counts, 20_000, 16).giants == ("b.cn", "a.cn", "c.cn")


def test_giants_are_bounded_in_number() -> None:
    counts = {f"{number:05d}.cn": 5 * MIN_GIANT_ROWS for number in range(MAX_GIANTS + 10)}
    assert len(plan_lanes(counts, 11 * 10**6, 65_536).giants) == MAX_GIANTS
