"""Stored copies of samples, read from a fetch part's tar by the offsets in its rows."""

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.clip.feed import Undecoded
from shards.errors import BrokenRunError
from shards.images import decode_stored
from shards.tars import TarReader


def stored_bytes(rows: pa.Table, tar: Path) -> Iterator[bytes]:
    """The stored copy of each row, as it will lie in a shard."""
    offsets, sizes = rows["tar_offset"].to_pylist(), rows["tar_bytes"].to_pylist()
    with TarReader(tar) as reader:
        for offset, size in zip(offsets, sizes, strict=True):
            yield reader.read(offset, size)


def stored_images(rows: pa.Table, tar: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The pixels of each row's stored copy, uint8 [height, width, 3]."""
    return (decode_stored(data) for data in stored_bytes(rows, tar))


class StoredCopies(AbstractContextManager["StoredCopies"]):
    """The stored copies of rows, to be decoded by any thread; what is wrong with one is kept for its row.

    `faults` tells by place among the rows the reason and the detail of what could not be decoded.
    """

    def __init__(self, rows: pa.Table, tar: Path) -> None:
        names = ("tar_offset", "tar_bytes", "stored_sha256", "height", "width")
        places = zip(*(rows[name].to_pylist() for name in names), strict=True)
        self.faults: dict[int, tuple[str, str]] = {}
        self.undecoded = [
            Undecoded(height, width, partial(self._decode, row, offset, size, sha256, (height, width)))
            for row, (offset, size, sha256, height, width) in enumerate(places)
        ]
        self._reader = TarReader(tar)

    def __exit__(self, *exc: object) -> None:
        self._reader.close()

    def _decode(
        self, row: int, offset: int, size: int, sha256: str, sides: tuple[int, int]
    ) -> npt.NDArray[np.uint8] | None:
        try:
            data = self._reader.read(offset, size)
        except BrokenRunError:
            self.faults[row] = ("hash_mismatch", "the stored copy's tar ends before it does")
            return None
        if hashlib.sha256(data).hexdigest() != sha256:
            self.faults[row] = ("hash_mismatch", "the stored copy is not what fetch wrote: its tar is damaged")
            return None
        try:
            pixels = decode_stored(data)
        except ValueError as error:
            self.faults[row] = ("decode_error", str(error)[:200])
            return None
        if pixels.shape[:2] != sides:
            self.faults[row] = ("decode_error", f"the stored copy is {pixels.shape[1]}x{pixels.shape[0]} pixels")
            return None
        return pixels
