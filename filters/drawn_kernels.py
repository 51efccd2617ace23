"""The inner loops of measures that tell drawn pixels from photographed ones, compiled."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]


@compiled
def colour_counts(planes: Bytes) -> npt.NDArray[np.int64]:
    """How many pixels have each colour of 4 bits a channel: `int64 [4096]`."""
    reds, greens, blues = planes
    counts = np.zeros((2, 4096), np.int64)  # two by turns: equal neighbours would wait for each other
    for pixel in range(len(reds)):
        colour = np.int32((reds[pixel] >> 4) << 8) | np.int32((greens[pixel] >> 4) << 4) | np.int32(blues[pixel] >> 4)
        counts[pixel & 1, colour] += 1
    counts[0] += counts[1]
    return np.ascontiguousarray(counts[0])


@compiled
def flat_squares(grey: Bytes, side: int, most: int) -> npt.NDArray[np.bool_]:
    """Which squares of `side` px span at most `most` levels of `uint8 [height, width]`; narrower ones at the ends."""
    height, width = grey.shape
    down, across = (height + side - 1) // side, (width + side - 1) // side
    flat = np.empty((down, across), np.bool_)
    for row in range(down):
        lows = np.full(width, 255, np.uint8)
        highs = np.zeros(width, np.uint8)
        for line in range(row * side, min(height, (row + 1) * side)):
            levels = grey[line]
            for column in range(width):
                lows[column] = min(lows[column], levels[column])
                highs[column] = max(highs[column], levels[column])
        for square in range(across):
            low, high = np.uint8(255), np.uint8(0)
            for column in range(square * side, min(width, (square + 1) * side)):
                low, high = min(low, lows[column]), max(high, highs[column])
            flat[row, square] = np.int32(high) - np.int32(low) <= most
    return flat


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
