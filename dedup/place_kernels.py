"""Where some hashes stand among many, compiled: one table of the few, looked into once for each of the many."""

import numpy as np
import numpy.typing as npt

from shards.compiled import compiled

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


@compiled
def _mixed(hash_: Words) -> np.uint64:
    """A number that spreads hashes evenly."""
    mixed = np.uint64(0)
    for word in range(len(hash_)):
        mixed = (mixed ^ hash_[word]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return mixed


@compiled
def _slot(hash_: Words, slots: Ints, wanted: Words) -> np.int64:
    """The slot that holds one of `wanted` equal to this hash, or the empty one where it belongs."""
    slot = np.int64(_mixed(hash_) & np.uint64(len(slots) - 1))
    while slots[slot] >= 0:
        is_equal = True
        for word in range(len(hash_)):
            is_equal = is_equal and wanted[slots[slot], word] == hash_[word]
        if is_equal:
            break
        slot = (slot + 1) % len(slots)
    return slot


@compiled
def places_of(wanted: Words, words: Words) -> Ints:
    """Where each of `wanted` (uint64 [m, words]) stands among the distinct hashes `words`; -1 where it does not."""
    size = 64
    while size < 2 * len(wanted):
        size *= 2
    slots, places = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
    is_wanted = np.zeros(size, np.bool_)  # small enough to be near the processor, and right for most that are not
    high = np.uint64(size - 1)
    own = np.empty(len(wanted), np.int64)
    for row in range(len(wanted)):
        own[row] = _slot(wanted[row], slots, wanted)
        slots[own[row]] = row
        is_wanted[np.int64((_mixed(wanted[row]) >> np.uint64(20)) & high)] = True
    hash_ = np.empty(words.shape[0], np.uint64)
    for row in range(words.shape[1]):
        for word in range(len(hash_)):
            hash_[word] = words[word, row]
        if is_wanted[np.int64((_mixed(hash_) >> np.uint64(20)) & high)]:
            places[_slot(hash_, slots, wanted)] = row
    return places[own]
