"""The perceptual hash of a stored copy, and whether the image holds enough for its hash to mean anything."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""uint8 [height, width, 3] in sRGB, or its BT.601 luma [height, width], which gives the same hash."""

_SMALL_PX, _LOW_FREQUENCIES = 32, 8
# A coefficient of the unnormalised DCT below this is what rounding to whole grey levels (about 18) and JPEG's noise
# may leave. Five of scikit-image's photographs have medians of 1,356-8,213, and 57 or more of 63 above it.
_MIN_COEFFICIENT = 128.0
_MIN_COEFFICIENTS = 24
"""Of 63: with fewer, most of the hash's bits are decided by noise, and unlike pictures share hashes."""


def phash64(pixels: Pixels) -> int:
    """64 bits, bit for bit `imagehash.phash` (hash_size 8) of the image, its first bit the most significant."""
    return _bits(_low_frequencies(pixels))


def is_informative(pixels: Pixels) -> bool:
    """Whether the image has enough structure; plain areas, gradients and lone thin lines have not."""
    return _has_structure(_low_frequencies(pixels))


def hash_and_information(pixels: Pixels) -> tuple[int, bool]:
    """Both at the cost of one."""
    low = _low_frequencies(pixels)
    return _bits(low), _has_structure(low)


def _bits(low: npt.NDArray[np.float64]) -> int:
    above = low > _median(low)
    return int.from_bytes(np.packbits(above.ravel()).tobytes(), "big")


def _median(low: npt.NDArray[np.float64]) -> np.float64:
    """As numpy's own, at a tenth of its cost for so few."""
    ordered = np.sort(low, axis=None)
    middle = len(ordered) // 2
    return np.float64((ordered[middle - 1] + ordered[middle]) / 2)


def _has_structure(low: npt.NDArray[np.float64]) -> bool:
    strong = np.abs(low.ravel()[1:]) >= _MIN_COEFFICIENT
    return int(np.count_nonzero(strong)) >= _MIN_COEFFICIENTS


def _low_frequencies(pixels: Pixels) -> npt.NDArray[np.float64]:
    from scipy.fftpack import dct  # type: ignore[import-untyped]  # scipy carries no types

    frequencies = dct(dct(_small(_grey(pixels)), axis=0), axis=1)
    return np.asarray(frequencies[:_LOW_FREQUENCIES, :_LOW_FREQUENCIES], dtype=np.float64)


def _grey(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))


def _small(grey: Pixels) -> Pixels:
    """Lanczos to 32 x 32, to the bit as Pillow 13 does it, whichever Pillow is here.

    It narrows first, unless the height shrinks by twice as many pixels as the width: earlier versions always did, and
    so have another bit in some tall images.
    """
    height, width = grey.shape
    if height - _SMALL_PX > 2 * max(0, width - _SMALL_PX):
        return _narrowed(_lowered(grey))
    return _lowered(_narrowed(grey))


def _lowered(grey: Pixels) -> Pixels:
    from dedup import phash_kernels  # the compiler takes most of a second to load

    return grey if len(grey) == _SMALL_PX else phash_kernels.along_columns(grey, *_weights(len(grey)))


def _narrowed(grey: Pixels) -> Pixels:
    return np.ascontiguousarray(_lowered(np.ascontiguousarray(grey.T)).T)


@lru_cache(maxsize=1024)
def _weights(num_in: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    from dedup import phash_kernels

    return phash_kernels.lanczos_weights(num_in, _SMALL_PX)
