"""Pictures without their writing: each text box filled with the mean colour around it, as T-MARS scores them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from filters.clip.feed import Undecoded
from filters.clip.form import Pixels

Box = Mapping[str, float | None]
"""`x`, `y` of the upper left corner, `w`, `h`: shares of the image's width and height, 0.0-1.0."""

_RING_SHARE = 0.1
_MIN_RING_PX = 2
"""How far around a box its colour is taken from: a tenth of the box's shorter side, and at least two pixels."""

_Place = tuple[int, int, int, int]


def without_text(image: Undecoded, boxes: Sequence[Box]) -> Undecoded:
    """The image to come with its boxes filled; as it was said to be otherwise."""

    def decode() -> Pixels | None:
        pixels = image.decode()
        return None if pixels is None else filled(pixels, boxes)

    return Undecoded(image.height, image.width, decode)


def filled(pixels: Pixels, boxes: Sequence[Box]) -> Pixels:
    """The image, uint8 [height, width, 3], with each box in the mean colour of what lies around it.

    What is in any box lends no colour. A box with nothing but boxes around it takes the mean of all that is in none,
    or of the whole image where the boxes leave nothing. After Maini et al., T-MARS, arXiv 2307.03132.
    """
    places = [place for box in boxes if (place := _place(box, *pixels.shape[:2])) is not None]
    if not places:
        return pixels
    is_free = np.ones(pixels.shape[:2], np.bool_)
    for top, bottom, left, right in places:
        is_free[top:bottom, left:right] = False
    made = pixels.copy()
    for place in places:
        top, bottom, left, right = place
        made[top:bottom, left:right] = _colour_around(pixels, is_free, place)
    return made


def _colour_around(pixels: Pixels, is_free: npt.NDArray[np.bool_], place: _Place) -> npt.NDArray[np.uint8]:
    top, bottom, left, right = place
    reach = max(_MIN_RING_PX, round(_RING_SHARE * min(bottom - top, right - left)))
    around = np.s_[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach]
    near = pixels[around][is_free[around]]
    if not len(near):
        near = pixels[is_free] if is_free.any() else pixels.reshape(-1, 3)
    return np.asarray(np.rint(near.mean(axis=0)), np.uint8)


def _place(box: Box, height: int, width: int) -> _Place | None:
    """The pixels that a box touches: top, bottom, left, right. None where it touches none, or is no box."""
    x, y, w, h = (np.nan if box[name] is None else float(box[name] or 0.0) for name in ("x", "y", "w", "h"))
    if not np.isfinite([x, y, w, h]).all() or w <= 0 or h <= 0:
        return None
    top, bottom = _pixels(y, h, height)
    left, right = _pixels(x, w, width)
    return (top, bottom, left, right) if top < bottom and left < right else None


def _pixels(start: float, length: float, num: int) -> tuple[int, int]:
    # Shares are quotients of whole pixels: what is within a thousandth of a pixel of one is that one.
    first, last = np.floor(start * num + 1e-3), np.ceil((start + length) * num - 1e-3)
    return int(np.clip(first, 0, num)), int(np.clip(last, 0, num))
