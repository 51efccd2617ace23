"""The inner loops of measures of colour, compiled. Whole numbers all the way, so that every machine gets the same.

An image is taken apart by blocks that stay in the processor's nearest memory, and each loop does one thing to a block,
so that many pixels are worked on at a time. Places are unsigned: a negative one would count from the end, and to ask
for that, pixel by pixel, takes longer than all the rest.
"""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]

_BLOCK = 2048
"""Pixels: sums over so many fit into 32 bits."""

_BLOCKS_COUNTED = 120
"""So many blocks cannot fill a count of 16 bits, even where all pixels are alike and fall to one of the four."""

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)


@compiled
def _take_apart(levels: Bytes, reds: Bytes, greens: Bytes, blues: Bytes) -> None:
    """Red, green and blue of the pixels of `levels`, uint8 [pixels x 3]."""
    for pixel in range(np.uint64(len(levels) // 3)):
        place = _THREE * pixel
        reds[pixel] = levels[place]
        greens[pixel] = levels[place + _ONE]
        blues[pixel] = levels[place + _TWO]


@compiled
def colour_sums(levels: Bytes, tolerance: int) -> tuple[int, int, int, int, int]:
    """Sum and sum of squares of R - G, then of R + G - 2 B; and how many pixels of `levels`, uint8 [pixels x 3], have
    channels further apart than `tolerance` levels, of 255.
    """
    reds, greens, blues = np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint8)
    total, squares, total_blue, squares_blue, num = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for start in range(0, len(levels), 3 * _BLOCK):
        block = levels[start : start + 3 * _BLOCK]
        _take_apart(block, reds, greens, blues)
        length = len(block) // 3
        moments = _opponent_moments(reds, greens, blues, length)
        total += moments[0]
        squares += moments[1]
        total_blue += moments[2]
        squares_blue += moments[3]
        num += _num_coloured(reds, greens, blues, length, np.uint8(tolerance))
    return int(total), int(squares), int(total_blue), int(squares_blue), int(num)


@compiled
def _opponent_moments(reds: Bytes, greens: Bytes, blues: Bytes, length: int) -> tuple[int, int, int, int]:
    total, squares, total_blue, squares_blue = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for pixel in range(np.uint64(length)):
        red, green, blue = np.int16(reds[pixel]), np.int16(greens[pixel]), np.int16(blues[pixel])
        red_green, yellow_blue = np.int16(red - green), np.int16(red + green - 2 * blue)
        total = np.int32(total + np.int32(red_green))
        squares = np.int32(squares + np.int32(np.int32(red_green) * np.int32(red_green)))
        total_blue = np.int32(total_blue + np.int32(yellow_blue))
        squares_blue = np.int32(squares_blue + np.int32(np.int32(yellow_blue) * np.int32(yellow_blue)))
    return int(total), int(squares), int(total_blue), int(squares_blue)


@compiled
def _num_coloured(reds: Bytes, greens: Bytes, blues: Bytes, length: int, most: np.uint8) -> int:
    num = np.uint16(0)
    for pixel in range(np.uint64(length)):
        red, green, blue = reds[pixel], greens[pixel], blues[pixel]
        spread = np.uint8(max(max(red, green), blue) - min(min(red, green), blue))
        num = np.uint16(num + np.uint16(spread > most))
    return int(num)


@compiled
def colour_counts(levels: Bytes) -> npt.NDArray[np.int64]:
    """How many pixels of `levels`, uint8 [pixels x 3], have each colour of 4 bits a channel: `int64 [4096]`."""
    counts = np.zeros(4096, np.int64)
    partial = np.zeros((4, 4096), np.uint16)  # four by turns: equal neighbours would wait for each other
    reds, greens, blues = np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint8), np.empty(_BLOCK, np.uint8)
    colours = np.empty(_BLOCK, np.uint16)
    waiting = 0
    for start in range(0, len(levels), 3 * _BLOCK):
        block = levels[start : start + 3 * _BLOCK]
        _take_apart(block, reds, greens, blues)
        length = len(block) // 3
        for pixel in range(np.uint64(length)):
            red_green = np.uint16(np.uint16(reds[pixel] & 0xF0) << 4) | np.uint16(greens[pixel] & 0xF0)
            colours[pixel] = np.uint16(red_green) | np.uint16(blues[pixel] >> 4)
        _count(colours[:length], partial)
        waiting += 1
        if waiting == _BLOCKS_COUNTED or start + 3 * _BLOCK >= len(levels):
            _empty_into(counts, partial)
            waiting = 0
    return counts


@compiled
def _empty_into(counts: npt.NDArray[np.int64], partial: Shorts) -> None:
    for colour in range(4096):
        for quarter in range(4):
            counts[colour] += partial[quarter, colour]
            partial[quarter, colour] = 0


@compiled
def _count(colours: Shorts, partial: Shorts) -> None:
    first, second, third, fourth = partial[0], partial[1], partial[2], partial[3]
    quarter = np.uint64(len(colours) // 4)
    for four in range(quarter):
        place = four << _TWO
        first[colours[place]] += np.uint16(1)
        second[colours[place + _ONE]] += np.uint16(1)
        third[colours[place + _TWO]] += np.uint16(1)
        fourth[colours[place + _THREE]] += np.uint16(1)
    for rest in range(quarter << _TWO, np.uint64(len(colours))):
        first[colours[rest]] += np.uint16(1)
