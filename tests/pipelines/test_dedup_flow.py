"""Dedup as the flow does it: who stays is always one that may live, and rules after it see the new ranks."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dedup import hamming
from dedup.settings import DedupSettings
from filters.rules import place_rules
from pipelines.flow import cells, duplicates, leaders
from pipelines.flow.ranks import judge_with_ranks
from shards.catalog import committed_files
from shards.tables import read_rows
from tests.pipelines.conftest import FinishedRun, run_inline

TEXTS = pa.list_(pa.struct([("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string())]))


def judged(rules: dict[str, str], sizes: list[int], groups: list[str], dropped: Collection[int] = ()) -> dict[str, Any]:
    """Reasons, ranks and survivors of samples 0, 1, ... of square images, by uid."""
    count = len(sizes)
    table = pa.table(
        {
            "uid": [str(row) for row in range(count)],
            "dup_group": groups,
            "original_width": pa.array(sizes, pa.int32()),
            "original_height": pa.array(sizes, pa.int32()),
            "min_side": pa.array(sizes, pa.int32()),
            "texts": pa.array([[]] * count, TEXTS),
            "drop_reason": pa.array(["earlier" if row in dropped else None for row in range(count)], pa.string()),
        }
    )
    placed, problems = place_rules(rules)
    assert problems == []
    found = judge_with_ranks(table, [rule for rule in placed if rule.stage == "dedup"], "dedup", DedupSettings())
    return {name: found[name].to_pylist() for name in ("drop_reason", "dup_rank", "dup_of")}


NEAR = {"near": "dup_rank = 1"}


@pytest.mark.parametrize(
    ("sizes", "groups", "dropped", "reasons", "survivors"),
    [
        ([9, 5, 7], ["g", "g", "g"], set(), [None, "near", "near"], [None, "0", "0"]),
        ([5, 9, 7], ["g", "g", "h"], set(), ["near", None, None], ["1", None, None]),
        ([9, 5], ["g", "g"], {0}, ["earlier", None], [None, None]),
        ([5, 5], ["g", "g"], set(), [None, "near"], [None, "0"]),  # equal sizes: the smaller uid
        ([5], ["g"], set(), [None], [None]),
    ],
)
def test_the_largest_of_those_that_stand_stays(
    sizes: list[int], groups: list[str], dropped: set[int], reasons: list[str | None], survivors: list[str | None]
) -> None:
    found = judged(NEAR, sizes, groups, dropped)
    assert found["drop_reason"] == reasons
    assert found["dup_of"] == survivors


def test_a_rule_before_the_ranking_takes_its_victims_out_of_the_race() -> None:
    rules = {"odd": "dup_group <> 'g' OR min_side < 9", **NEAR}
    found = judged(rules, [9, 5, 4], ["g", "g", "g"])
    assert found["drop_reason"] == ["odd", None, "near"]
    assert found["dup_rank"] == [None, 1, 2]
    assert found["dup_of"] == [None, None, "1"]


def test_without_a_rule_ranks_are_told_and_nobody_falls() -> None:
    found = judged({}, [5, 9], ["g", "g"])
    assert found == {"drop_reason": [None, None], "dup_rank": [2, 1], "dup_of": [None, None]}


def test_a_rule_may_keep_two_of_a_group() -> None:
    found = judged({"near": "dup_rank <= 2"}, [9, 5, 7], ["g", "g", "g"])
    assert found["drop_reason"] == [None, "near", None]
    assert found["dup_of"] == [None, "0", None]


def test_one_of_two_alike_stays_with_the_words_of_both(finished: FinishedRun) -> None:
    rows = [row for path in committed_files(finished.folder, "dedup", "rows") for row in read_rows(path).to_pylist()]
    (fallen,) = (row for row in rows if row["drop_reason"] == "near_duplicate")
    (stayed,) = (row for row in rows if row["uid"] == fallen["dup_of"])
    assert stayed["drop_reason"] is None
    assert stayed["dup_group"] == fallen["dup_group"]
    assert {text["text"] for text in stayed["texts"]} == {"第0张照片", "同一张照片"}
    assert len(fallen["texts"]) == 1


def test_words_stay_where_they_are_if_the_recipe_says_so(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path, "measure")
    assert run_inline(finished.recipe | {"dedup": {"merge_texts": False}}, run).stats["kept"] == finished.kept
    rows = [row for path in committed_files(run, "dedup", "rows") for row in read_rows(path).to_pylist()]
    assert max(len(row["texts"]) for row in rows if row["dup_group"] is not None and row["host"] is not None) <= 2
    (fallen,) = (row for row in rows if row["drop_reason"] == "near_duplicate")
    (stayed,) = (row for row in rows if row["uid"] == fallen["dup_of"])
    assert len(stayed["texts"]) == 1


def groups_in(run: Path) -> dict[str, tuple[str | None, int | None, str | None]]:
    rows = [row for path in committed_files(run, "dedup", "rows") for row in read_rows(path).to_pylist()]
    return {row["uid"]: (row["dup_group"], row["dup_rank"], row["dup_of"]) for row in rows}


def test_ranges_and_tables_change_no_group(
    tmp_path: Path, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "buckets_for", lambda rows: 3)
    monkeypatch.setattr(cells, "_PART_HASHES", 2)
    monkeypatch.setattr(hamming, "_FEW_PAIRS", 0)
    monkeypatch.setattr(leaders, "buckets_for", lambda rows, limit: 3)
    run = finished.copy(tmp_path, "measure")
    run_inline(finished.recipe, run)
    assert len(list(committed_files(run, "dedup-near", "rows"))) > 1
    assert len(list(committed_files(run, "dedup-groups", "rows"))) == 3
    assert len(list(committed_files(run, "dedup-leaders", "rows"))) == 3
    assert groups_in(run) == groups_in(finished.folder)


def test_hashes_that_begin_alike_are_spread_over_ranges() -> None:
    hashes = np.arange(8000, dtype=np.uint64)
    table = pa.table({"hash": np.concatenate([hashes, hashes]), "uid": ["0" * 32] * 16000})
    ranges = duplicates._ranges_of(table.append_column("stored_sha256", pa.nulls(16000, pa.string())), 8)
    assert np.array_equal(ranges[:8000], ranges[8000:])
    assert set(np.unique(ranges)) == set(range(8))
    assert np.bincount(ranges).max() < 2.2 * 1000
