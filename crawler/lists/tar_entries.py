"""The files of anyone's tar by their headers alone, with nothing in it believed and nothing unpacked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 512
MAX_EXTRA_BYTES = 65_536
"""Longest PAX header or GNU long name that is read: names are short, and nothing else of them is wanted."""

_OCTAL = re.compile(rb"[\0 ]*([0-7]*)[\0 ]*\Z")
_RECORD = re.compile(rb"(\d{1,6}) ")
_FILES, _PAX, _LONG_NAME = frozenset(b"0\x007"), ord("x"), ord("L")
# POSIX.1-1988 ustar: where a header holds what.
_NAME, _SIZE, _CHECKSUM, _KIND, _MAGIC, _PREFIX = 0, 124, 148, 156, 257, 345


class BrokenTarError(Exception):
    """A tar that cannot be read from some byte on."""


class SeekableBytes(Protocol):
    """What a tar is read from."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> int: ...


@dataclass(frozen=True)
class Entry:
    """A regular file: its name as it stands there, and where its bytes lie."""

    name: bytes
    offset: int
    size: int


@dataclass
class _Extra:
    """What the headers before a file's own say of it."""

    name: bytes | None = None
    size: int | None = None
    is_sparse: bool = False


def tar_entries(stream: SeekableBytes, num_bytes: int) -> Iterator[Entry]:
    """Every regular file, in order; links, folders, devices and sparse files are passed over.

    Reads ustar, PAX and GNU headers. Raises BrokenTarError, saying at which byte, for one that is none, for a member
    that goes beyond the end, and for a tar without its closing zeros. The caller may read an entry's bytes meanwhile.
    """
    place, extra = 0, _Extra()
    while True:
        stream.seek(place)
        header = stream.read(BLOCK)
        if header == bytes(BLOCK):
            return
        size, kind = _size_and_kind(header, place)
        size = size if extra.size is None or kind == _PAX else extra.size
        start = place + BLOCK
        if start + size > num_bytes:
            raise BrokenTarError(f"the member at byte {place} has {size} bytes, and the file ends before")
        if kind in (_PAX, _LONG_NAME):
            _read_extra(extra, kind, _extra_bytes(stream, size, place), place)
        else:
            if kind in _FILES and not extra.is_sparse:
                yield Entry(extra.name or _name(header), start, size)
            if kind != ord("g"):
                extra = _Extra()
        place = start + -(-size // BLOCK) * BLOCK


def _size_and_kind(header: bytes, place: int) -> tuple[int, int]:
    if len(header) < BLOCK:
        raise BrokenTarError(f"ends at byte {place + len(header)} without a tar's closing zeros")
    told = _number(header[_CHECKSUM : _CHECKSUM + 8])
    summed = sum(header) - sum(header[_CHECKSUM : _CHECKSUM + 8]) + 8 * ord(" ")
    size = _number(header[_SIZE : _SIZE + 12])
    if told != summed or size is None:
        raise BrokenTarError(f"no tar header at byte {place}")
    return size, header[_KIND]


def _number(field: bytes) -> int | None:
    """Octal digits, or GNU's binary form for what is larger; None for neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = _OCTAL.match(field)
    return None if digits is None else int(digits[1] or b"0", 8)


def _name(header: bytes) -> bytes:
    name = header[_NAME : _NAME + 100].partition(b"\0")[0]
    prefix = header[_PREFIX : _PREFIX + 155].partition(b"\0")[0] if header[_MAGIC : _MAGIC + 6] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _extra_bytes(stream: SeekableBytes, size: int, place: int) -> bytes:
    if size > MAX_EXTRA_BYTES:
        raise BrokenTarError(f"the header at byte {place} has an addition of {size} bytes; at most {MAX_EXTRA_BYTES}")
    return stream.read(size)


def _read_extra(extra: _Extra, kind: int, data: bytes, place: int) -> None:
    if kind == _LONG_NAME:
        extra.name = data.partition(b"\0")[0]
        return
    while data:
        length = _RECORD.match(data)
        record = data[: int(length[1])] if length else b""
        if length is None or len(record) <= length.end() or not record.endswith(b"\n"):
            raise BrokenTarError(f"no PAX record in the header at byte {place}")
        key, _, value = record[length.end() : -1].partition(b"=")
        if key == b"path":
            extra.name = value
        elif key == b"size" and value.isdigit() and len(value) < 20:
            extra.size = int(value)
        elif key.startswith(b"GNU.sparse."):
            extra.is_sparse = True
        data = data[len(record) :]
