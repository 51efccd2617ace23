"""Measures that tell drawn images, screenshots above all, from photographs: colours, plain areas, straight lines."""

import math

import numpy as np

from filters.image import Pixels, rounded

_RARE = 1000
"""A colour counts that one pixel of so many has: JPEG's noise makes colours that fewer have."""

_LINE_STEP = 8
_LINE_OF_SIDE = 6
"""A straight line has a jump of 8 levels along a sixth of the image's side: rims, rules and boxes have it."""

_COMMONEST, _TURNS_DOWN, _TURNS_ACROSS, _ROWS, _COLUMNS, _LEAST = 13.0, 19.0, -34.0, 0.6, 0.4, 10.6
"""A logistic regression over half of the images of `infra/bench/screenshots.py`, which tells how far it holds."""

_USUAL_SIDE_PX = 512


def num_colors(pixels: Pixels) -> int:
    """Colours of 4 bits a channel that at least 1 pixel in 1,000 has."""
    least = -(-pixels.grey.size // _RARE)
    return int(np.count_nonzero(pixels.colour_counts >= least))


def flat_share(pixels: Pixels) -> float:
    """Share of the squares of 8 px, those cut off at the right and below among them, whose grey hardly changes."""
    return rounded(float(np.mean(pixels.flat_squares)))


def is_screenshot(pixels: Pixels) -> bool:
    """Whether one colour is the ground, plain and busy squares take turns down the image rather than across it (as
    lines of text have it), and long straight lines run along rows and columns. A plain image is none.
    """
    from filters import drawn_kernels

    height, width = pixels.grey.shape
    flat = pixels.flat_squares
    if flat.all():
        return False
    rows = drawn_kernels.straight_rows(pixels.grey, _LINE_STEP, max(8, width // _LINE_OF_SIDE))
    columns = drawn_kernels.straight_rows(pixels.turned_grey, _LINE_STEP, max(8, height // _LINE_OF_SIDE))
    evidence = (
        _COMMONEST * int(pixels.colour_counts.max()) / pixels.grey.size
        + _TURNS_DOWN * _share_true(flat[1:] != flat[:-1])
        + _TURNS_ACROSS * _share_true(flat[:, 1:] != flat[:, :-1])
        + _ROWS * math.log2(1 + _USUAL_SIDE_PX * rows / height)
        + _COLUMNS * math.log2(1 + _USUAL_SIDE_PX * columns / width)
    )
    return evidence > _LEAST


def _share_true(flags: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> float:
    return float(np.count_nonzero(flags)) / flags.size if flags.size else 0.0
