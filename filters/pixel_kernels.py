"""The inner loops of measures of grey pixels, compiled. Whole numbers all the way, so that every machine gets the same.

Places are unsigned where a loop is to work on many pixels at a time: a negative one would count from the end, and to
ask for that takes longer than the work.
"""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]

_SEGMENT = 1024
"""Pixels of a row: sums of squares of Laplacians over so many fit into 32 bits."""

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@compiled
def grey_of(levels: Bytes) -> Bytes:
    """ITU-R BT.601 luma in whole levels, `uint8 [pixels]`, of uint8 [pixels x 3]: as Pillow's `convert("L")` has it."""
    grey = np.empty(len(levels) // 3, np.uint8)
    for pixel in range(np.uint64(len(grey))):
        place = _THREE * pixel
        red, green, blue = np.uint32(levels[place]), np.uint32(levels[place + _ONE]), np.uint32(levels[place + _TWO])
        luma = np.uint32(19595) * red + np.uint32(38470) * green + np.uint32(7471) * blue + np.uint32(0x8000)
        grey[pixel] = np.uint32(luma) >> np.uint32(16)
    return grey


@compiled
def histogram_of(grey: Bytes) -> npt.NDArray[np.int64]:
    """How many pixels have each level: `int64 [256]`."""
    counts = np.zeros((4, 256), np.int64)  # four by turns: equal neighbours would wait for each other
    first, second, third, fourth = counts[0], counts[1], counts[2], counts[3]
    quarter = np.uint64(len(grey) // 4)
    for four in range(quarter):
        place = four << _TWO
        first[grey[place]] += 1
        second[grey[place + _ONE]] += 1
        third[grey[place + _TWO]] += 1
        fourth[grey[place + _THREE]] += 1
    for rest in range(quarter << _TWO, np.uint64(len(grey))):
        first[grey[rest]] += 1
    for level in range(256):
        first[level] += second[level] + third[level] + fourth[level]
    return np.ascontiguousarray(first)


@compiled
def laplacian_moments(grey: Bytes) -> tuple[int, int]:
    """Sum and sum of squares of the four-neighbour Laplacian of `uint8 [height, width]`, edges left out."""
    height, width = grey.shape
    total, squares = np.int64(0), np.int64(0)
    for row in range(1, height - 1):
        for left in range(1, width - 1, _SEGMENT):
            right = min(width - 1, left + _SEGMENT)
            moments = _laplacian_moments_of(
                grey[row, left - 1 : right + 1], grey[row - 1, left:right], grey[row + 1, left:right]
            )
            total += moments[0]
            squares += moments[1]
    return int(total), int(squares)


@compiled
def _laplacian_moments_of(line: Bytes, above: Bytes, below: Bytes) -> tuple[int, int]:
    """Of a line but for its two ends."""
    total, squares = np.int32(0), np.int32(0)
    for place in range(np.uint64(len(above))):
        across = np.int16(line[place]) + np.int16(line[place + _TWO])
        down = np.int16(above[place]) + np.int16(below[place])
        value = np.int16(across + down - 4 * np.int16(line[place + _ONE]))
        total = np.int32(total + np.int32(value))
        squares = np.int32(squares + np.int32(np.int32(value) * np.int32(value)))
    return int(total), int(squares)


@compiled
def plain_margins(grey: Bytes, start: int, end: int, most: int) -> tuple[int, int]:
    """How many rows at the top and the bottom span at most `most` levels from column `start` up to `end`; all of them
    at the top where every row does.
    """
    height = len(grey)
    top = 0
    while top < height and _span(grey[top, start:end]) <= most:
        top += 1
    bottom = 0
    while bottom < height - top and _span(grey[height - 1 - bottom, start:end]) <= most:
        bottom += 1
    return top, bottom


@compiled
def _span(line: Bytes) -> int:
    low, high = np.uint8(255), np.uint8(0)
    for place in range(np.uint64(len(line))):
        low, high = min(low, line[place]), max(high, line[place])
    return int(high) - int(low)
