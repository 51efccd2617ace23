"""The append-only file beside a fetch part: what was downloaded survives a kill and is not asked for again."""

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shards.closing import Closing

_HEAD = struct.Struct(">4sIII")  # magic, length of the row, length of the stored bytes, CRC-32 of both
_MAGIC = b"CuSp"
_MAX_ROW_BYTES = 2**20
_MAX_STORED_BYTES = 2**31 - 1


class SpoolEntry(NamedTuple):
    """Where a finished download lies: its row from `offset` on, its stored bytes right behind it. Lengths in bytes."""

    offset: int
    row_length: int
    stored_length: int


class Spool(Closing):
    """Entries of one part under one set of deciding settings; `key` names them, and another key starts anew.

    Rows stay in the file: of ten thousand of them in memory, a part's worker would take 20 MB more.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._file = path.open("a+b", buffering=0)
        self._end = 0
        self.entries: dict[str, SpoolEntry] = {}
        if not self._resume(key):
            self._file.truncate(0)
            self._end = 0
            self._append({"key": key}, b"")

    def add(self, row: dict[str, object], stored: bytes) -> None:
        """Appends a finished download at once; a kill loses what was not appended, and nothing else."""
        self.entries[str(row["uid"])] = self._append(row, stored)

    def row(self, entry: SpoolEntry) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(os.pread(self._file.fileno(), entry.row_length, entry.offset))
        return row

    def stored(self, entry: SpoolEntry) -> bytes:
        return os.pread(self._file.fileno(), entry.stored_length, entry.offset + entry.row_length)

    def close(self) -> None:
        self._file.close()

    def _append(self, row: dict[str, object], stored: bytes) -> SpoolEntry:
        described = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
        crc = zlib.crc32(stored, zlib.crc32(described))
        head = _HEAD.pack(_MAGIC, len(described), len(stored), crc)
        entry = SpoolEntry(self._end + len(head), len(described), len(stored))
        left = memoryview(b"".join((head, described, stored)))
        while left:  # in one call, unless the disk is full
            left = left[self._file.write(left) :]
        self._end += len(head) + len(described) + len(stored)
        return entry

    def _resume(self, key: str) -> bool:
        """Takes over the complete entries of an earlier attempt and cuts off a torn tail."""
        end = 0
        is_ours = False
        for row, entry in _entries(self._path):
            if end == 0:
                is_ours = row.get("key") == key
                if not is_ours:
                    return False
            elif isinstance(uid := row.get("uid"), str):
                self.entries[uid] = entry
            end = entry.offset + entry.row_length + entry.stored_length
        self._file.truncate(end)
        self._end = end
        return is_ours


def _entries(path: Path) -> Iterator[tuple[dict[str, object], SpoolEntry]]:
    """Row and place of each sound entry, up to the first that is not."""
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            magic, row_length, stored_length, crc = _HEAD.unpack(head)
            if magic != _MAGIC or row_length > _MAX_ROW_BYTES or stored_length > _MAX_STORED_BYTES:
                return
            offset = file.tell()
            described = file.read(row_length)
            stored = file.read(stored_length)
            if len(stored) < stored_length or zlib.crc32(stored, zlib.crc32(described)) != crc:
                return
            yield json.loads(described), SpoolEntry(offset, row_length, stored_length)
