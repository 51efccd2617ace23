"""Places in groups when a rule of select has its turn: the same whatever the parts and ranges, among what stands."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.flow import gather, group_turns
from tests.pipelines.selecting import Row, Selecting, scored_samples

BEST = {"dedup": {"keep": "best_score"}, "measures": ["dup_group"]}
RULES = {"weak": "clip_score >= 0.2", "near": "dup_rank = 1"}


@pytest.fixture(scope="module")
def grouped() -> pa.Table:
    """Scored samples in groups of one to eight, some in none."""
    samples = scored_samples()
    numbers = np.random.default_rng(2).integers(0, 60, samples.num_rows).tolist()
    groups = [None if number == 0 else f"{number * 2**120:032x}" for number in numbers]
    return samples.append_column("dup_group", pa.array(groups, pa.string()))


def expected_ranks(samples: pa.Table, least: float) -> dict[str, int]:
    rows = [row | {"score": row["texts"][0]["clip_score"]} for row in samples.to_pylist() if row["drop_reason"] is None]
    members: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        if row["score"] >= least and row["dup_group"] is not None:
            members.setdefault(row["dup_group"], []).append((-row["score"], row["uid"]))
    return {uid: place for group in members.values() for place, (_, uid) in enumerate(sorted(group), 1)}


def ranks(rows: dict[str, Row], name: str = "dup_rank") -> dict[str, Any]:
    return {uid: row[name] for uid, row in rows.items() if row[name] is not None}


@pytest.mark.parametrize(("num_parts", "range_rows"), [(1, 1000), (3, 1000), (4, 30)])
def test_parts_and_ranges_change_no_rank(
    tmp_path: Path, grouped: pa.Table, monkeypatch: pytest.MonkeyPatch, num_parts: int, range_rows: int
) -> None:
    monkeypatch.setattr(group_turns, "_ROWS", range_rows)
    monkeypatch.setattr(gather, "_BUCKET_ROWS", 240 // num_parts)
    run = Selecting(tmp_path, grouped, RULES, num_parts, **BEST)
    rows = run.rows()
    assert ranks(rows) == expected_ranks(grouped, 0.2)
    assert max(ranks(rows).values()) > 2
    assert run.pool.steps().count("select-ranks") == -(-240 // range_rows)
    for row in rows.values():
        if row["drop_reason"] == "near":
            assert row["dup_group"] is None or row["dup_rank"] > 1
        elif row["drop_reason"] is None:
            assert row["dup_rank"] == 1


def test_a_rank_that_no_rule_names_is_told_of_all_that_stands(tmp_path: Path, grouped: pa.Table) -> None:
    sections = {**BEST, "measures": ["dup_rank", "clip_pct", "pair_rank"]}
    rows = Selecting(tmp_path, grouped, {"weak": "clip_score >= 0.2"}, 2, **sections).rows()
    assert ranks(rows) == expected_ranks(grouped, 0.2)
    standing = [row for row in rows.values() if row["drop_reason"] is None]
    scores = sorted(row["clip_score"] for row in standing)
    for row in standing:
        assert row["clip_pct"] == pytest.approx(scores.index(row["clip_score"]) / len(scores))
        assert row["texts"][0]["pair_rank"] == (row["dup_rank"] or 1)


def test_another_threshold_ranks_nothing_anew(tmp_path: Path, grouped: pa.Table) -> None:
    Selecting(tmp_path, grouped, RULES, 2, **BEST).rows()
    looser = Selecting(tmp_path, grouped, {**RULES, "near": "dup_rank <= 2"}, 2, **BEST)
    assert {row["dup_rank"] for row in looser.rows().values() if row["drop_reason"] is None} == {1, 2}
    assert set(looser.pool.steps()) == {"select"}
