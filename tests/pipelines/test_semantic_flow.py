"""Semantic duplicates in the flow: the same values whatever the parts, only among what stands, resumed where killed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.flow import gather, semantic
from pipelines.tasks import RowFilter, Task
from tests.dedup.test_semantic import by_brute_force
from tests.pipelines.conftest import InlinePool
from tests.pipelines.selecting import NUM, NUM_COPIES, Row, Selecting, scored_samples

ALIKE = {"alike": "sem_dup_cos < 0.95"}
Values = dict[str, tuple[float | None, str | None]]


@pytest.fixture(scope="module")
def scored() -> pa.Table:
    return scored_samples()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, scored: pa.Table) -> Values:
    """What a run of one part and one range of clusters finds."""
    run = Selecting(tmp_path_factory.mktemp("undisturbed"), scored, ALIKE)
    values = cosines(run.rows())
    assert run.pool.steps().count("select-cosines") == 1
    return values


def cosines(rows: dict[str, Row]) -> Values:
    return {uid: (row["sem_dup_cos"], row["sem_dup_of"]) for uid, row in sorted(rows.items())}


def expected(scored: pa.Table, value: Sequence[float]) -> dict[str, float]:
    """By brute force over one cluster of all that stand, larger values first."""
    rows = [row | {"value": v} for row, v in zip(scored.to_pylist(), value, strict=True) if row["drop_reason"] is None]
    rows.sort(key=lambda row: (-row["value"], row["uid"]))
    vectors = np.array([row["vector"] for row in rows]).astype(np.float16)
    found = by_brute_force(vectors, np.zeros(len(rows), np.int64))
    return dict(zip((row["uid"] for row in rows), found, strict=True))


@pytest.mark.parametrize("keep", ["largest", "sharpest", "best_score"])
def test_the_one_to_keep_comes_first_and_all_others_know_whom_they_resemble(
    tmp_path: Path, scored: pa.Table, keep: str
) -> None:
    rows = Selecting(tmp_path, scored, ALIKE, dedup={"keep": keep, "semantic_clusters": 1}).rows()
    value = {
        "largest": [float(width * 300) for width in scored["original_width"].to_pylist()],
        "sharpest": scored["sharpness"].to_pylist(),
        "best_score": [texts[0]["clip_score"] for texts in scored["texts"].to_pylist()],
    }[keep]
    wanted = expected(scored, value)
    assert {uid: row["sem_dup_cos"] for uid, row in rows.items() if uid in wanted} == wanted
    fell = {uid for uid, row in rows.items() if row["drop_reason"] == "alike"}
    assert fell == {uid for uid, cosine in wanted.items() if cosine >= 0.95}
    assert len(fell) >= NUM_COPIES - 3
    assert all(rows[uid]["sem_dup_of"] in wanted for uid in fell)
    values = dict(zip(scored["uid"].to_pylist(), value, strict=True))
    first = min(wanted, key=lambda uid: (-values[uid], uid))
    assert (rows[first]["sem_dup_cos"], rows[first]["sem_dup_of"], rows[first]["drop_reason"]) == (0.0, None, None)


def test_parts_ranges_and_their_order_change_no_value(
    tmp_path: Path, scored: pa.Table, undisturbed: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic, "_TASK_BYTES", 2 * 32 * 60)
    monkeypatch.setattr(gather, "_BUCKET_ROWS", 60)
    for num_parts in (2, 4):
        run = Selecting(tmp_path / str(num_parts), scored, ALIKE, num_parts)
        assert cosines(run.rows(InlinePool(slots=4))) == undisturbed
        assert run.pool.steps().count("select-cosines") == 4
        assert run.pool.steps().count("select-cluster") == num_parts


def test_centroids_are_trained_on_the_first_uids_alone(
    tmp_path: Path, scored: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic, "_SAMPLE_OF_CLUSTER", 20)
    one, two = (Selecting(tmp_path / str(num), scored, ALIKE, num) for num in (1, 3))
    assert cosines(one.rows()) == cosines(two.rows())


def test_who_fell_before_is_not_compared_with(tmp_path: Path, scored: pa.Table) -> None:
    weak = {"weak": "clip_score >= 0.3", **ALIKE}
    rows = Selecting(tmp_path, scored, weak, 2, dedup={"semantic_clusters": 1}).rows()
    stand = scored.filter(pa.array([rows[uid]["drop_reason"] != "weak" for uid in scored["uid"].to_pylist()]))
    wanted = expected(stand, [float(width * 300) for width in stand["original_width"].to_pylist()])
    assert {uid: row["sem_dup_cos"] for uid, row in rows.items() if row["sem_dup_cos"] is not None} == wanted
    assert {row["sem_dup_of"] for row in rows.values()} <= {*wanted, None}


def test_other_rules_of_select_take_their_turns_before_and_after(tmp_path: Path, scored: pa.Table) -> None:
    rules = {"lowest": "clip_pct >= 0.2", **ALIKE, "low_or_alike": "clip_pct >= 0.2 AND sem_dup_cos < 0.9"}
    rows = Selecting(tmp_path, scored, rules, 2, dedup={"semantic_clusters": 1}).rows()
    reasons = [row["drop_reason"] for row in rows.values()]
    assert reasons.count("lowest") == 48
    assert reasons.count("alike") > 20
    assert reasons.count("low_or_alike") > 20
    for row in rows.values():
        assert (row["sem_dup_cos"] is None) == (row["drop_reason"] in ("lowest", "too_small"))
        assert row["drop_reason"] != "alike" or row["sem_dup_cos"] >= 0.95
        assert row["drop_reason"] is not None or (row["sem_dup_cos"] < 0.9 and row["clip_pct"] >= 0.2)


def test_without_a_rule_it_is_told_of_all_that_is_kept(tmp_path: Path, scored: pa.Table) -> None:
    rules = {"lowest": "clip_pct >= 0.2"}
    rows = Selecting(tmp_path, scored, rules, measures=["sem_dup_cos"]).rows()
    for row in rows.values():
        assert (row["sem_dup_cos"] is None) == (row["drop_reason"] is not None)


def test_another_threshold_compares_nothing_anew_and_another_rule_clusters_nothing_anew(
    tmp_path: Path, scored: pa.Table
) -> None:
    Selecting(tmp_path, scored, ALIKE, 2).rows()
    looser = Selecting(tmp_path, scored, {"alike": "sem_dup_cos < 0.99"}, 2)
    looser.rows()
    assert set(looser.pool.steps()) == {"select"}
    weak = Selecting(tmp_path, scored, {"weak": "clip_score >= 0.3", **ALIKE}, 2)
    weak.rows()
    assert {"select-judge", "select-stand", "select-cosines", "select"} == set(weak.pool.steps())


@pytest.mark.parametrize("step", ["select-train", "select-cluster", "select-stand", "select-cosines", "select"])
def test_a_run_killed_in_any_step_goes_on_where_it_was(
    tmp_path: Path, scored: pa.Table, undisturbed: Values, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(semantic, "_TASK_BYTES", 2 * 32 * 60)
    monkeypatch.setattr(gather, "_BUCKET_ROWS", 60)
    run = Selecting(tmp_path / "run", scored, ALIKE, 3)
    seen = []

    def die(task: Task, _: RowFilter) -> None:
        seen.append(task.step)
        if seen.count(step) == (1 if step == "select-train" else 2):
            raise KeyboardInterrupt

    pool = InlinePool(slots=1, fault=die)
    with pytest.raises(KeyboardInterrupt):
        run.rows(pool)
    before = {task.ref for _, task in pool.calls[:-1]}
    assert cosines(run.rows()) == undisturbed
    assert not {task.ref for _, task in run.pool.calls} & before


@pytest.mark.parametrize("fault", [np.nan, np.inf, 0.0])
def test_an_image_without_a_direction_has_no_cosine_and_falls(tmp_path: Path, scored: pa.Table, fault: float) -> None:
    broken = scored["uid"][7].as_py()
    vectors = [np.full(32, fault) if uid == broken else v for uid, v in zip(*_columns(scored), strict=True)]
    scored = scored.set_column(scored.column_names.index("vector"), "vector", pa.array(vectors))
    scored = scored.set_column(scored.column_names.index("drop_reason"), "drop_reason", pa.nulls(NUM, pa.string()))
    row = Selecting(tmp_path, scored, ALIKE, 2).rows()[broken]
    assert (row["sem_dup_cos"], row["sem_dup_of"], row["drop_reason"]) == (None, None, "alike")


def _columns(scored: pa.Table) -> tuple[list[str], list[Any]]:
    return scored["uid"].to_pylist(), scored["vector"].to_pylist()


def test_nobody_left_is_no_fault(tmp_path: Path, scored: pa.Table) -> None:
    gone = scored.set_column(
        scored.column_names.index("drop_reason"), "drop_reason", pa.array(["too_small"] * NUM, pa.string())
    )
    assert all(row["sem_dup_cos"] is None for row in Selecting(tmp_path / "a", gone, ALIKE, 2).rows().values())
    weak = {"weak": "clip_score > 1", **ALIKE}
    assert all(row["sem_dup_cos"] is None for row in Selecting(tmp_path / "b", scored, weak, 2).rows().values())
