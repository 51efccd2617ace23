"""A tar of ours read from a stream, member by member, with nothing in it believed."""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from shards.errors import BrokenRunError

BEGINNING_BYTES = 16 << 20
"""How much of a member is kept in memory: all of any caption and JSON, while an image is only digested."""

_NAME = re.compile(rb"([0-9a-f]{32})\.([a-z0-9]{1,8})\0+\Z")
_SIZE = re.compile(rb"[0-7]{11}\0\Z")
_NAME_BYTES, _SIZE_PLACE, _CHECKSUM = 100, slice(124, 136), slice(148, 156)  # POSIX.1-1988 ustar
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


class ByteStream(Protocol):
    """What is read from: `read` gives fewer bytes than asked only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Member:
    """One member: `beginning` are its first `BEGINNING_BYTES` bytes, `sha256` is of all of them."""

    uid: str
    extension: str
    num_bytes: int
    sha256: str
    beginning: bytes


def walk(stream: ByteStream) -> Iterator[Member]:
    """Every member, in order. Raises `BrokenRunError` at the first byte that `TarWriter` would not have written."""
    offset = 0
    while (header := stream.read(_BLOCK)) != bytes(_BLOCK):
        uid, extension, size = _parsed(header, offset)
        yield _member(stream, uid, extension, size, offset)
        padding = stream.read(-size % _BLOCK)
        if padding != bytes(-size % _BLOCK):
            raise BrokenRunError(f"no zeros behind the member at byte {offset}")
        offset += _BLOCK + size + len(padding)
    _check_end(stream, offset + _BLOCK)


def _parsed(header: bytes, offset: int) -> tuple[str, str, int]:
    """Uid, extension and size of a member: of a header as it is written, whatever else a tar could say."""
    if len(header) < _BLOCK:
        raise BrokenRunError(f"ends at byte {offset + len(header)}, in the middle; expected a tar's closing zeros")
    name, size = _NAME.match(header[:_NAME_BYTES]), _SIZE.match(header[_SIZE_PLACE])
    if name is None or size is None:
        raise BrokenRunError(f"no member named <uid>.<extension> at byte {offset}")
    uid, extension = name[1].decode(), name[2].decode()
    blanks = ord(" ") * len(header[_CHECKSUM])  # as which the checksum counts itself
    checksum = sum(header) - sum(header[_CHECKSUM]) + blanks
    if _constant(header) != _CONSTANT or header[_CHECKSUM] != b"%06o\0 " % checksum:
        raise BrokenRunError(f"the header at byte {offset} is not as curate writes it (kind, mode, time or checksum)")
    return uid, extension, int(size[0][:-1], 8)


def _constant(header: bytes) -> bytes:
    """What is the same in every header: all but name, size and checksum."""
    return (
        header[_NAME_BYTES : _SIZE_PLACE.start] + header[_SIZE_PLACE.stop : _CHECKSUM.start] + header[_CHECKSUM.stop :]
    )


def _plain_header() -> bytes:
    info = tarfile.TarInfo()
    info.mode = 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


_CONSTANT = _constant(_plain_header())


def _member(stream: ByteStream, uid: str, extension: str, size: int, offset: int) -> Member:
    digest = hashlib.sha256()
    beginning, left = b"", size
    while left:
        data = stream.read(min(left, _CHUNK if beginning else BEGINNING_BYTES))
        if not data:
            raise BrokenRunError(f"ends {left} bytes before the end of the member at byte {offset}")
        beginning = beginning or data
        digest.update(data)
        left -= len(data)
    return Member(uid, extension, size, digest.hexdigest(), beginning)


def _check_end(stream: ByteStream, offset: int) -> None:
    """Zeros to the end of a whole record, and nothing behind them."""
    expected = bytes(_BLOCK + -(offset + _BLOCK) % tarfile.RECORDSIZE)
    if stream.read(len(expected)) != expected or stream.read(1):
        raise BrokenRunError(f"expected a tar's closing zeros, and nothing else, from byte {offset - _BLOCK}")
