"""Leaders in ranges of hashes: a chain over ranges takes its turns, and what is told early is not forgotten."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from dedup.groups import DISTINCT
from tests.dedup.leading import led_in_ranges


def led(pairs: list[tuple[int, int]], pixels: dict[int, int | None], num_ranges: int) -> dict[int, str]:
    rows = [{"hash": hash_, "uid": f"u{hash_}", "pixels": size, "num_images": 1} for hash_, size in pixels.items()]
    one, other = np.array(pairs, np.uint64).reshape(-1, 2).T
    found = led_in_ranges(one, other, pa.Table.from_pylist(rows, DISTINCT), num_ranges)
    assert found["hash"].to_pylist() == sorted(found["hash"].to_pylist())
    return dict(zip(found["hash"].to_pylist(), found["dup_group"].to_pylist(), strict=True))


@pytest.mark.parametrize("num_ranges", [1, 2, 3, 7])
def test_every_other_of_a_chain_leads(num_ranges: int) -> None:
    chain = list(range(40))
    found = led(list(pairwise(chain)), {place: 100 - place for place in chain}, num_ranges)
    assert found == {place: f"u{place - place % 2}" for place in chain}


@pytest.mark.parametrize("num_ranges", [1, 2, 3, 4])
def test_who_leads_is_remembered_while_one_before_it_is_waited_for(num_ranges: int) -> None:
    # 3 is near 2, which joins 1 late, and near 4, which leads from the first turn: 3 joins 4 when it knows of 2.
    pixels: dict[int, int | None] = {0: 10, 1: 9, 2: 7, 4: 6, 3: 5}
    found = led([(0, 1), (1, 2), (2, 3), (3, 4)], pixels, num_ranges)
    assert found == {0: "u0", 1: "u0", 2: "u2", 3: "u2"}
    found = led([(1, 2), (2, 3), (4, 3)], pixels, num_ranges)
    assert found == {1: "u1", 2: "u1", 3: "u4", 4: "u4"}


@pytest.mark.parametrize("num_ranges", [1, 3])
def test_equal_and_unknown_sizes_are_taken_by_uid(num_ranges: int) -> None:
    assert led([(2, 1)], {1: None, 2: None}, num_ranges) == {1: "u1", 2: "u1"}
    assert led([(2, 1)], {1: None, 2: 1}, num_ranges) == {1: "u2", 2: "u2"}
    assert led([(2, 1)], {1: 5, 2: 5}, num_ranges) == {1: "u1", 2: "u1"}
    assert led([], {1: 5, 2: 5}, num_ranges) == {}


@pytest.mark.parametrize("num_ranges", [2, 5])
def test_a_leader_in_another_range_is_told_of_those_who_joined(num_ranges: int) -> None:
    star = [(0, place) for place in range(1, 30)]
    found = led(star, {place: 100 if place == 0 else place for place in range(30)}, num_ranges)
    assert found == dict.fromkeys(range(30), "u0")
