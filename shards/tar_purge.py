"""Tars written again without some samples: taken out of shards, and left as holes in tars that are read by offset."""

import shutil
import tarfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from shards.errors import BrokenRunError
from shards.tars import member_header

HOLE = "removed"
"""The extension of a hole: a member of the old size, all zeros, so that what lies behind it keeps its offset."""

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Place:
    """A member as its header says: where the header begins, and how long its data is."""

    uid: str
    extension: str
    start: int
    num_bytes: int

    @property
    def stop(self) -> int:
        return self.start + _BLOCK + self.num_bytes + -self.num_bytes % _BLOCK


def samples_among(path: Path, uids: Container[str]) -> int:
    """How many members of a tar are of `uids`, holes aside; reads headers alone."""
    with path.open("rb") as file:
        return sum(place.uid in uids and place.extension != HOLE for place in _places(file, path))


def sample_starts(path: Path) -> tuple[list[int], int]:
    """Where the first member of each sample begins, and where the closing zeros do."""
    starts: list[int] = []
    last, stop = "", 0
    with path.open("rb") as file:
        for place in _places(file, path):
            if place.uid != last:
                starts.append(place.start)
            last, stop = place.uid, place.stop
    return starts, stop


def take_out(path: Path, target: Path, uids: Container[str]) -> int:
    """Write a tar again without the members of `uids`, every other byte for byte; returns how many are left."""
    left = 0
    with path.open("rb") as file, target.open("wb") as out:
        for place in _places(file, path):
            if place.uid not in uids:
                file.seek(place.start)
                _copy(file, out, place.stop - place.start)
                left += 1
        out.write(bytes(2 * _BLOCK))
        out.write(bytes(-out.tell() % tarfile.RECORDSIZE))
    return left


def leave_holes(path: Path, target: Path, uids: Container[str]) -> None:
    """Write a tar again with zeros in place of the members of `uids`: a hole in the file where the disk knows holes."""
    with path.open("rb") as file, target.open("wb") as out:
        for place in _places(file, path):
            if place.uid in uids:
                out.write(member_header(f"{place.uid}.{HOLE}", place.num_bytes))
                out.seek(place.stop)
            else:
                file.seek(place.start)
                _copy(file, out, place.stop - place.start)
        shutil.copyfileobj(file, out, _CHUNK)
        out.truncate()


def _places(file: BinaryIO, path: Path) -> Iterator[_Place]:
    """Every member; leaves the file at the closing zeros. The caller may move about in between."""
    start = 0
    while True:
        file.seek(start)
        header = file.read(_BLOCK)
        if header == bytes(_BLOCK):
            file.seek(start)
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
        except tarfile.TarError as error:
            raise BrokenRunError(
                f"{path}: no tar of curate at byte {start}: {error}; `curate verify` says more"
            ) from None
        uid, _, extension = info.name.partition(".")
        place = _Place(uid, extension, start, info.size)
        yield place
        start = place.stop


def _copy(source: BinaryIO, target: BinaryIO, num_bytes: int) -> None:
    while num_bytes:
        data = source.read(min(num_bytes, _CHUNK))
        if not data:
            raise BrokenRunError("a tar ends in the middle of a member; `curate verify` says which")
        target.write(data)
        num_bytes -= len(data)
