"""Deterministic tars: members with nothing of this machine or moment in their headers, and reading by offset."""

import io
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shards.digested_writer import DigestedWriter
from shards.errors import BrokenRunError

_BUFFER_BYTES = 1 << 20
_MEMBER_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,8}\Z")


class TarWriter:
    """Writes members in the order they are added: mtime 0, uid and gid 0, mode 0644, ustar headers."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=_BUFFER_BYTES)

    def add(self, name: str, data: bytes) -> int:
        """Append one member and return the offset of its data. Names are `<uid>.<extension>` and nothing else."""
        if not _MEMBER_NAME.match(name):
            raise ValueError(f"tar member {name!r} is not named <32 hex digits>.<extension>")
        self._file.write(member_header(name, len(data)))
        offset = self._file.tell()
        self._file.write(data)
        self._file.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))
        return offset

    @property
    def position(self) -> int:
        """Where the next member begins."""
        return self._file.tell()

    def close(self) -> None:
        """Write the end of the archive, padded to a whole record."""
        self._file.write(end_of_archive(self._file.tell()))
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def member_header(name: str, num_bytes: int) -> bytes:
    """The header of a member: a block of 512 bytes, the same for equal name and size.

    All but name, size and checksum is the same in each, so these are set into a header that the library made.
    """
    encoded, size = name.encode("ascii"), b"%011o" % num_bytes
    if len(encoded) > _NAME_BYTES or len(size) > _SIZE_DIGITS:
        raise ValueError(f"tar member {name!r} of {num_bytes} bytes does not fit into a ustar header")
    checksum = b"%06o" % (_PLAIN_SUM + sum(encoded) + sum(size))
    return b"".join((encoded.ljust(_NAME_BYTES, b"\0"), _BEHIND_NAME, size, _BEHIND_SIZE, checksum, _BEHIND_CHECKSUM))


def member_headers(names: pa.Array, sizes: npt.NDArray[np.int64]) -> pa.Array:
    """`member_header` of many members, as a column of binary values. Names are ASCII and not null."""
    names = names.cast(pa.binary())
    free = _NAME_BYTES - pc.binary_length(names).to_numpy()
    if (free < 0).any() or (sizes >= 8**_SIZE_DIGITS).any():
        raise ValueError("a tar member's name or size does not fit into a ustar header")
    padded = pc.binary_join_element_wise(names, _ZEROS.take(pa.array(free)), b"").cast(pa.binary(_NAME_BYTES))
    encoded = np.frombuffer(padded.buffers()[1], np.uint8).reshape(-1, _NAME_BYTES)[: len(names)]
    digits = _octal(sizes, _SIZE_DIGITS)
    sums = _PLAIN_SUM + encoded.sum(axis=1, dtype=np.int64) + digits.sum(axis=1)
    headers = np.tile(np.frombuffer(_PLAIN, np.uint8), (len(names), 1))
    headers[:, :_NAME_BYTES] = encoded
    headers[:, _SIZE_PLACE : _SIZE_PLACE + _SIZE_DIGITS] = digits
    headers[:, _CHECKSUM_PLACE : _CHECKSUM_PLACE + 6] = _octal(sums, 6)
    kind = pa.binary(tarfile.BLOCKSIZE)
    return pa.Array.from_buffers(kind, len(names), [None, pa.py_buffer(headers)]).cast(pa.binary())


def _octal(numbers: npt.NDArray[np.int64], num_digits: int) -> npt.NDArray[np.int64]:
    """Digits of each number as ASCII codes, a row a number."""
    shifts = 3 * np.arange(num_digits - 1, -1, -1)
    return (numbers[:, None] >> shifts & 7) + ord("0")


def padding(sizes: npt.NDArray[np.int64]) -> pa.Array:
    """The zeros that follow members of these sizes, up to a whole block."""
    return _ZEROS.take(pa.array(-sizes % tarfile.BLOCKSIZE))


_ZEROS = pa.array([b"\0" * number for number in range(tarfile.BLOCKSIZE)], pa.binary())


def end_of_archive(num_bytes: int) -> bytes:
    """What ends a tar of so many bytes: two blocks of zeros, padded to a whole record."""
    zeros = 2 * tarfile.BLOCKSIZE
    return b"\0" * (zeros + -(num_bytes + zeros) % tarfile.RECORDSIZE)


def _plain_header() -> bytes:
    info = tarfile.TarInfo()
    info.mode = 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


_NAME_BYTES, _SIZE_DIGITS = 100, 11
_SIZE_PLACE, _CHECKSUM_PLACE = 124, 148  # POSIX.1-1988 ustar
_PLAIN = _plain_header()
_BEHIND_NAME = _PLAIN[_NAME_BYTES:_SIZE_PLACE]
_BEHIND_SIZE = _PLAIN[_SIZE_PLACE + _SIZE_DIGITS : _CHECKSUM_PLACE]
_BEHIND_CHECKSUM = _PLAIN[_CHECKSUM_PLACE + 6 :]
_PLAIN_SUM = sum(_BEHIND_NAME) + sum(_BEHIND_SIZE) + sum(_PLAIN[_CHECKSUM_PLACE + 8 :]) + 8 * ord(" ")
"""Of all bytes that never differ; the checksum counts its own eight as blanks."""


class TarReader:
    """Reads members of one tar by the offsets that its Parquet file states; any thread may."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)

    def read(self, offset: int, size: int) -> bytes:
        """The `size` bytes of one member. Raises `BrokenRunError` if the tar is shorter than its Parquet says."""
        data = os.pread(self._file.fileno(), size, offset)
        self._check(offset, len(data), size)
        return data

    def copy_to(self, file: DigestedWriter, offset: int, size: int) -> None:
        """Append the `size` bytes of one member to another file. Raises as `read` does."""
        self._check(offset, file.copy(self._file.fileno(), offset, size), size)

    def _check(self, offset: int, found: int, expected: int) -> None:
        if found != expected:
            raise BrokenRunError(f"{self._path}: member at {offset} has {found} bytes, expected {expected}")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each member; refuses names that are not `<uid>.<extension>`."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for info in tar:
            extracted = tar.extractfile(info) if info.isreg() else None
            if extracted is None or not _MEMBER_NAME.match(info.name):
                raise BrokenRunError(f"tar member {info.name!r} is not a file named <uid>.<extension>")
            yield info.name, extracted.read()
