"""Caps and quotas in select: places by query, host and category among what stands when a rule has its turn."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.flow import gather, keyed_turns
from tests.pipelines.selecting import NUM, Row, Selecting, scored_samples

HOSTS = ("a.cn", "b.cn", "c.cn", "d.cn")


@pytest.fixture(scope="module")
def hosted() -> pa.Table:
    """Scored samples of four hosts, of queries with ranks, of categories; some without."""
    random = np.random.default_rng(3)
    hosts = random.choice(HOSTS, NUM, p=[0.7, 0.2, 0.07, 0.03]).tolist()
    queries = [None if number == 0 else f"词{number}" for number in random.integers(0, 9, NUM).tolist()]
    ranks = [
        None if query is None else int(rank) for query, rank in zip(queries, random.integers(1, 99, NUM), strict=True)
    ]
    columns = {
        "host": pa.array(hosts),
        "query": pa.array(queries, pa.string()),
        "query_rank": pa.array(ranks, pa.int32()),
        "category": pa.array(random.choice(["动物", "风景", ""], NUM).tolist()),
        "failed_rules": pa.array([[]] * NUM, pa.list_(pa.string())),
    }
    table = scored_samples()
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def expected(samples: pa.Table, key: str, least: float, first: str = "uid") -> dict[str, tuple[int, int]]:
    """Place and number by hand, among those of at least this score."""
    members: dict[str, list[tuple[float, str]]] = {}
    for row in samples.to_pylist():
        score = row["texts"][0]["clip_score"]
        if row["drop_reason"] is None and score >= least and row[key]:
            value = {"uid": 0.0, "best_score": -score, "query_rank": row["query_rank"] or 10**6}[first]
            members.setdefault(row[key], []).append((value, row["uid"]))
    return {uid: (place, len(group)) for group in members.values() for place, (_, uid) in enumerate(sorted(group), 1)}


def told(rows: dict[str, Row], key: str) -> dict[str, tuple[Any, Any]]:
    both = {uid: (row[f"{key}_rank_kept"], row[f"{key}_count_kept"]) for uid, row in rows.items()}
    return {uid: pair for uid, pair in both.items() if pair != (None, None)}


@pytest.mark.parametrize(
    ("num_parts", "range_rows", "first"),
    [(1, 1000, "uid"), (3, 1000, "best_score"), (4, 30, "uid"), (4, 30, "query_rank")],
)
def test_parts_and_ranges_change_no_place(
    tmp_path: Path, hosted: pa.Table, monkeypatch: pytest.MonkeyPatch, num_parts: int, range_rows: int, first: str
) -> None:
    monkeypatch.setattr(keyed_turns, "_ROWS", range_rows)
    monkeypatch.setattr(gather, "_BUCKET_ROWS", NUM // num_parts)
    names = [f"{key}_{what}_kept" for key in ("query", "host", "category") for what in ("rank", "count")]
    run = Selecting(
        tmp_path, hosted, {"weak": "clip_score >= 0.2"}, num_parts, measures=names, balance={"first": first}
    )
    rows = run.rows()
    for key in ("query", "host", "category"):
        assert told(rows, key) == expected(hosted, key, 0.2, first)
    assert run.pool.steps().count("select-keys") == num_parts
    assert run.pool.steps().count("select-sums") == -(-NUM // range_rows)


def test_a_cap_keeps_so_many_of_each_and_the_first(tmp_path: Path, hosted: pa.Table) -> None:
    rules = {"weak": "clip_score >= 0.2", "host_full": "host_rank_kept <= 10"}
    rows = Selecting(tmp_path, hosted, rules, 2, balance={"first": "best_score"}).rows()
    places = expected(hosted, "host", 0.2, "best_score")
    kept = {uid for uid, row in rows.items() if row["drop_reason"] is None}
    assert kept == {uid for uid, (place, _) in places.items() if place <= 10}
    numbers = Counter(rows[uid]["host"] for uid in kept)
    assert numbers["a.cn"] == numbers["b.cn"] == 10
    assert all(row["host_rank_kept"] > 10 for row in rows.values() if row["drop_reason"] == "host_full")


def test_a_later_cap_counts_what_an_earlier_one_left(tmp_path: Path, hosted: pa.Table) -> None:
    rules = {"host_full": "host_rank_kept <= 10", "few": "category IS NULL OR category_count_kept >= 12"}
    rows = Selecting(tmp_path, hosted, rules, 3).rows()
    left = [row for row in rows.values() if row["drop_reason"] in (None, "few")]
    numbers = Counter(row["category"] for row in left if row["category"])
    assert min(numbers.values()) < 12 <= max(numbers.values())
    for row in left:
        assert row["category_count_kept"] == (numbers[row["category"]] if row["category"] else None)
        assert (row["drop_reason"] == "few") == (not row["category"] or numbers[row["category"]] < 12)


def test_a_quota_between_least_and_most_is_two_rules(tmp_path: Path, hosted: pa.Table) -> None:
    """WuDaoMM's base: a category too small is left out, one too large is cut."""
    rules = {"few": "host_count_kept >= 15", "full": "host_rank_kept <= 20"}
    rows = Selecting(tmp_path, hosted, rules, 2).rows()
    before = Counter(row["host"] for row in hosted.to_pylist() if row["drop_reason"] is None)
    kept = Counter(row["host"] for row in rows.values() if row["drop_reason"] is None)
    assert kept == {host: min(20, number) for host, number in before.items() if number >= 15}


def test_who_has_no_key_is_dropped_unless_the_rule_says_otherwise(tmp_path: Path, hosted: pa.Table) -> None:
    bare = {row["uid"] for row in hosted.to_pylist() if row["drop_reason"] is None and row["query"] is None}
    strict = Selecting(tmp_path / "a", hosted, {"full": "query_rank_kept <= 3"}, 2).rows()
    lenient = Selecting(tmp_path / "b", hosted, {"full": "query IS NULL OR query_rank_kept <= 3"}, 2).rows()
    assert len(bare) > 10
    assert {strict[uid]["drop_reason"] for uid in bare} == {"full"}
    assert {lenient[uid]["drop_reason"] for uid in bare} == {None}


def test_a_host_with_too_many_bad_samples_is_blacklisted(tmp_path: Path, hosted: pa.Table) -> None:
    reasons = [
        "http_status" if row["host"] == "b.cn" and n % 3 else row["drop_reason"]
        for n, row in enumerate(hosted.to_pylist())
    ]
    table = hosted.set_column(hosted.column_names.index("drop_reason"), "drop_reason", pa.array(reasons, pa.string()))
    bad = ["http_status", "weak"]
    rules = {"weak": "clip_score >= 0.12", "bad_host": "host_bad_share <= 0.5"}
    rows = Selecting(tmp_path, table, rules, 3, balance={"bad": bad}).rows()
    samples, of_bad = Counter[str](), Counter[str]()
    for row in rows.values():
        samples[row["host"]] += 1
        of_bad[row["host"]] += row["drop_reason"] in bad
    for row in rows.values():
        share = of_bad[row["host"]] / samples[row["host"]]
        if row["drop_reason"] in (None, "bad_host"):
            assert row["host_bad_share"] == pytest.approx(share)
            assert (row["drop_reason"] == "bad_host") == (share > 0.5) == (row["host"] == "b.cn")
        else:
            assert row["host_bad_share"] is None


def test_a_cap_and_a_share_of_the_same_hosts_take_their_turns_in_one_rule_or_two(
    tmp_path: Path, hosted: pa.Table
) -> None:
    balance = {"first": "query_rank", "bad": ["weak"]}
    weak = {"weak": "clip_score >= 0.2"}
    both = {**weak, "host": "host_bad_share <= 0.5 AND host_rank_kept <= 10"}
    apart = {**weak, "bad": "host_bad_share <= 0.5", "full": "host_rank_kept <= 10"}
    kept = [
        {
            uid
            for uid, row in Selecting(tmp_path / str(len(rules)), hosted, rules, 2, balance=balance).rows().items()
            if row["drop_reason"] is None
        }
        for rules in (both, apart)
    ]
    assert kept[0] == kept[1]
    assert len(kept[0]) > 20


def test_another_cap_counts_nothing_anew_and_another_order_does(tmp_path: Path, hosted: pa.Table) -> None:
    Selecting(tmp_path, hosted, {"full": "host_rank_kept <= 10"}, 2).rows()
    looser = Selecting(tmp_path, hosted, {"full": "host_rank_kept <= 20"}, 2)
    looser.rows()
    assert set(looser.pool.steps()) == {"select"}
    best = Selecting(tmp_path, hosted, {"full": "host_rank_kept <= 20"}, 2, balance={"first": "best_score"})
    best.rows()
    assert {"select-keys", "select-sums", "select"} <= set(best.pool.steps())
