"""Images made very small and grey, to the bit as Pillow 13 does it: what hashes are taken of."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""uint8 [height, width, 3] in sRGB, or its BT.601 luma [height, width], which gives the same hash."""


def grey_of(pixels: Pixels) -> Pixels:
    """BT.601 luma in whole levels, uint8 [height, width]."""
    if pixels.ndim == 2:
        return pixels
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))


def shrunk(grey: Pixels, width_px: int, height_px: int, turned: Pixels | None = None) -> Pixels:
    """Lanczos to uint8 [height_px, width_px], whichever Pillow is here. `turned` is the image on its side, if it lies
    there already.

    It narrows first, unless the height shrinks by twice as many pixels as the width: Pillow before 13 always did, and
    so has another bit in some tall images.
    """
    height, width = grey.shape
    if height - height_px > 2 * max(0, width - width_px):
        return _narrowed(_turned(_lowered(grey, height_px)), width_px)
    return _lowered(_narrowed(_turned(grey) if turned is None else turned, width_px), height_px)


def _lowered(grey: Pixels, height_px: int) -> Pixels:
    from dedup import lanczos_kernels  # the compiler takes most of a second to load

    if len(grey) == height_px:
        return grey
    return lanczos_kernels.along_columns(grey, *_weights(len(grey), height_px))


def _narrowed(turned: Pixels, width_px: int) -> Pixels:
    """Of an image on its side, upright again."""
    return _turned(_lowered(turned, width_px))


def _turned(grey: Pixels) -> Pixels:
    from shards import turning_kernels

    return turning_kernels.turned(grey)


@lru_cache(maxsize=1024)
def _weights(num_in: int, num_out: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    from dedup import lanczos_kernels

    return lanczos_kernels.lanczos_weights(num_in, num_out)
