"""Deterministic tars: members with nothing of this machine or moment in their headers, and reading by offset."""

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from shards.errors import BrokenRunError

_MEMBER_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,8}\Z")


class TarWriter:
    """Writes members in the order they are added: mtime 0, uid and gid 0, mode 0644, ustar headers."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, name: str, data: bytes) -> int:
        """Append one member and return the offset of its data. Names are `<uid>.<extension>` and nothing else."""
        if not _MEMBER_NAME.match(name):
            raise ValueError(f"tar member {name!r} is not named <32 hex digits>.<extension>")
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mode = 0o644
        self._file.write(info.tobuf(tarfile.USTAR_FORMAT))
        offset = self._file.tell()
        self._file.write(data)
        self._file.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))
        return offset

    def close(self) -> None:
        """Write the end of the archive, padded to a whole record."""
        self._file.write(b"\0" * (2 * tarfile.BLOCKSIZE))
        self._file.write(b"\0" * (-self._file.tell() % tarfile.RECORDSIZE))
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


class TarReader:
    """Reads members of one tar by the offsets that its Parquet file states."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")

    def read(self, offset: int, size: int) -> bytes:
        """The `size` bytes of one member. Raises `BrokenRunError` if the tar is shorter than its Parquet says."""
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise BrokenRunError(f"{self._path}: member at {offset} has {len(data)} bytes, expected {size}")
        return data

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
