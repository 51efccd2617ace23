"""The difference hash of a stored copy, and whether the image holds enough for its hash to mean anything."""

import numpy as np
import numpy.typing as npt

from dedup.shrinking import Pixels, grey_of, shrunk

_WIDTH_PX, _HEIGHT_PX = 9, 8
# Rounding and JPEG's noise leave differences of 2 levels at most between means over so many pixels.
_STRONG_LEVELS = 3
_MIN_STRONG, _MIN_EACH_WAY, _MIN_TURNS = 24, 8, 2
"""Of 64 differences, of those that rise or fall, and of 56 places where one lies above another. Photographs have all
three; plain areas, gradients, vignettes, stripes and lone lines have not, and share hashes. The second keeps what is
trusted 8 bits away from the hash of plain areas, which manifests of other runs name too."""


def dhash64(pixels: Pixels) -> int:
    """64 bits, bit for bit `imagehash.dhash` (hash_size 8) of the image, its first bit the most significant."""
    return _bits(_differences(pixels))


def is_informative(pixels: Pixels) -> bool:
    """Whether enough neighbours differ by more than noise, and not in the same way all the way down."""
    return _has_structure(_differences(pixels))


def hash_and_information(pixels: Pixels, turned: Pixels | None = None) -> tuple[int, bool]:
    """Both at the cost of one; `turned` is their grey on its side, if it is there."""
    differences = _differences(pixels, turned)
    return _bits(differences), _has_structure(differences)


def _differences(pixels: Pixels, turned: Pixels | None = None) -> npt.NDArray[np.int16]:
    """How much brighter each cell is than the one to its left: int16 [8, 8], in levels."""
    cells = shrunk(grey_of(pixels), _WIDTH_PX, _HEIGHT_PX, turned).astype(np.int16)
    return cells[:, 1:] - cells[:, :-1]


def _bits(differences: npt.NDArray[np.int16]) -> int:
    return int.from_bytes(np.packbits(differences.ravel() > 0).tobytes(), "big")


def _has_structure(differences: npt.NDArray[np.int16]) -> bool:
    rises, falls = differences >= _STRONG_LEVELS, differences <= -_STRONG_LEVELS
    num_rises, num_falls = np.count_nonzero(rises), np.count_nonzero(falls)
    num_turns = np.count_nonzero(rises[1:] & falls[:-1]) + np.count_nonzero(falls[1:] & rises[:-1])
    is_strong = num_rises + num_falls >= _MIN_STRONG and min(num_rises, num_falls) >= _MIN_EACH_WAY
    return bool(is_strong and num_turns >= _MIN_TURNS)
