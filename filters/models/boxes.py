"""Boxes in an image: as shares of its sides, in reading order, and how much of it they cover."""

import numpy as np
import numpy.typing as npt

from filters.measures import BOX_SIDES

Boxes = npt.NDArray[np.float64]
"""float64 [n, 4]: left, top, right, bottom in pixels."""

_DIGITS = 4


def clipped(boxes: Boxes, height: int, width: int) -> Boxes:
    """Boxes cut at the edges of an image, without those that lie outside of it."""
    cut = np.clip(boxes, 0, [width, height, width, height])
    return np.asarray(cut[(cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])])


def covered_share(boxes: Boxes, height: int, width: int) -> float:
    """Share of the pixels of an image whose middle lies in any box, 0.0-1.0, rounded to 1e-4."""
    inside = np.zeros((height, width), bool)
    for left, top, right, bottom in np.rint(boxes).astype(int):
        inside[top:bottom, left:right] = True
    return round(float(np.count_nonzero(inside)) / inside.size, _DIGITS)


def in_reading_order(boxes: Boxes) -> Boxes:
    """Line by line from the top, each from the left: a box joins the line whose first box reaches its middle."""
    lines: list[list[int]] = []
    for place in np.lexsort((boxes[:, 0], boxes[:, 1])):
        first = boxes[lines[-1][0]] if lines else None
        middle = (boxes[place, 1] + boxes[place, 3]) / 2
        if first is not None and first[1] <= middle <= first[3]:
            lines[-1].append(int(place))
        else:
            lines.append([int(place)])
    order = [place for line in lines for place in sorted(line, key=lambda place: (boxes[place, 0], place))]
    return boxes[order]


def as_shares(boxes: Boxes, height: int, width: int) -> list[dict[str, float]]:
    """Left, top, width and height of each box as shares of the image's sides, rounded to 1e-4."""
    sides = [boxes[:, 0], boxes[:, 1], boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]]
    shares = np.stack(sides, axis=1) / [width, height, width, height] if len(boxes) else np.zeros((0, 4))
    rows = np.round(shares, _DIGITS).tolist()
    return [dict(zip(BOX_SIDES, row, strict=True)) for row in rows]
