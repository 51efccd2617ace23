"""An object as a seekable file: ranges are asked for as they are read, some bytes ahead."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_AHEAD_BYTES = 4 << 20


class RangedReader(io.RawIOBase):
    """Reads `size` bytes through `read_range(start, length)`."""

    def __init__(self, read_range: Callable[[int, int], bytes], size: int, name: str) -> None:
        self._read_range = read_range
        self._size = size
        self._at = 0
        self.name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"{self.name}: a seek to {start + offset}, before the first byte")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer).cast("B")
        length = min(len(room), self._size - self._at)
        if length <= 0:
            return 0
        data = self._read_range(self._at, length)
        room[: len(data)] = data
        self._at += len(data)
        return len(data)


def buffered(reader: RangedReader, read_ahead_bytes: int = READ_AHEAD_BYTES) -> io.BufferedReader:
    """With a buffer, so that a format that reads a few bytes at a time costs a request per megabytes."""
    return io.BufferedReader(reader, read_ahead_bytes)
