"""Parts and their commit records: what was done, by whom it can be trusted, and what may be skipped."""

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shards.digested_writer import DigestedWriter
from shards.errors import BrokenRunError
from shards.storage import disk_faults, list_names, publish, put_if_absent, put_whole, sha256_of, sync_folder

_RECORD_NAME = re.compile(r"(\d{6,})-([0-9a-f]{8})\.json\Z")


def fingerprint(*values: object) -> str:
    """32 hex digits over JSON-able values: equal values, equal fingerprints, in any process."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class PartFile:
    """One file of a committed part. `role` tells files of one part apart: rows, tar, warc, ..."""

    role: str
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """The commit record of one part: its winning files, its rows and how many fell for which reason."""

    step: str
    index: int
    fingerprint: str
    files: tuple[PartFile, ...]
    rows: int
    counts: dict[str, int] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "Record":
        fields = json.loads(data)
        fields["files"] = tuple(PartFile(**file) for file in fields["files"])
        return cls(**fields)


class StepFolder:
    """One step's folder in a run: its part files, and under `_done/` the records that say which of them count."""

    is_synced = True
    """Whether parts are on disk before they count: else they outlive a killed process, and not the machine."""

    def __init__(self, run: Path, step: str) -> None:
        self.path = run / step
        self.step = step
        # Texts, since a run of 100,000 parts asks for each of them, and a Path costs as much as reading a record.
        self._place = os.fspath(self.path)
        self._done = f"{self._place}/_done"

    def committed(self) -> set[tuple[int, str]]:
        """(index, first 8 digits of the fingerprint) of every record, by one listing."""
        matches = (_RECORD_NAME.match(name) for name in list_names(Path(self._done)))
        return {(int(match[1]), match[2]) for match in matches if match}

    def record(self, index: int, part_fingerprint: str) -> Record:
        """The record of a committed part. Raises `BrokenRunError` if it cannot be read."""
        path = self._record_path(index, part_fingerprint)
        try:
            with open(path, "rb") as file:
                return Record.from_json(file.read())
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BrokenRunError(f"{path}: unreadable commit record ({error}); delete it to redo the part") from error

    def records(self) -> list[Record]:
        """Every record in the folder, of any recipe that ever ran here, by index."""
        return [self.record(index, digits) for index, digits in sorted(self.committed())]

    def is_whole(self, record: Record) -> bool:
        """Whether the files that a record names are there with their sizes (digests are `curate verify`'s work)."""
        return all(_size_of(f"{self._place}/{file.name}") == file.bytes for file in record.files)

    def forget(self, index: int, part_fingerprint: str) -> None:
        """Delete a record whose files are gone, so that its part is done again."""
        with suppress(FileNotFoundError):
            os.unlink(self._record_path(index, part_fingerprint))

    def file(self, record: Record, role: str) -> Path:
        """The path of a committed file by its role."""
        for file in record.files:
            if file.role == role:
                return self.path / file.name
        raise BrokenRunError(f"{self.step} part {record.index} has no file {role!r}")

    def commit(self, record: Record, may_commit: Callable[[], bool]) -> Record:
        """Put the record if there is none yet; whoever was first wins, and the winner's record is returned."""
        os.makedirs(self._done, exist_ok=True)
        if not may_commit():
            raise BrokenRunError(f"{self.step} part {record.index}: another run took over this folder")
        path = Path(self._record_path(record.index, record.fingerprint))
        if put_if_absent(path, record.to_json(), self.is_synced):
            return record
        return self.record(record.index, record.fingerprint)

    def replace(self, record: Record) -> None:
        """Put a record in place of its part's: the part has other files now, and is what it was but for takedowns."""
        put_whole(Path(self._record_path(record.index, record.fingerprint)), record.to_json())

    def sweep(self, known: Mapping[tuple[int, str], Collection[str]] = MappingProxyType({})) -> None:
        """Delete what no record names, and empty folders: leavings of killed attempts and other recipes' releases.

        `known` gives the files of those records that need not be read for it.
        """
        named = {f"{self._place}/{name}" for names in known.values() for name in names}
        for index, digits in self.committed() - known.keys():
            named |= {f"{self._place}/{file.name}" for file in self.record(index, digits).files}
        for folder, _, names in os.walk(self._place, topdown=False):
            if folder == self._done:
                continue
            left = [name for name in names if f"{folder}/{name}" not in named]
            for name in left:
                os.unlink(f"{folder}/{name}")
            if folder != self._place and not os.listdir(folder):
                os.rmdir(folder)

    def _record_path(self, index: int, part_fingerprint: str) -> str:
        return f"{self._done}/{index:06d}-{part_fingerprint[:8]}.json"


def _size_of(path: str) -> int | None:
    """The bytes of a file; None for what is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


class Attempt:
    """One try at a part: files are written under temporary names and published together just before the record."""

    def __init__(self, folder: StepFolder, index: int) -> None:
        self._folder = folder
        self._index = index
        self._id = secrets.token_hex(4)
        self.folder = folder.path
        self._roles: dict[str, tuple[Path, Path]] = {}
        self._digested: dict[str, DigestedWriter] = {}
        with disk_faults(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)

    def path(self, role: str, suffix: str, plain_name: str | None = None) -> Path:
        """Where to write `role` for now; its name will be `part-<index>.<attempt>.<suffix>`, or `plain_name`."""
        name = plain_name or f"part-{self._index:06d}.{self._id}.{suffix}"
        final = self._folder.path / name
        temporary = final.with_name(f".{final.name}.{self._id}.tmp")
        with disk_faults(final):
            final.parent.mkdir(parents=True, exist_ok=True)
        self._roles[role] = (temporary, final)
        return temporary

    def digested(self, role: str, suffix: str, plain_name: str | None = None) -> DigestedWriter:
        """As `path`, for a large file: it is digested and forced to disk while its bytes and other files are made."""
        writer = DigestedWriter(self.path(role, suffix, plain_name), self._folder.is_synced)
        self._digested[role] = writer
        return writer

    def publish(self) -> tuple[PartFile, ...]:
        """Give every written file its name, durably, and return their digests."""
        files = []
        for role, (temporary, final) in sorted(self._roles.items()):
            size, digest = self._written(role, temporary)
            publish(temporary, final, self._folder.is_synced and role not in self._digested)
            files.append(PartFile(role, str(final.relative_to(self._folder.path)), size, digest))
        if self._folder.is_synced:
            for folder in sorted({self._roles[role][1].parent for role in self._digested}):
                sync_folder(folder)
        return tuple(files)

    def _written(self, role: str, temporary: Path) -> tuple[int, str]:
        writer = self._digested.get(role)
        if writer is None:
            return temporary.stat().st_size, sha256_of(temporary)
        digest = writer.sha256()
        return writer.num_bytes, digest

    def discard(self) -> None:
        """Delete what was written and not published."""
        for writer in self._digested.values():
            writer.close()
        for temporary, _ in self._roles.values():
            temporary.unlink(missing_ok=True)
