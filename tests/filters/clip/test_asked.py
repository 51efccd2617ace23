"""What measures of the score stage rest on: told before anything is fetched, and part of what is fingerprinted."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filters.clip.asked import HEADS, deciding_settings, measure_marks, prepared, problems_of
from filters.clip.settings import ScoreSettings
from filters.measures import MEASURES
from shards.errors import UsageError
from tests.filters.clip import tiny_models
from tests.filters.clip.test_feed import PlainTowers, scorer_of
from tests.filters.clip.test_heads import saved, weights
from tests.filters.clip.test_scorer import SHIPPED

TWO = {"猫": ["一只猫"], "狗": ["一只狗", "狗"]}


def settings(folder: Path = SHIPPED, **others: Any) -> ScoreSettings:
    return ScoreSettings.model_validate({"model": f"local-dir:{folder}", "pretrained": None, **others})


def problems(names: list[str], told: ScoreSettings, bring_models: bool = False) -> list[tuple[str, str]]:
    return list(problems_of(names, told, bring_models))


def test_every_head_is_a_measure_of_images() -> None:
    assert {MEASURES[name].level for name in HEADS} == {"image"}
    assert {MEASURES[name].stage for name in HEADS} == {"score"}


def test_what_is_asked_for_and_not_given_is_told_at_its_place() -> None:
    found = dict(problems(["clip_score", "aesthetic", "punsafe", "zero_shot_score"], settings()))
    assert list(found) == ["score.heads.aesthetic", "score.heads.punsafe", "score.categories"]
    assert found["score.heads.aesthetic"].startswith("is required, because aesthetic is asked for")
    one = settings(categories={"猫": ["一只猫"]})
    assert [place for place, _ in problems(["zero_shot_category"], one)] == ["score.categories"]
    assert problems(["zero_shot_category"], settings(categories=TWO)) == []


def test_what_is_given_and_not_asked_for_is_not_looked_at() -> None:
    assert problems(["clip_score"], settings(heads={"aesthetic": {"path": "/no/such/file"}})) == []


def test_head_of_another_width_is_told_from_files_alone(tmp_path: Path) -> None:
    fits, unfit = tmp_path / "a", tmp_path / "b"
    fits.mkdir()
    unfit.mkdir()
    heads = {"aesthetic": {"path": saved(fits, weights(64, 1))}}
    assert problems(["aesthetic"], settings(heads=heads)) == []
    heads["aesthetic"]["path"] = saved(unfit, weights(768, 16, 1))
    ((place, message),) = problems(["aesthetic"], settings(heads=heads))
    assert place == "score.heads.aesthetic"
    assert message.startswith("it takes embeddings of 768 numbers, and the model of `score` makes 64: name the model")


def test_width_of_a_chinese_clip_folder_is_in_its_config(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the clip extra is not installed")
    folder = tmp_path / "model"
    folder.mkdir()
    tiny_models.write_chinese_clip(folder)
    for width, expected in ((tiny_models.EMBEDDED, 0), (tiny_models.EMBEDDED + 1, 1)):
        heads = {"aesthetic": {"path": saved(tmp_path, weights(width, 1))}}
        told = settings(folder, backend="chinese-clip", heads=heads)
        assert len(problems(["aesthetic"], told)) == expected


def test_width_of_onnx_graphs_is_asked_of_the_graph(tmp_path: Path) -> None:
    for module in ("onnx", "onnxruntime"):
        pytest.importorskip(module, reason="the onnx and dev extras are not installed")
    folder = tiny_models.write_onnx(tmp_path / "model")
    for width, expected in ((tiny_models.EMBEDDED, 0), (tiny_models.EMBEDDED + 1, 1)):
        heads = {"aesthetic": {"path": saved(tmp_path, weights(width, 1))}}
        told = settings(folder, backend="onnx", heads=heads)
        assert len(problems(["aesthetic"], told, bring_models=True)) == expected
        assert problems(["aesthetic"], told) == []  # nothing is run for `curate plan`


def test_width_of_a_named_model_is_in_its_librarys_list(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the clip extra is not installed")
    for width, expected in ((512, 0), (768, 1)):
        heads = {"aesthetic": {"path": saved(tmp_path, weights(width, 1))}}
        told = ScoreSettings.model_validate({"model": "ViT-B-32", "pretrained": "openai", "heads": heads})
        assert len(problems(["aesthetic"], told, bring_models=True)) == expected


def test_marks_tell_content_and_not_places(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    path, moved = saved(tmp_path, weights(64, 1)), saved(tmp_path / "moved", weights(64, 1))
    names = ["clip_score", "aesthetic", "zero_shot_category", "group_text_rank"]

    def marks(**others: Any) -> dict[str, str]:
        told: dict[str, Any] = {"heads": {"aesthetic": {"path": path}}, "categories": TWO, "group_size": 8}
        return measure_marks(names, settings(**(told | others)))

    first = marks()
    assert first["clip_score"] == "clip_score:1"
    assert marks(heads={"aesthetic": {"path": moved}}) == first
    saved(tmp_path / "moved", weights(64, 1, seed=5))
    others: dict[str, list[dict[str, Any]]] = {
        "aesthetic": [
            {"heads": {"aesthetic": {"path": moved}}},
            {"heads": {"aesthetic": {"path": path, "activation": "relu"}}},
        ],
        "zero_shot_category": [{"categories": {**TWO, "鸟": ["一只鸟"]}}, {"categories": dict(reversed(TWO.items()))}],
        "group_text_rank": [{"group_size": 9}],
    }
    for name, changes in others.items():
        for change in changes:
            assert {at for at, mark in marks(**change).items() if mark != first[at]} == {name}


def test_settings_that_decide_are_those_of_what_is_asked() -> None:
    told = settings(categories=TWO, group_size=8)
    assert deciding_settings(["clip_score", "clip_flip_score"], told) == {}
    assert list(deciding_settings(["group_image_rank", "aesthetic"], told)) == ["heads.aesthetic", "group_size"]
    assert deciding_settings(["zero_shot_score"], told) == {"categories": list(TWO.items())}


def test_only_what_is_asked_is_prepared(tmp_path: Path) -> None:
    towers = PlainTowers()
    scorer = scorer_of(towers, 4)
    told = settings(heads={"aesthetic": {"path": saved(tmp_path, weights(3, 1))}}, categories=TWO)
    plain = prepared(["clip_score"], told, scorer)
    assert (plain.heads, plain.categories, towers.texts) == ({}, None, [])
    asked = prepared(["clip_score", "aesthetic", "zero_shot_score"], told, scorer)
    assert list(asked.heads) == ["aesthetic"]
    assert asked.categories is not None
    assert asked.categories.labels == ("猫", "狗")
    (tmp_path / "head.safetensors").unlink()
    with pytest.raises(UsageError, match="no file at"):
        prepared(["aesthetic"], told, scorer)


def test_settings_are_read_without_loading_a_library_that_runs_models() -> None:
    code = (
        "import sys; from filters.clip.asked import problems_of; from filters.clip.settings import ScoreSettings\n"
        "list(problems_of(['aesthetic', 'zero_shot_score'], ScoreSettings(), False))\n"
        "print('torch' in sys.modules, 'PIL' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"] * 3
