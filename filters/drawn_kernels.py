"""The inner loops of measures that tell drawn pixels from photographed ones, compiled."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]

_SIDE = 8
"""JPEG's own squares: three times halved they are one."""

_ONE = np.uint64(1)


@compiled
def flat_squares(grey: Bytes, most: int) -> npt.NDArray[np.bool_]:
    """Which squares of 8 px span at most `most` levels of `uint8 [height, width]`; narrower ones at the ends."""
    height, width = grey.shape
    flat = np.empty(((height + _SIDE - 1) // _SIDE, (width + _SIDE - 1) // _SIDE), np.bool_)
    across = flat.shape[1]
    # What lies beyond the last column can be neither lowest nor highest.
    lows, highs = np.full(8 * across, 255, np.uint8), np.zeros(8 * across, np.uint8)
    lows_of_2, highs_of_2 = np.empty(4 * across, np.uint8), np.empty(4 * across, np.uint8)
    lows_of_4, highs_of_4 = np.empty(2 * across, np.uint8), np.empty(2 * across, np.uint8)
    lows_of_8, highs_of_8 = np.empty(across, np.uint8), np.empty(across, np.uint8)
    for row in range(len(flat)):
        lows[:width], highs[:width] = 255, 0
        for line in range(row * _SIDE, min(height, (row + 1) * _SIDE)):
            levels = grey[line]
            for column in range(np.uint64(width)):
                lows[column] = min(lows[column], levels[column])
                highs[column] = max(highs[column], levels[column])
        _halve(lows, highs, lows_of_2, highs_of_2)
        _halve(lows_of_2, highs_of_2, lows_of_4, highs_of_4)
        _halve(lows_of_4, highs_of_4, lows_of_8, highs_of_8)
        for square in range(np.uint64(across)):
            flat[row, square] = np.uint8(highs_of_8[square] - lows_of_8[square]) <= most
    return flat


@compiled
def _halve(lows: Bytes, highs: Bytes, lower: Bytes, higher: Bytes) -> None:
    """The lower and the higher of each two neighbours."""
    for pair in range(np.uint64(len(lower))):
        place = pair << _ONE
        lower[pair] = min(lows[place], lows[place + _ONE])
        higher[pair] = max(highs[place], highs[place + _ONE])


@compiled
def straight_rows(grey: Bytes, step: int, least: int) -> int:
    """Boundaries of rows on which levels jump by `step` or more, the same way, at `least` columns in a row.

    So long a run that begins at `start` or later covers the column `start + least - 1`: few columns are looked at.
    """
    height, width = grey.shape
    found = 0
    for row in range(1, height):
        above, below = grey[row - 1], grey[row]
        start = 0
        while start + least <= width:
            place = start + least - 1
            jump = np.int32(below[place]) - np.int32(above[place])
            if abs(jump) < step:
                start = place + 1
                continue
            way = 1 if jump > 0 else -1
            first, last = place, place
            while first > start and way * (np.int32(below[first - 1]) - np.int32(above[first - 1])) >= step:
                first -= 1
            while last + 1 < width and way * (np.int32(below[last + 1]) - np.int32(above[last + 1])) >= step:
                last += 1
            if last - first + 1 >= least:
                found += 1
                break
            start = last + 1
    return found
