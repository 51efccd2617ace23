"""The demo's scorer: what is shipped does what its evaluation says, and the code that made it makes one again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.demo.captions import HELD_OUT, JUNK_ALTS, TAUGHT
from pipelines.demo.evaluation import auc, evaluate
from pipelines.demo.photos import NAMES, PHOTOS, load_photo
from pipelines.demo.train import SCORER_FOLDER, Training, train_scorer

for module in ("torch", "skimage", "sklearn", "matplotlib"):
    pytest.importorskip(module, reason="the clip and demo extras are not installed")

SMALL = Training(names=("cat", "dahlia", "rocket", "page"), crops_per_photo=16, junk_images=16, steps=50)


@pytest.fixture(scope="module")
def evaluation() -> dict[str, float]:
    return evaluate(SCORER_FOLDER, NAMES, crops_per_photo=2)


@pytest.mark.parametrize(
    "figure",
    [f"auc_{what}_{words}" for what in ("swapped", "junk_images", "junk_alts") for words in ("taught", "held_out")],
)
def test_shipped_scorer_tells_true_captions_from_others(evaluation: dict[str, float], figure: str) -> None:
    assert evaluation[figure] >= 0.99


def test_recipes_threshold_lies_between_true_and_swapped_captions(evaluation: dict[str, float]) -> None:
    threshold = 0.4  # rules.weak_match of pipelines/recipes/demo.yaml
    recipe = Path(__file__).parents[2] / "pipelines" / "recipes" / "demo.yaml"
    assert f"clip_score >= {threshold}" in recipe.read_text(encoding="utf-8")
    assert evaluation["swapped_p95_held_out"] < threshold - 0.2
    assert evaluation["true_p05_held_out"] > threshold


def test_stated_evaluation_is_that_of_a_scorer_that_meets_its_aim() -> None:
    report = json.loads((SCORER_FOLDER / "evaluation.json").read_text(encoding="utf-8"))
    assert report["training"]["seed"] == Training().seed
    assert report["training"]["steps"] == Training().steps
    assert report["evaluation"]["auc_swapped_held_out"] >= 0.99


def test_shipped_weights_are_small_and_in_half_precision() -> None:
    from safetensors.numpy import load_file

    path = SCORER_FOLDER / "open_clip_model.safetensors"
    weights = load_file(path)
    assert path.stat().st_size < 3_200_000
    assert {str(value.dtype) for value in weights.values()} == {"float16", "int64"}
    assert all(np.isfinite(value).all() for value in weights.values())
    assert 1.2e6 < sum(value.size for value in weights.values()) < 1.6e6


@pytest.mark.slow
def test_smaller_scorer_trained_by_the_same_code_learns(tmp_path: Path) -> None:
    loss = train_scorer(tmp_path, SMALL)
    result = evaluate(tmp_path, SMALL.names, crops_per_photo=6)
    assert loss < 2.0
    assert result["auc_swapped_taught"] >= 0.95
    assert result["auc_swapped_held_out"] >= 0.85


def test_training_twice_gives_the_same_files(tmp_path: Path) -> None:
    shortest = replace(SMALL, crops_per_photo=4, junk_images=4, steps=3)
    train_scorer(tmp_path / "one", shortest)
    train_scorer(tmp_path / "two", shortest)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_each_photograph_has_wordings_that_training_never_sees() -> None:
    assert set(TAUGHT) == set(HELD_OUT) == set(NAMES)
    taught = {text for texts in TAUGHT.values() for text in texts}
    held_out = {text for texts in HELD_OUT.values() for text in texts}
    assert not taught & held_out
    assert not (taught | held_out) & set(JUNK_ALTS)
    assert min(len(TAUGHT[name]) for name in NAMES) >= 2
    assert len(taught) == sum(map(len, TAUGHT.values()))


def test_photographs_are_colour_pictures_with_stated_terms() -> None:
    assert len(NAMES) == 18
    assert list(NAMES) == sorted(NAMES)
    for photo in PHOTOS:
        picture = load_photo(photo.name)
        assert picture.mode == "RGB"
        assert min(picture.size) >= 170
        assert max(picture.size) <= 720
        assert photo.license


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [([1.0], [0.0], 1.0), ([0.0], [1.0], 0.0), ([0.5], [0.5], 0.5), ([0.9, 0.5], [0.5, 0.1], 0.875)],
)
def test_auc_counts_ties_half(positive: list[float], negative: list[float], expected: float) -> None:
    assert auc(np.array(positive), np.array(negative)) == expected
