"""Boxes in an image: cut at its edges, in reading order, as shares, and what they cover together."""

import numpy as np
import pytest

from filters.models.boxes import as_shares, clipped, covered_share, in_reading_order

NONE = np.zeros((0, 4))


@pytest.mark.parametrize(
    ("boxes", "share"),
    [
        (NONE, 0.0),
        ([[0, 0, 20, 10]], 1.0),
        ([[0, 0, 5, 10]], 0.25),
        ([[0, 0, 5, 10], [0, 0, 5, 10]], 0.25),
        ([[0, 0, 4, 10], [2, 0, 6, 10]], 0.3),
    ],
)
def test_what_several_boxes_cover_counts_once(boxes: object, share: float) -> None:
    assert covered_share(np.array(boxes, float), 10, 20) == share


def test_boxes_end_where_the_image_does() -> None:
    boxes = np.array([[-3, -3, 5, 5], [18, 8, 40, 40], [20, 0, 30, 5], [3, 3, 3, 9]], float)
    assert clipped(boxes, 10, 20).tolist() == [[0, 0, 5, 5], [18, 8, 20, 10]]
    assert clipped(NONE, 10, 20).shape == (0, 4)


def test_lines_are_read_from_the_top_and_each_from_the_left() -> None:
    title, left, right, below = [40, 0, 60, 10], [0, 22, 30, 34], [35, 20, 90, 30], [0, 50, 90, 60]
    boxes = np.array([below, right, title, left], float)
    assert in_reading_order(boxes).tolist() == [title, left, right, below]
    assert in_reading_order(boxes[::-1]).tolist() == [title, left, right, below]
    assert in_reading_order(NONE).shape == (0, 4)


def test_shares_are_of_the_sides_and_have_four_digits() -> None:
    assert as_shares(np.array([[1, 2, 4, 7]], float), 10, 3) == [{"x": 0.3333, "y": 0.2, "w": 1.0, "h": 0.5}]
    assert as_shares(NONE, 10, 3) == []
