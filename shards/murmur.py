"""MurmurHash3, x64 128 bits, of many byte strings at once: LAION's `hash` is `mmh3.hash64(url + text)[0]`."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words = npt.NDArray[np.uint64]

_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_ADD1, _ADD2 = np.uint64(0x52DCE729), np.uint64(0x38495AB5)
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_FIVE, _HALF = np.uint64(5), np.uint64(33)
_BLOCK = 16


def hash64(texts: pa.Array) -> npt.NDArray[np.int64]:
    """The first 64 bits, signed, of each text's UTF-8 under seed 0. No nulls. int64 [n].

    All texts advance together, a block of 16 bytes a step, the longest first: as many steps as the longest has blocks.
    """
    data, starts, lengths = _bytes_of(texts)
    order = np.argsort(-lengths, kind="stable")
    starts, num_blocks = starts[order], lengths[order] // _BLOCK
    high, low = np.zeros(len(order), np.uint64), np.zeros(len(order), np.uint64)
    for step in range(int(num_blocks.max(initial=0))):
        active = int(np.searchsorted(-num_blocks, -step, side="left"))
        first, second = _words(data, starts[:active] + step * _BLOCK)
        high[:active], low[:active] = _stirred(high[:active], low[:active], first, second)
    high, low = _with_tail(high, low, data, starts, lengths[order])
    found = np.empty(len(order), np.uint64)
    found[order] = _finished(high, low, lengths[order].astype(np.uint64))
    return found.view(np.int64)


def _bytes_of(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All bytes, with a block of zeros behind, and where each text starts and how long it is."""
    texts = texts.cast(pa.large_binary())
    offsets = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * 8)
    stored = texts.buffers()[2]
    data = np.zeros(int(offsets[-1]) + _BLOCK, np.uint8)
    data[:-_BLOCK] = np.frombuffer(stored, np.uint8, int(offsets[-1])) if stored is not None else 0
    return data, offsets[:-1], np.diff(offsets)


def _words(data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> tuple[Words, Words]:
    """The two little-endian words of the block at each start."""
    pairs = data[starts[:, None] + np.arange(_BLOCK)].view("<u8")
    return pairs[:, 0], pairs[:, 1]


def _stirred(high: Words, low: Words, first: Words, second: Words) -> tuple[Words, Words]:
    high = _rotated(high ^ _first_mixed(first), 27) + low
    high = high * _FIVE + _ADD1
    low = _rotated(low ^ _second_mixed(second), 31) + high
    return high, low * _FIVE + _ADD2


def _with_tail(
    high: Words,
    low: Words,
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> tuple[Words, Words]:
    """The last bytes, fewer than a block, filled up with zeros: a word of zeros changes nothing."""
    tails = starts + lengths // _BLOCK * _BLOCK
    is_inside = np.arange(_BLOCK) < (lengths % _BLOCK)[:, None]
    pairs = np.where(is_inside, data[tails[:, None] + np.arange(_BLOCK)], np.uint8(0)).view("<u8")
    return high ^ _first_mixed(pairs[:, 0]), low ^ _second_mixed(pairs[:, 1])


def _finished(high: Words, low: Words, lengths: Words) -> Words:
    high, low = high ^ lengths, low ^ lengths
    high = high + low
    low = low + high
    return _mixed(high) + _mixed(low)


def _first_mixed(word: Words) -> Words:
    return _rotated(word * _C1, 31) * _C2


def _second_mixed(word: Words) -> Words:
    return _rotated(word * _C2, 33) * _C1


def _rotated(word: Words, bits: int) -> Words:
    return np.asarray(word << np.uint64(bits) | word >> np.uint64(64 - bits))


def _mixed(word: Words) -> Words:
    word = (word ^ word >> _HALF) * _MIX1
    word = (word ^ word >> _HALF) * _MIX2
    return word ^ word >> _HALF
