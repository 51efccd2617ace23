"""The append-only file beside a fetch part: what was downloaded survives a kill and is not asked for again."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_HEAD = struct.Struct(">4sIII")  # magic, length of the row, length of the stored bytes, CRC-32 of both
_MAGIC = b"CuSp"
_MAX_ROW_BYTES = 2**20
_MAX_STORED_BYTES = 2**31 - 1


@dataclass(frozen=True)
class SpoolEntry:
    """One finished download: its row, and where its stored bytes lie in the spool."""

    row: dict[str, object]
    offset: int
    length: int


class Spool:
    """Entries of one part under one set of deciding settings; `key` names them, and another key starts anew."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._file = path.open("a+b")
        self.entries: dict[str, SpoolEntry] = {}
        if not self._resume(key):
            self._file.truncate(0)
            self._append({"key": key}, b"")

    def add(self, row: dict[str, object], stored: bytes) -> None:
        """Appends a finished download at once; a kill loses what was not appended, and nothing else."""
        offset = self._append(row, stored)
        self.entries[str(row["uid"])] = SpoolEntry(row, offset, len(stored))

    def read(self, entry: SpoolEntry) -> bytes:
        self._file.seek(entry.offset)
        return self._file.read(entry.length)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, row: dict[str, object], stored: bytes) -> int:
        described = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
        crc = zlib.crc32(stored, zlib.crc32(described))
        head = _HEAD.pack(_MAGIC, len(described), len(stored), crc) + described
        self._file.seek(0, 2)
        offset = self._file.tell() + len(head)
        self._file.write(head + stored)
        self._file.flush()
        return offset

    def _resume(self, key: str) -> bool:
        """Takes over the complete entries of an earlier attempt and cuts off a torn tail."""
        end = 0
        is_ours = False
        self._file.seek(0)
        for row, offset, length in _entries(self._file):
            if end == 0:
                is_ours = row.get("key") == key
                if not is_ours:
                    return False
            elif isinstance(uid := row.get("uid"), str):
                self.entries[uid] = SpoolEntry(row, offset, length)
            end = offset + length
        self._file.truncate(end)
        return is_ours


def _entries(file: IO[bytes]) -> Iterator[tuple[dict[str, object], int, int]]:
    """Row, offset and length of each sound entry, up to the first that is not."""
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        magic, row_length, stored_length, crc = _HEAD.unpack(head)
        if magic != _MAGIC or row_length > _MAX_ROW_BYTES or stored_length > _MAX_STORED_BYTES:
            return
        described = file.read(row_length)
        offset = file.tell()
        stored = file.read(stored_length)
        if len(stored) < stored_length or zlib.crc32(stored, zlib.crc32(described)) != crc:
            return
        yield json.loads(described), offset, stored_length
