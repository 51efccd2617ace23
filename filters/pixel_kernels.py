"""The inner loops of image measures, compiled. Whole numbers all the way, so that every machine gets the same.

Colours come as planes, so that many pixels are worked on at a time.
"""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]


@compiled
def planes_of(rgb: Bytes) -> Bytes:
    """Red, green and blue apart: uint8 [3, height x width]."""
    planes = np.empty((3, rgb.shape[0] * rgb.shape[1]), np.uint8)
    reds, greens, blues = planes
    levels = np.ascontiguousarray(rgb).reshape(-1)  # one run: the compiler takes it apart many pixels at a time
    for pixel in range(len(reds)):
        reds[pixel] = levels[3 * pixel]
        greens[pixel] = levels[3 * pixel + 1]
        blues[pixel] = levels[3 * pixel + 2]
    return planes


@compiled
def grey_of(planes: Bytes) -> Bytes:
    """ITU-R BT.601 luma in whole levels, `uint8 [height x width]`: as Pillow's `convert("L")` has it."""
    reds, greens, blues = planes
    grey = np.empty(len(reds), np.uint8)
    for pixel in range(len(reds)):
        luma = np.int32(19595 * np.int32(reds[pixel])) + np.int32(38470 * np.int32(greens[pixel]))
        grey[pixel] = np.int32(luma + np.int32(7471 * np.int32(blues[pixel])) + 0x8000) >> 16
    return grey


@compiled
def histogram_of(grey: Bytes) -> npt.NDArray[np.int64]:
    """How many pixels have each level: `int64 [256]`."""
    counts = np.zeros((2, 256), np.int64)  # two by turns: equal neighbours would wait for each other
    for pixel in range(0, len(grey) - 1, 2):
        counts[0, grey[pixel]] += 1
        counts[1, grey[pixel + 1]] += 1
    if len(grey) % 2:
        counts[0, grey[-1]] += 1
    counts[0] += counts[1]
    return np.ascontiguousarray(counts[0])


@compiled
def opponent_moments(planes: Bytes) -> tuple[int, int, int, int]:
    """Sum and sum of squares of R - G, then of R + G - 2 B."""
    reds, greens, blues = planes
    total, squares, total_blue, squares_blue = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for pixel in range(len(reds)):
        red, green, blue = np.int32(reds[pixel]), np.int32(greens[pixel]), np.int32(blues[pixel])
        red_green, yellow_blue = np.int32(red - green), np.int32(red + green - 2 * blue)
        total += red_green
        squares += np.int32(red_green * red_green)
        total_blue += yellow_blue
        squares_blue += np.int32(yellow_blue * yellow_blue)
    return int(total), int(squares), int(total_blue), int(squares_blue)


@compiled
def num_coloured(planes: Bytes, tolerance: int) -> int:
    """Pixels whose channels lie further apart than `tolerance` levels, of 255."""
    reds, greens, blues = planes
    num, most = 0, np.uint8(tolerance)
    for pixel in range(len(reds)):
        red, green, blue = reds[pixel], greens[pixel], blues[pixel]
        spread = np.uint8(max(max(red, green), blue) - min(min(red, green), blue))
        num += int(spread > most)
    return num


@compiled
def laplacian_moments(grey: Bytes) -> tuple[int, int]:
    """Sum and sum of squares of the four-neighbour Laplacian of `uint8 [height, width]`, edges left out."""
    total, squares = np.int64(0), np.int64(0)
    for row in range(1, grey.shape[0] - 1):
        above, line, below = grey[row - 1, 1:-1], grey[row], grey[row + 1, 1:-1]
        before, here, after = line[:-2], line[1:-1], line[2:]
        for column in range(len(here)):
            around = np.int32(above[column]) + np.int32(below[column])
            around += np.int32(before[column]) + np.int32(after[column])
            value = np.int32(around - 4 * np.int32(here[column]))
            total += value
            squares += np.int32(value * value)
    return int(total), int(squares)
