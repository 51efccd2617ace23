"""Draws by name: which samples a share of a dataset is, decided by a hash of each sample's own key and nothing else."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Draws = npt.NDArray[np.uint64]

_DIGITS = 16


def draws_of(keys: pa.Array | pa.ChunkedArray, name: str) -> Draws:
    """A number of 64 bits for each key, uniform and independent from one `name` to another: uint64 [n].

    Keys are hexadecimal digests (a uid, a sha256), none null; their last 16 digits, XORed with the first 64 bits of
    blake2b(name), go through the finaliser of splitmix64 (Steele, Lea and Flood 2014). The same key has the same
    number in every part of a dataset, in any order and in any version of it.
    """
    digits = "".join(pc.utf8_slice_codeunits(keys, -_DIGITS).to_pylist())
    words = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
    salt = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    return _mixed(words ^ np.uint64(salt))


def _mixed(words: Draws) -> Draws:
    words = words ^ (words >> np.uint64(30))
    words = words * np.uint64(0xBF58476D1CE4E5B9)
    words = words ^ (words >> np.uint64(27))
    words = words * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def below_share(draws: Draws, share: float) -> npt.NDArray[np.bool_]:
    """Which draws lie in the first `share` (0.0-1.0) of all numbers: what a smaller share takes, a larger one has."""
    return draws.astype(np.float64) < share * 2.0**64


def group_keys(table: pa.Table | pa.RecordBatch) -> pa.Array:
    """What keeps samples together that must not be parted: the near-duplicate group, else the bytes, else the image.

    Samples of the same bytes are always of one group, where groups were found. Columns uid, sha256, dup_group.
    """
    keys = pc.coalesce(table["dup_group"], table["sha256"], table["uid"])
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
