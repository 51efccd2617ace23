"""Pillow's Lanczos for grey bytes, to the bit, in loops that the compiler turns into vector code.

Weights are fixed-point numbers of 22 bits, sums are rounded to bytes after each direction, rows come first: what
Pillow's Resample.c does, and what imagehash's phash therefore rests on.
"""

import math

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]

_SUPPORT = 3.0
_BITS = 22
_HALF = 1 << (_BITS - 1)


@compiled
def _sinc(x: float) -> float:
    if x == 0.0:
        return 1.0
    return math.sin(x * math.pi) / (x * math.pi)


@compiled
def lanczos_weights(num_in: int, num_out: int) -> tuple[Ints, Ints]:
    """Where each output pixel's inputs begin, and their weights (0 behind the last): int32 [out], [out, taps]."""
    scale = num_in / num_out
    stretch = max(scale, 1.0)
    support = _SUPPORT * stretch
    firsts = np.zeros(num_out, np.int32)
    weights = np.zeros((num_out, math.ceil(support) * 2 + 1), np.int32)
    exact = np.zeros(weights.shape[1], np.float64)
    for place in range(num_out):
        center = (place + 0.5) * scale
        first = max(0, int(center - support + 0.5))
        num = min(num_in, int(center + support + 0.5)) - first
        total = 0.0
        for tap in range(num):
            x = (tap + first - center + 0.5) * (1.0 / stretch)
            exact[tap] = _sinc(x) * _sinc(x / _SUPPORT) if -_SUPPORT <= x < _SUPPORT else 0.0
            total += exact[tap]
        for tap in range(num):
            weight = exact[tap] / total * (1 << _BITS)
            weights[place, tap] = int(weight - 0.5) if weight < 0 else int(weight + 0.5)
        firsts[place] = first
    return firsts, weights


@compiled
def along_rows(grey: Bytes, firsts: Ints, weights: Ints) -> Bytes:
    """Each row resampled: uint8 [height, len(firsts)]."""
    resampled = np.empty((grey.shape[0], len(firsts)), np.uint8)
    for row in range(grey.shape[0]):
        for place in range(len(firsts)):
            first, total = firsts[place], _HALF
            for tap in range(min(weights.shape[1], grey.shape[1] - first)):
                total += np.int32(grey[row, first + tap]) * weights[place, tap]
            resampled[row, place] = min(255, max(0, total >> _BITS))
    return resampled


@compiled
def along_columns(grey: Bytes, firsts: Ints, weights: Ints) -> Bytes:
    """Each column resampled: uint8 [len(firsts), width]."""
    resampled = np.empty((len(firsts), grey.shape[1]), np.uint8)
    totals = np.empty(grey.shape[1], np.int64)
    for place in range(len(firsts)):
        first = firsts[place]
        totals[:] = _HALF
        for tap in range(min(weights.shape[1], grey.shape[0] - first)):
            weight = weights[place, tap]
            for column in range(grey.shape[1]):
                totals[column] += np.int32(grey[first + tap, column]) * weight
        for column in range(grey.shape[1]):
            resampled[place, column] = min(255, max(0, totals[column] >> _BITS))
    return resampled
