"""Quotas and draws: in proportion, exact, one of each group, and the same however rows come."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation_sets.drawing import drawn_uids
from pipelines.evaluation_sets.strata import count_strata, quotas
from shards.schema import uid_of

SCHEMA = pa.schema([(name, pa.string()) for name in ("uid", "sha256", "dup_group", "category")])


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def row(number: int, category: str | None = None, group: int | None = None) -> dict[str, Any]:
    name = None if group is None else uid_of(f"group {group}")
    return {"uid": uid_of(str(number)), "sha256": uid_of(f"b{number}") * 2, "dup_group": name, "category": category}


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ({"a": 90, "b": 10}, 10, {"a": 9, "b": 1}),
        ({"a": 2, "b": 1}, 10, {"a": 2, "b": 1}),
        ({"a": 5, "b": 0}, 5, {"a": 5}),
        ({"a": 6, "b": 3, "c": 3}, 4, {"a": 2, "b": 1, "c": 1}),
        ({}, 3, {}),
    ],
)
def test_quotas_are_in_proportion(counts: dict[str, int], size: int, expected: dict[str, int]) -> None:
    assert quotas(counts, size, 0) == expected


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50), max_size=8), st.integers(1, 100), st.integers(0, 3))
def test_quotas_come_to_the_size_and_never_above_a_count(counts: dict[str, int], size: int, seed: int) -> None:
    found = quotas(counts, size, seed)
    assert sum(found.values()) == min(size, sum(counts.values()))
    assert all(0 < found[name] <= counts[name] for name in found)
    assert quotas(dict(reversed(counts.items())), size, seed) == found


def test_among_equal_strata_the_seed_decides() -> None:
    counts = {str(number): 1 for number in range(20)}
    assert len({frozenset(quotas(counts, 3, seed)) for seed in range(5)}) > 1


def test_strata_are_counted_with_what_has_none() -> None:
    rows = table([row(1, "a"), row(2, None), row(3, "a"), row(4, "")])
    assert count_strata(rows.to_batches(), "category") == {"a": 2, "": 2}
    assert count_strata(rows.to_batches(), None) == {"": 4}


def test_a_sample_has_its_quotas_and_does_not_depend_on_how_rows_come() -> None:
    rows = table([row(number, "abc"[number % 3]) for number in range(3_000)])
    quota = {"a": 70, "b": 20, "c": 1}
    found = drawn_uids(rows.to_batches(), "category", quota, 0)
    category = dict(zip(rows["uid"].to_pylist(), rows["category"].to_pylist(), strict=True))
    assert Counter(category[uid] for uid in found) == quota
    backwards = rows.take(list(reversed(range(rows.num_rows))))
    assert drawn_uids(backwards.to_batches(max_chunksize=7), "category", quota, 0) == found
    assert drawn_uids(rows.to_batches(), "category", quota, 1) != found


def test_candidates_are_thrown_away_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table([row(number, "ab"[number % 2]) for number in range(2_000)])
    expected = drawn_uids(rows.to_batches(), "category", {"a": 5, "b": 9}, 3)
    monkeypatch.setattr("pipelines.evaluation_sets.drawing._BATCH_ROWS", 10)
    assert drawn_uids(rows.to_batches(max_chunksize=50), "category", {"a": 5, "b": 9}, 3) == expected


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=60), st.integers(1, 20))
def test_a_group_gives_one_sample_at_most_and_the_size_is_reached_where_it_can_be(
    drawn: list[tuple[str, int]], size: int
) -> None:
    rows = [row(number, category, group) for number, (category, group) in enumerate(drawn)]
    batches = table(rows).to_batches()
    found = drawn_uids(batches, "category", quotas(count_strata(batches, "category"), size, 0), 0)
    group_of = {entry["uid"]: entry["dup_group"] for entry in rows}
    groups = [group_of[uid] for uid in found]
    assert len(groups) == len(set(groups)) <= size
    if len(set(group_of.values())) >= 2 * size:
        assert len(groups) == size
