"""Parts and their commit records: what was done, by whom it can be trusted, and what may be skipped."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shards.errors import BrokenRunError
from shards.storage import disk_faults, list_names, publish, put_if_absent, put_whole, sha256_of

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
        self._done = self.path / "_done"

    def committed(self) -> set[tuple[int, str]]:
        """(index, first 8 digits of the fingerprint) of every record, by one listing."""
        matches = (_RECORD_NAME.match(name) for name in list_names(self._done))
        return {(int(match[1]), match[2]) for match in matches if match}

    def record(self, index: int, part_fingerprint: str) -> Record:
        """The record of a committed part. Raises `BrokenRunError` if it cannot be read."""
        path = self._record_path(index, part_fingerprint)
        try:
            return Record.from_json(path.read_bytes())
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BrokenRunError(f"{path}: unreadable commit record ({error}); delete it to redo the part") from error

    def records(self) -> list[Record]:
        """Every record in the folder, of any recipe that ever ran here, by index."""
        return [self.record(index, digits) for index, digits in sorted(self.committed())]

    def is_whole(self, record: Record) -> bool:
        """Whether the files that a record names are there with their sizes (digests are `curate verify`'s work)."""
        paths = [(self.path / file.name, file.bytes) for file in record.files]
        return all(path.is_file() and path.stat().st_size == size for path, size in paths)

    def forget(self, index: int, part_fingerprint: str) -> None:
        """Delete a record whose files are gone, so that its part is done again."""
        self._record_path(index, part_fingerprint).unlink(missing_ok=True)

    def file(self, record: Record, role: str) -> Path:
        """The path of a committed file by its role."""
        for file in record.files:
            if file.role == role:
                return self.path / file.name
        raise BrokenRunError(f"{self.step} part {record.index} has no file {role!r}")

    def commit(self, record: Record, may_commit: Callable[[], bool]) -> Record:
        """Put the record if there is none yet; whoever was first wins, and the winner's record is returned."""
        self._done.mkdir(parents=True, exist_ok=True)
        if not may_commit():
            raise BrokenRunError(f"{self.step} part {record.index}: another run took over this folder")
        if put_if_absent(self._record_path(record.index, record.fingerprint), record.to_json(), self.is_synced):
            return record
        return self.record(record.index, record.fingerprint)

    def replace(self, record: Record) -> None:
        """Put a record in place of its part's: the part has other files now, and is what it was but for takedowns."""
        put_whole(self._record_path(record.index, record.fingerprint), record.to_json())

    def sweep(self) -> None:
        """Delete what no record names, and empty folders: leavings of killed attempts and other recipes' releases."""
        named = {file.name for record in self.records() for file in record.files}
        for path in sorted(self.path.rglob("*"), reverse=True):
            if path.is_file() and path.parent != self._done and str(path.relative_to(self.path)) not in named:
                path.unlink(missing_ok=True)
            elif path.is_dir() and path != self._done and not any(path.iterdir()):
                path.rmdir()

    def _record_path(self, index: int, part_fingerprint: str) -> Path:
        return self._done / f"{index:06d}-{part_fingerprint[:8]}.json"


class Attempt:
    """One try at a part: files are written under temporary names and published together just before the record."""

    def __init__(self, folder: StepFolder, index: int) -> None:
        self._folder = folder
        self._index = index
        self._id = secrets.token_hex(4)
        self.folder = folder.path
        self._roles: dict[str, tuple[Path, Path]] = {}
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

    def publish(self) -> tuple[PartFile, ...]:
        """Give every written file its name, durably, and return their digests."""
        files = []
        for role, (temporary, final) in sorted(self._roles.items()):
            size, digest = temporary.stat().st_size, sha256_of(temporary)
            publish(temporary, final, self._folder.is_synced)
            files.append(PartFile(role, str(final.relative_to(self._folder.path)), size, digest))
        return tuple(files)

    def discard(self) -> None:
        """Delete what was written and not published."""
        for temporary, _ in self._roles.values():
            temporary.unlink(missing_ok=True)
