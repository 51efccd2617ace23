"""Writing masked out: boxes take the colour around them, whatever they overlap, touch or leave."""

from typing import Any

import numpy as np
import pytest

from filters.clip.feed import Undecoded, decoded
from filters.clip.masking import filled, without_text


def box(x: float, y: float, w: float, h: float) -> dict[str, float | None]:
    return {"x": x, "y": y, "w": w, "h": h}


def picture(height: int = 40, width: int = 60) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Red on the left half, blue on the right, with white writing in each."""
    made = np.zeros((height, width, 3), np.uint8)
    made[:, : width // 2], made[:, width // 2 :] = (200, 0, 0), (0, 0, 100)
    made[10:20, 6:18] = made[10:20, 36:48] = 255
    return made


LEFT, RIGHT = box(6 / 60, 10 / 40, 12 / 60, 10 / 40), box(36 / 60, 10 / 40, 12 / 60, 10 / 40)


def test_box_takes_the_colour_of_its_own_neighbourhood() -> None:
    made = filled(picture(), [LEFT, RIGHT])
    expected = picture()
    expected[10:20, 6:18], expected[10:20, 36:48] = (200, 0, 0), (0, 0, 100)
    np.testing.assert_array_equal(made, expected)


def test_box_on_a_border_takes_the_mean_of_both_sides() -> None:
    made = filled(picture(), [box(0.4, 0.6, 0.2, 0.2)])
    assert made[28, 30].tolist() == [100, 0, 50]


def test_what_is_in_another_box_lends_no_colour() -> None:
    pixels = np.full((20, 20, 3), 50, np.uint8)
    pixels[5:15, 5:10], pixels[5:15, 10:15] = 255, 0
    np.testing.assert_array_equal(filled(pixels, [box(0.25, 0.25, 0.25, 0.5), box(0.5, 0.25, 0.25, 0.5)]), 50)


def test_box_with_boxes_all_around_takes_the_mean_of_what_is_free() -> None:
    pixels = np.full((20, 20, 3), 80, np.uint8)
    pixels[:16] = 250
    made = filled(pixels, [box(0, 0, 1, 0.8), box(0.4, 0.3, 0.05, 0.05)])
    assert set(made.ravel().tolist()) == {80}


def test_image_that_is_all_writing_becomes_its_own_mean() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:5] = 100
    np.testing.assert_array_equal(filled(pixels, [box(0, 0, 1, 1)]), 50)


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [box(0.2, 0.2, 0.0, 0.5)],
        [box(0.2, 0.2, 0.5, -0.1)],
        [box(1.0, 0.2, 0.5, 0.5)],
        [box(float("nan"), 0.2, 0.5, 0.5)],
        [box(0.2, 0.2, float("inf"), 0.5)],
        [{"x": None, "y": 0.0, "w": 1.0, "h": 1.0}],
    ],
)
def test_what_is_no_box_changes_nothing(boxes: list[dict[str, float | None]]) -> None:
    np.testing.assert_array_equal(filled(picture(), boxes), picture())


@pytest.mark.parametrize("side", [1, 2, 3, 7, 333])
def test_shares_become_the_pixels_that_they_were_made_of(side: int) -> None:
    pixels = np.zeros((side, side, 3), np.uint8)
    for first in range(0, side, max(1, side // 5)):
        for last in range(first + 1, side + 1, max(1, side // 5)):
            pixels[...] = 9
            pixels[first:last, first:last] = 255
            span = (last - first) / side
            made = filled(pixels, [box(first / side, first / side, span, span)])
            expected = 255 if last - first == side else 9
            assert set(made.ravel().tolist()) == {expected}


def test_boxes_beyond_the_image_end_at_its_edge() -> None:
    made = filled(picture(), [box(-0.5, -0.5, 0.9, 3.0)])
    assert (made[:, :24] == (200, 0, 0)).all()


def test_image_to_come_is_masked_when_it_is_decoded_and_stays_missing_where_it_is() -> None:
    image = without_text(decoded(picture()), [LEFT])
    made = image.decode()
    assert (image.height, image.width) == (40, 60)
    assert made is not None
    assert made[12, 8].tolist() == [200, 0, 0]
    assert without_text(Undecoded(4, 4, lambda: None), [LEFT]).decode() is None
