"""Stored copies of samples, read from a fetch part's tar by the offsets in its rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
