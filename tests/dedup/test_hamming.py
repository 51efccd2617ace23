"""Near pairs: exactly those of a comparison of all with all."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.hamming import Hashes, near_pairs


def brute_force(hashes: Hashes, distance: int) -> list[tuple[int, int]]:
    pairs = itertools.combinations(range(len(hashes)), 2)
    return [(i, j) for i, j in pairs if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= distance]


def found(hashes: Hashes, distance: int) -> list[tuple[int, int]]:
    left, right = near_pairs(hashes, distance)
    return list(zip(left.tolist(), right.tolist(), strict=True))


@pytest.mark.parametrize("values", [[], [5], [0, 2**64 - 1], [0, 1], [2**63, 2**63 + 1, 1]])
@pytest.mark.parametrize("distance", [0, 1, 4, 63])
def test_few_hashes(values: list[int], distance: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    assert found(hashes, distance) == (brute_force(hashes, distance) if distance else [])


near_by = st.builds(
    lambda base, flips: base ^ sum(1 << bit for bit in flips),
    st.sampled_from([0, 2**64 - 1, 0x0123456789ABCDEF]),
    st.sets(st.integers(0, 63), max_size=9),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(near_by, st.integers(0, 2**64 - 1)), unique=True, max_size=40), st.integers(1, 16))
def test_pairs_are_those_of_brute_force(values: list[int], distance: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    assert found(hashes, distance) == brute_force(hashes, distance)


@pytest.mark.parametrize("distance", [1, 4, 8])
def test_planted_neighbours_are_found_among_many(distance: int) -> None:
    random = np.random.default_rng(3)
    hashes = random.integers(0, 2**64, 20_000, dtype=np.uint64)
    for n in range(0, 2_000, 2):
        bits = random.choice(64, size=distance + (n % 4 == 2), replace=False)
        hashes[n + 1] = hashes[n] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    pairs = set(found(hashes, distance))
    assert {(n, n + 1) for n in range(0, 2_000, 4)} <= pairs
    assert not {(n, n + 1) for n in range(2, 2_000, 4)} & pairs


def test_many_hashes_that_share_bits_are_still_exact() -> None:
    hashes = np.arange(3_000, dtype=np.uint64)
    differing = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = np.argwhere(np.triu(differing <= 2, k=1))
    assert np.array_equal(np.stack(near_pairs(hashes, 2), axis=1), expected)


@pytest.mark.parametrize("distance", [-1, 64])
def test_impossible_distance_is_our_own_fault(distance: int) -> None:
    with pytest.raises(ValueError, match="distance"):
        near_pairs(np.zeros(2, dtype=np.uint64), distance)
