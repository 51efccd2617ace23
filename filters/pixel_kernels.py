"""The inner loops of image measures, compiled. Whole numbers all the way, so that every machine gets the same."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]


@compiled
def grey_of(rgb: Bytes) -> Bytes:
    """ITU-R BT.601 luma in whole levels, `uint8 [height, width]`: as Pillow's `convert("L")` has it."""
    height, width = rgb.shape[:2]
    grey = np.empty((height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            red, green, blue = rgb[row, column, 0], rgb[row, column, 1], rgb[row, column, 2]
            grey[row, column] = (np.int32(19595) * red + np.int32(38470) * green + np.int32(7471) * blue + 0x8000) >> 16
    return grey


@compiled
def histogram_of(grey: Bytes) -> npt.NDArray[np.int64]:
    """How many pixels have each level: `int64 [256]`."""
    counts = np.zeros(256, np.int64)
    for row in range(grey.shape[0]):
        for column in range(grey.shape[1]):
            counts[grey[row, column]] += 1
    return counts


@compiled
def opponent_moments(rgb: Bytes) -> tuple[int, int, int, int]:
    """Sum and sum of squares of R - G, then of R + G - 2 B."""
    total, squares, total_blue, squares_blue = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for row in range(rgb.shape[0]):
        for column in range(rgb.shape[1]):
            red, green = np.int32(rgb[row, column, 0]), np.int32(rgb[row, column, 1])
            blue = np.int32(rgb[row, column, 2])
            red_green, yellow_blue = red - green, red + green - 2 * blue
            total += red_green
            squares += red_green * red_green
            total_blue += yellow_blue
            squares_blue += yellow_blue * yellow_blue
    return int(total), int(squares), int(total_blue), int(squares_blue)


@compiled
def num_coloured(rgb: Bytes, tolerance: int) -> int:
    """Pixels whose channels lie further apart than `tolerance` levels."""
    num = 0
    for row in range(rgb.shape[0]):
        for column in range(rgb.shape[1]):
            red, green, blue = rgb[row, column, 0], rgb[row, column, 1], rgb[row, column, 2]
            spread = np.int32(max(max(red, green), blue)) - np.int32(min(min(red, green), blue))
            num += int(spread > tolerance)
    return num


@compiled
def laplacian_moments(grey: Bytes) -> tuple[int, int]:
    """Sum and sum of squares of the four-neighbour Laplacian, edges left out."""
    total, squares = np.int64(0), np.int64(0)
    for row in range(1, grey.shape[0] - 1):
        for column in range(1, grey.shape[1] - 1):
            around = np.int32(grey[row - 1, column]) + np.int32(grey[row + 1, column])
            around += np.int32(grey[row, column - 1]) + np.int32(grey[row, column + 1])
            value = around - 4 * np.int32(grey[row, column])
            total += value
            squares += value * value
    return int(total), int(squares)
