"""YuNet: from its heads to faces, by a tiny graph that sees a face in each bright square of 32 px."""

from pathlib import Path

import numpy as np
import pytest

from filters.models.yunet import YuNet, faces_of
from shards.errors import UsageError
from tests.filters.models.tiny_graphs import Shape, write_nsfw, write_yunet


def bright(height: int, width: int, *cells: tuple[int, int]) -> np.ndarray:
    """Black, but for some squares of 32 px, by row and column, that are blue."""
    image = np.zeros((height, width, 3), np.uint8)
    for row, column in cells:
        image[32 * row : 32 * row + 32, 32 * column : 32 * column + 32, 2] = 255
    return image


@pytest.mark.parametrize(
    ("image", "num", "area"),
    [
        (bright(128, 256), 0, 0.0),
        (bright(128, 256, (1, 2)), 1, 32 * 32 / (128 * 256)),
        (bright(128, 256, (1, 2), (3, 6)), 2, 2 * 32 * 32 / (128 * 256)),
        (bright(128, 256, (0, 0)), 1, 16 * 16 / (128 * 256)),
        (bright(64, 96, (1, 1)), 1, 32 * 32 / (64 * 96)),
        (bright(1, 1), 0, 0.0),
        (bright(40, 70, (0, 1)), 1, 16 * 32 / (40 * 70)),
    ],
)
@pytest.mark.parametrize("shape", [(1, 3, "h", "w"), (1, 3, 640, 640)])
def test_faces_are_counted_in_the_image_and_never_in_what_fills_the_frame(
    tmp_path: Path,
    image: np.ndarray,
    num: int,
    area: float,
    shape: Shape,
) -> None:
    model = YuNet(write_yunet(tmp_path / "yunet.onnx", shape))
    assert model.measured([model.prepared(image)]) == [{"num_faces": num, "face_area": round(area, 4)}]


def test_a_large_image_is_made_smaller_first(tmp_path: Path) -> None:
    model = YuNet(write_yunet(tmp_path / "yunet.onnx"))
    image = bright(640, 1280, (4, 4), (4, 5), (5, 4), (5, 5))
    assert model.prepared(image).values.shape == (1, 3, 320, 640)
    assert model.measured([model.prepared(image)]) == [{"num_faces": 1, "face_area": round(64 * 64 / (640 * 1280), 4)}]


def heads(**cells: float) -> dict[str, np.ndarray]:
    """Heads of a frame of 64 x 64 px in which cells, as `s32_3`, are certain to their number squared."""
    made: dict[str, np.ndarray] = {}
    for stride in (8, 16, 32):
        num = (64 // stride) ** 2
        made |= {f"{head}_{stride}": np.zeros((1, num, 1), np.float32) for head in ("cls", "obj")}
        made[f"bbox_{stride}"] = np.zeros((1, num, 4), np.float32)
    for name, sure in cells.items():
        of_stride, place = name[1:].split("_")
        made[f"cls_{of_stride}"][0, int(place)] = made[f"obj_{of_stride}"][0, int(place)] = sure
    return made


@pytest.mark.parametrize(
    ("cells", "num"),
    [({}, 0), ({"s32_3": 0.9}, 1), ({"s32_3": 0.89}, 0), ({"s32_3": 0.95, "s32_0": 0.92}, 2), ({"s8_9": 7.0}, 1)],
)
def test_a_face_is_what_is_certain_from_the_threshold_on(cells: dict[str, float], num: int) -> None:
    assert len(faces_of(heads(**cells), 64, 64)) == num


def test_of_boxes_about_one_face_the_surest_stays() -> None:
    given = heads(s16_5=0.95, s16_6=0.99)
    given["bbox_16"][0, 5] = (0.5, 0, 1, 1)
    given["bbox_16"][0, 6] = (0, 0, 1, 1)  # its middle 8 px further right
    half = round(8 * np.e, 4)
    assert faces_of(given, 64, 64).tolist() == [pytest.approx([32 - half, 16 - half, 32 + half, 16 + half], abs=1e-4)]
    given["bbox_16"][0, 5] = (-1.5, 0, 0, 0)
    assert len(faces_of(given, 64, 64)) == 2


def test_numbers_beyond_all_measure_are_no_error() -> None:
    given = heads(s32_3=1.0)
    given["bbox_32"][0, 3] = (0, 0, 1e30, -1e30)
    assert np.isfinite(faces_of(given, 64, 64)).all()


@pytest.mark.parametrize("shape", [(1, 3, 100, 100), (1, 1, "h", "w"), (1, 3, 320, "w")])
def test_a_graph_of_another_input_is_refused(tmp_path: Path, shape: Shape) -> None:
    with pytest.raises(UsageError, match=r"models.faces: "):
        YuNet(write_yunet(tmp_path / "yunet.onnx", shape))


def test_a_graph_without_the_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outputs named cls_8"):
        YuNet(write_nsfw(tmp_path / "nsfw.onnx"))
