"""Near pairs: exactly those of a comparison of all with all, whatever the plan."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dedup import hamming
from dedup.hamming import (
    Hashes,
    as_words,
    in_part,
    near_matches,
    near_pairs,
    pairs_in_table,
    pairs_in_tables,
    plan_join,
)

RANDOM = np.random.default_rng(3)


def brute_force(hashes: Hashes, distance: int) -> list[tuple[int, int]]:
    pairs = itertools.combinations(range(len(hashes)), 2)
    return [(i, j) for i, j in pairs if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= distance]


def all_with_all(hashes: Hashes, others: Hashes, distance: int) -> set[tuple[int, int]]:
    differing = np.bitwise_count(as_words(hashes)[:, :, None] ^ as_words(others)[:, None, :]).sum(axis=0)
    return {(int(row), int(other)) for row, other in np.argwhere(differing <= distance)}


def found(hashes: Hashes, distance: int) -> list[tuple[int, int]]:
    left, right = near_pairs(hashes, distance)
    return list(zip(left.tolist(), right.tolist(), strict=True))


def flipped(hash_: np.ndarray, num_bits: int) -> np.ndarray:
    """A hash [words] with so many bits changed."""
    other = hash_.copy()
    for bit in RANDOM.choice(64 * len(hash_), num_bits, replace=False).tolist():
        other[bit // 64] ^= np.uint64(1 << bit % 64)
    return other


def planted(num: int, num_words: int, most_bits: int) -> Hashes:
    """Distinct hashes [num, words], every second in the first half near the one before it."""
    hashes = RANDOM.integers(0, 2**64, (num, num_words), dtype=np.uint64)
    for place in range(0, num // 2, 2):
        hashes[place + 1] = flipped(hashes[place], int(RANDOM.integers(1, most_bits + 1)))
    return np.unique(hashes, axis=0)[RANDOM.permutation(len(np.unique(hashes, axis=0)))]


@pytest.fixture
def _tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few hashes go through tables too, with cells that hold a handful at most."""
    monkeypatch.setattr(hamming, "_FEW_PAIRS", 0)
    monkeypatch.setattr(hamming, "_ENOUGH_PAIRS", 5)


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
some_hashes = st.lists(st.one_of(near_by, st.integers(0, 2**64 - 1)), unique=True, max_size=40)


@settings(max_examples=120, deadline=None)
@given(some_hashes, st.integers(1, 16))
def test_pairs_are_those_of_brute_force(values: list[int], distance: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    assert found(hashes, distance) == brute_force(hashes, distance)


@pytest.mark.usefixtures("_tables")
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_hashes, st.integers(1, 10), st.sampled_from([1, 2**62]), st.integers(0, 3))
def test_tables_tell_each_pair_once(values: list[int], distance: int, hot_work: int, agreeing: int) -> None:
    hashes = np.array(values, dtype=np.uint64)
    free = range(64)
    blocks = hamming._cut(free, distance + agreeing) if agreeing else ()
    plan = hamming.Join(distance, agreeing, blocks, max(len(hashes), 64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "_HOT_WORK", hot_work)
        told = [
            tuple(sorted(pair.ravel().tolist()))
            for table in range(len(plan.tables))
            for pairs in pairs_in_table(plan, table, as_words(hashes))
            for pair in pairs
        ]
    expected = [tuple(sorted((values[i], values[j]))) for i, j in brute_force(hashes, distance)]
    assert sorted(told) == sorted(expected)


@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize("num_words", [1, 4])
@pytest.mark.parametrize("distance", range(1, 11))
def test_planted_neighbours_are_found_among_many(distance: int, num_words: int) -> None:
    hashes = planted(2_000, num_words, distance + 2)
    expected = {(i, j) for i, j in all_with_all(hashes, hashes, distance) if i < j}
    left, right = near_pairs(hashes, distance)
    assert len(left) == len(expected) > 100
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == expected


@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize("num_words", [1, 4])
@pytest.mark.parametrize("distance", [0, 4, 8])
def test_matches_between_two_sets_are_all_found(distance: int, num_words: int) -> None:
    hashes = planted(1_500, num_words, 12)
    ours, theirs = hashes[:500], np.concatenate([hashes[400:], hashes[:3]])
    one, other = near_matches(ours, theirs, distance)
    assert set(zip(one.tolist(), other.tolist(), strict=True)) == all_with_all(ours, theirs, distance)
    assert near_matches(ours[:0], theirs, 4)[0].size == 0


@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize("hot_work", [1, 1_000, 10**6])
def test_many_hashes_that_share_bits_are_still_exact(monkeypatch: pytest.MonkeyPatch, hot_work: int) -> None:
    monkeypatch.setattr(hamming, "_HOT_WORK", hot_work)
    hashes = np.concatenate([np.arange(1_000, dtype=np.uint64), planted(300, 1, 4).ravel()])
    differing = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = np.argwhere(np.triu(differing <= 2, k=1))
    assert np.array_equal(np.stack(near_pairs(hashes, 2), axis=1), expected)


@pytest.mark.usefixtures("_tables")
@pytest.mark.parametrize("num_parts", [1, 2, 4, 2_000])
def test_parts_of_tables_and_threads_change_nothing(num_parts: int) -> None:
    hashes = planted(3_000, 1, 6)
    plan = plan_join(64, 4, len(hashes))
    words = as_words(hashes)
    pieces = [
        pairs
        for number in range(num_parts)
        for family in range(len(plan.families))
        for pairs in pairs_in_tables(plan, family, in_part(plan, family, words, (number, num_parts)))
    ]
    told = np.sort(np.concatenate(pieces)[:, :, 0], axis=1)
    left, right = near_pairs(hashes, 4, threads=2)
    expected = np.sort(np.stack([hashes[left, 0], hashes[right, 0]], axis=1), axis=1)
    assert np.array_equal(told[np.lexsort(told.T)], expected[np.lexsort(expected.T)])


def test_plans_follow_the_cost() -> None:
    assert plan_join(64, 4, 1_000).agreeing == 0
    few, many = plan_join(64, 8, 200_000), plan_join(64, 8, 100_000_000)
    assert 0 < few.agreeing <= many.agreeing
    assert few.seconds < many.seconds
    for plan in (few, many):
        assert sorted(bit for block in plan.blocks for bit in block) == list(range(64))
        assert len(plan.blocks) == 8 + plan.agreeing


def test_families_are_the_tables_by_their_first_block() -> None:
    plan = plan_join(64, 4, 10_000_000)
    assert [number for family in plan.families for number in family] == list(range(len(plan.tables)))
    assert [{plan.tables[number][0] for number in family} for family in plan.families] == [{0}, {1}, {2}, {3}, {4}]
    assert plan_join(64, 4, 10).families == ((0,),)


@pytest.mark.parametrize("distance", [-1, 64])
def test_impossible_distance_is_our_own_fault(distance: int) -> None:
    with pytest.raises(ValueError, match="distance"):
        near_pairs(np.zeros(2, dtype=np.uint64), distance)
    with pytest.raises(ValueError, match="distance"):
        near_matches(np.zeros(2, dtype=np.uint64), np.zeros((2, 4), dtype=np.uint64), 4 if distance > 0 else distance)
