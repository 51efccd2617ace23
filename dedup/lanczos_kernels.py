"""Pillow's Lanczos for grey bytes, to the bit, in loops that the compiler turns into vector code.

Weights are fixed-point numbers of 22 bits, and sums are rounded to bytes after each direction: what Pillow's
Resample.c does, and what the hashes of imagehash therefore rest on.
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
def along_columns(grey: Bytes, firsts: Ints, weights: Ints) -> Bytes:
    """Each column resampled: uint8 [len(firsts), width]. Many columns are worked on at a time."""
    height, width = grey.shape
    resampled = np.empty((len(firsts), width), np.uint8)
    totals = np.empty(width, np.int32)  # below 2**31: weights add up to 2**22, and lobes to a fifth of it
    for place in range(len(firsts)):
        totals[:] = _HALF
        for tap in range(min(weights.shape[1], height - firsts[place])):
            line, weight = grey[firsts[place] + tap], weights[place, tap]
            if weight != 0:
                for column in range(width):
                    totals[column] += np.int32(np.int32(line[column]) * weight)
        for column in range(width):
            resampled[place, column] = min(np.int32(255), max(np.int32(0), totals[column] >> np.int32(_BITS)))
    return resampled
