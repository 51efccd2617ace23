"""Measures by models in a run: from stored copies alone, anew when the model changes, refused where it is missing."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from filters.measures import BOX_SIDES
from pipelines.checks import checked_plan
from pipelines.outlook import describe_plan
from pipelines.tasks import Task
from shards.errors import UsageError
from shards.tables import read_rows
from tests.filters.models.tiny_graphs import write_nsfw, write_text_detector, write_yunet
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline
from tests.pipelines.test_release_again import decide, digests

ALL = ["text_area", "num_text_boxes", "text_boxes", "nsfw", "num_faces", "face_area"]


def with_models(recipe: dict[str, Any], folder: Path, measures: list[str], slope: float = 1 / 512) -> dict[str, Any]:
    """The recipe with tiny models, which lie in `folder`."""
    folder.mkdir(exist_ok=True)
    models = {
        "nsfw": str(write_nsfw(folder / "nsfw.onnx", slope)),
        "text_boxes": str(write_text_detector(folder / "text.onnx")),
        "faces": str(write_yunet(folder / "faces.onnx")),
    }
    return recipe | {"measures": measures, "models": models}


def manifest(release: Path, status: str) -> pa.Table:
    return pa.concat_tables([read_rows(path) for path in sorted((release / "manifest").glob(f"{status}-*"))])


def test_models_measure_stored_copies_and_no_request_is_sent(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    pool, before = InlinePool(), len(finished.site.log)
    run_inline(with_models(finished.recipe, tmp_path / "models", ALL), run, pool)
    assert len(finished.site.log) == before
    assert "fetch" not in pool.steps()
    kept, dropped = manifest(run / "release", "kept"), manifest(run / "release", "dropped")
    for name in ALL:
        assert kept[name].null_count == 0
        assert dropped.filter(pa.compute.equal(dropped["dropped_at"], "collect"))[name].null_count > 0
    for row in kept.to_pylist():
        assert row["num_text_boxes"] == len(row["text_boxes"])
        assert all(0 <= box[side] <= 1 for box in row["text_boxes"] for side in BOX_SIDES)
        assert 0 <= row["nsfw"] <= 1


def test_boxes_are_in_the_shards_facts_too(tmp_path: Path, finished: FinishedRun) -> None:
    import tarfile

    run = finished.copy(tmp_path)
    run_inline(with_models(finished.recipe, tmp_path / "models", ["text_boxes"]), run)
    boxes = {row["uid"]: row["text_boxes"] for row in manifest(run / "release", "kept").to_pylist()}
    with tarfile.open(run / "release" / "shards" / "000000.tar") as tar:
        files = [tar.extractfile(name) for name in tar.getnames() if name.endswith(".json")]
        facts = [json.load(file) for file in files if file]
    assert facts
    assert all(fact["text_boxes"] == boxes[fact["uid"]] for fact in facts)


def test_a_rule_over_a_model_s_measure_decides_and_can_be_decided_again_without_the_model(
    tmp_path: Path, finished: FinishedRun
) -> None:
    run = finished.copy(tmp_path)
    recipe = with_models(finished.recipe, tmp_path / "models", [])
    safe = recipe | {"rules": recipe["rules"] | {"unsafe": "nsfw < 0.01"}}
    run_inline(safe, run)
    stricter = recipe | {"rules": recipe["rules"] | {"unsafe": "nsfw < 0.005"}}
    (tmp_path / "models" / "nsfw.onnx").rename(tmp_path / "away.onnx")
    decide(run, stricter, tmp_path / "out")
    (tmp_path / "away.onnx").rename(tmp_path / "models" / "nsfw.onnx")
    run_inline(stricter, run)
    assert digests(tmp_path / "out") == digests(run / "release")


def test_only_another_model_is_run_again(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    run_inline(with_models(finished.recipe, tmp_path / "one", ["nsfw"]), run)
    same, other = InlinePool(), InlinePool()
    first = manifest(run / "release", "kept")["nsfw"]
    run_inline(with_models(finished.recipe, tmp_path / "two", ["nsfw"]), run, same)
    assert "measure" not in same.steps()
    run_inline(with_models(finished.recipe, tmp_path / "three", ["nsfw"], slope=1 / 1024), run, other)
    assert "measure" in other.steps()
    assert manifest(run / "release", "kept")["nsfw"] != first


def test_a_run_decided_again_with_another_model_is_refused(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    run_inline(with_models(finished.recipe, tmp_path / "one", ["nsfw"]), run)
    other = with_models(finished.recipe, tmp_path / "two", ["nsfw"], slope=1 / 1024)
    with pytest.raises(UsageError, match="nsfw was measured by other code or another model than now"):
        decide(run, other, tmp_path / "out")


def test_a_missing_model_is_told_before_anything_is_fetched(tmp_path: Path, finished: FinishedRun) -> None:
    before = len(finished.site.log)
    recipe = finished.recipe | {"measures": ["num_faces", "nsfw"], "models": {"nsfw": str(tmp_path / "none.onnx")}}
    with pytest.raises(UsageError, match=r"(?s)2 problems; nothing was run:.*models.nsfw: no file.*models.faces: "):
        run_inline(recipe, tmp_path / "run")
    assert len(finished.site.log) == before
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_names_no_model_s_measure_needs_none(tmp_path: Path, finished: FinishedRun) -> None:
    checked_plan(finished.recipe | {"models": {"nsfw": str(tmp_path / "none.onnx")}}, "recipe test")


def test_the_plan_tells_each_model_with_its_digest(tmp_path: Path, finished: FinishedRun) -> None:
    recipe = with_models(finished.recipe, tmp_path / "models", ["nsfw", "face_area"])
    told = describe_plan(checked_plan(recipe, "recipe test"))
    assert f"model    nsfw, {tmp_path / 'models' / 'nsfw.onnx'}, sha256 " in told
    assert "model    faces, " in told
    assert "text_boxes" not in told


def test_a_worker_with_another_model_stops_the_run(tmp_path: Path, finished: FinishedRun) -> None:
    recipe = with_models(finished.recipe, tmp_path / "models", ["nsfw"])

    def exchange(task: Task, _: object) -> None:
        if task.step == "measure":
            write_nsfw(tmp_path / "models" / "nsfw.onnx", slope=1 / 77)

    with pytest.raises(UsageError, match="this worker has other models or other code"):
        run_inline(recipe, finished.copy(tmp_path), InlinePool(fault=exchange))
