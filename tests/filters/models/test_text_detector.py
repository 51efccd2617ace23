"""Where text is: regions of a certainty map by hand, an image through a tiny graph, the real model on drawn lines."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from filters.models.feed import load_model
from filters.models.settings import ModelSettings
from filters.models.text_detector import TextDetector, text_boxes
from shards.errors import UsageError
from tests.filters.models.tiny_graphs import write_nsfw, write_text_detector


def certainty(
    *regions: tuple[int, int, int, int, float], height: int = 100, width: int = 200
) -> npt.NDArray[np.float32]:
    """A map that is 0 but for regions of (left, top, right, bottom, certainty)."""
    made = np.zeros((height, width), np.float32)
    for left, top, right, bottom, sure in regions:
        made[top:bottom, left:right] = sure
    return made


@pytest.mark.parametrize(
    ("found", "boxes"),
    [
        (certainty(), []),
        # 60 x 6 px have an outline of 132 px and grow by 360 * 1.6 / 132 = 4.4 px.
        (certainty((20, 40, 80, 46, 0.9)), [[16, 36, 84, 50]]),
        (certainty((20, 40, 80, 46, 0.6)), [[16, 36, 84, 50]]),
        (certainty((20, 40, 80, 46, 0.59)), []),
        (certainty((20, 40, 80, 46, 0.3)), []),
        (certainty((0, 0, 60, 6, 0.9)), [[0, 0, 64, 10]]),
        (certainty((20, 40, 80, 42, 0.9)), []),
        (certainty((20, 40, 23, 43, 0.9)), [[19, 39, 24, 44]]),
        # A region higher than 0.2 x sqrt(100 x 200) = 28.3 px is a line only if it is four times as long.
        (certainty((20, 40, 80, 68, 0.9)), [[5, 25, 95, 83]]),
        (certainty((20, 40, 80, 69, 0.9)), []),
        (certainty((20, 40, 135, 69, 0.9)), []),
        (certainty((20, 40, 136, 69, 0.9)), [[1, 21, 155, 88]]),
        (certainty((0, 0, 200, 100, 0.95)), []),
        (certainty((120, 41, 180, 47, 0.9), (20, 40, 80, 46, 0.9)), [[16, 36, 84, 50], [116, 37, 184, 51]]),
    ],
)
def test_regions_that_are_sure_become_boxes_in_reading_order(
    found: npt.NDArray[np.float32], boxes: list[list[float]]
) -> None:
    assert text_boxes(found).tolist() == boxes


def test_noise_without_end_gives_no_more_than_a_thousand_boxes() -> None:
    found = np.zeros((960, 960), np.float32)
    for top in range(0, 960, 12):
        for left in range(0, 960, 12):
            found[top : top + 6, left : left + 6] = 1
    assert len(text_boxes(found)) == 1000


@pytest.mark.parametrize(("height", "width", "scale"), [(100, 200, 1), (1, 1, 1), (33, 31, 1), (1920, 480, 2)])
def test_an_image_of_any_size_is_measured_as_shares_of_its_own(
    tmp_path: Path, height: int, width: int, scale: int
) -> None:
    detector = TextDetector(write_text_detector(tmp_path / "text.onnx"))
    image = np.zeros((height, width, 3), np.uint8)
    if width > 100:
        image[10 * scale : 16 * scale, 20 * scale : 80 * scale, 2] = 255  # blue: the model takes it first
    (found,) = detector.measured([detector.prepared(image)])
    if width <= 100:
        assert found == {"text_area": 0.0, "num_text_boxes": 0, "text_boxes": []}
        return
    box = {"x": 16 * scale / width, "y": 6 * scale / height, "w": 68 * scale / width, "h": 14 * scale / height}
    assert found["text_boxes"] == [pytest.approx(box, abs=1e-4)]
    assert found["num_text_boxes"] == 1
    assert found["text_area"] == round(68 * 14 * scale * scale / (height * width), 4)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"models.text_boxes: .*another kind.*\[n, 3, height, width\]"):
        TextDetector(write_nsfw(tmp_path / "nsfw.onnx"))


def lines_of_text(*lines: str) -> npt.NDArray[np.uint8]:
    """White pixels with black lines, 60 px apart, in the font that Pillow carries."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (480, 60 * len(lines) + 60), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((40, 40 + 60 * number), line, "black", ImageFont.load_default(28))
    return np.asarray(image)


@pytest.mark.skipif(
    find_spec("rapidocr") is None or find_spec("onnxruntime") is None, reason="the extra ocr is not installed"
)
def test_the_model_that_is_shipped_finds_lines_and_is_the_same_each_time() -> None:
    detector = load_model("text_boxes", ModelSettings())
    assert detector is load_model("text_boxes", ModelSettings())
    image = lines_of_text("Sale ends on Sunday", "half price", "only here")
    (found,) = detector.measured([detector.prepared(image)])
    (again,) = detector.measured([detector.prepared(image)])
    (blank,) = detector.measured([detector.prepared(np.full_like(image, 255))])
    assert found == again
    assert blank == {"text_area": 0.0, "num_text_boxes": 0, "text_boxes": []}
    boxes = found["text_boxes"]
    assert isinstance(boxes, list)
    assert found["num_text_boxes"] == len(boxes) == 3
    assert [round(240 * (box["y"] + box["h"] / 2) / 60) for box in boxes] == [1, 2, 3]
    assert boxes[0]["w"] > boxes[1]["w"]
    assert all(abs(480 * box["x"] - 40) < 12 for box in boxes)
