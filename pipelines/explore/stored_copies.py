"""The stored copy of one sample, as it lies in a fetch part's tar or in a shard: checked, and of a known type."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from pipelines.flow.copies import places_in_shard
from shards.errors import BrokenRunError
from shards.manifest import shard_below
from shards.parts import StepFolder
from shards.tars import TarReader

MAX_BYTES = 64 << 20
DIGEST_CHARS = 12
"""How much of a stored copy's sha256 is remembered: enough to see that other bytes lie there now."""

CONTENT_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
_HEADER_BYTES = 512
_PARTS_KNOWN = 4096


@dataclass(frozen=True)
class Place:
    """Where a stored copy lies: offset and size in a fetch part's tar for a run, a shard's name for a release."""

    uid: str
    stored_format: str | None
    fetch_index: int | None = None
    fetch_mark: str | None = None
    offset: int | None = None
    num_bytes: int | None = None
    digest: str | None = None
    shard: str | None = None


class StoredCopies(Protocol):
    """Gives the bytes at a place, or None where there are none, or not those that were stored."""

    def may_have(self, place: Place) -> bool: ...

    def read(self, place: Place) -> bytes | None: ...


@dataclass(frozen=True)
class CopiesOfRun:
    """Stored copies in the tars of a run's fetch parts."""

    run: Path

    def may_have(self, place: Place) -> bool:
        return place.offset is not None

    def read(self, place: Place) -> bytes | None:
        if place.offset is None or place.num_bytes is None or place.fetch_index is None or not place.fetch_mark:
            return None
        try:
            tar = _tar_of(self.run, place.fetch_index, place.fetch_mark)
            data = _read(tar, place.offset, place.num_bytes)
        except (OSError, BrokenRunError):
            return None
        return data if hashlib.sha256(data).hexdigest()[:DIGEST_CHARS] == place.digest else None


@dataclass(frozen=True)
class CopiesOfRelease:
    """Stored copies in a release's shards; what was dropped has none there."""

    shards: Path

    def may_have(self, place: Place) -> bool:
        return place.shard is not None

    def read(self, place: Place) -> bytes | None:
        name = f"{place.uid}.{place.stored_format}"
        tar = shard_below(self.shards, place.shard or "")
        offset, num_bytes = places_in_shard(str(tar)).get(name, (None, None))
        if offset is None or num_bytes is None:
            return None
        try:
            header = _read(tar, offset - _HEADER_BYTES, _HEADER_BYTES)
            return _read(tar, offset, num_bytes) if header.startswith(name.encode() + b"\0") else None
        except (OSError, BrokenRunError):
            return None


def _read(tar: Path, offset: int, num_bytes: int) -> bytes:
    if num_bytes > MAX_BYTES:
        raise BrokenRunError(f"{tar}: a member of {num_bytes} bytes; at most {MAX_BYTES} are shown")
    with TarReader(tar) as reader:
        return reader.read(offset, num_bytes)


@lru_cache(maxsize=_PARTS_KNOWN)
def _tar_of(run: Path, index: int, mark: str) -> Path:
    folder = StepFolder(run, "fetch")
    return folder.file(folder.record(index, mark), "tar")
