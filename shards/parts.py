"""Parts and their commit records: what was done, by whom it can be trusted, and what may be skipped."""

import hashlib
import itertools
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shards.digested_writer import DigestedWriter
from shards.errors import BrokenRunError
from shards.storage import (
    delete,
    disk_faults,
    list_names,
    publish,
    put_if_absent,
    put_whole,
    read_whole,
    sha256_of,
    sync_folder,
)
from shards.stores.mirrors import mirror_at

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_RECORD_NAME = re.compile(r"(\d{6,})-([0-9a-f]{8})\.json\Z")


def fingerprint(*values: object) -> str:
    """32 hex digits over JSON-able values: equal values, equal fingerprints, in any process."""
    return hashlib.blake2b(_DENSE.encode(values).encode(), digest_size=16).hexdigest()


_DENSE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


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
        """Raises `ValueError`, in one line, for anything but a record."""
        try:
            return _record_reader().validate_json(data, strict=True, extra="forbid")
        except ValueError as error:
            raise ValueError(_first_fault(error)) from error


@cache
def _record_reader() -> "TypeAdapter[Record]":
    """Reads a record in a third of the time that `json` and the dataclasses' own constructors take."""
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def _first_fault(error: ValueError) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors(include_url=False)[0]
    return " ".join([*map(str, fault["loc"]), fault["msg"]])


@dataclass(frozen=True)
class Done:
    """A part that is committed and whole: its files and their bytes, its record's counts where that had to be read."""

    files: dict[str, int]
    counts: dict[str, int]


class StepFolder:
    """One step's folder in a run: its part files, and under `_done/` the records that say which of them count.

    In the mirror of a run on a store, what is asked for is brought first, and listings are the store's.
    """

    is_synced = True
    """Whether parts are on disk before they count: else they outlive a killed process, and not the machine."""

    def __init__(self, run: Path, step: str) -> None:
        self.step = step
        # Texts, since a run of 100,000 parts asks for each of them, and a Path costs as much as reading a record.
        self._place = f"{run}/{step}"
        self._done = f"{self._place}/_done"
        self._mirror = mirror_at(run)
        if self._mirror is not None:
            self.is_synced = False  # the store keeps it; what this node loses with its power is brought again

    @cached_property
    def path(self) -> Path:
        return Path(self._place)

    def committed(self) -> set[tuple[int, str]]:
        """(index, first 8 digits of the fingerprint) of every record, by one listing."""
        if self._mirror is None:
            names: Iterable[str] = list_names(Path(self._done))
        else:
            names = self._mirror.listing(self.step, is_fresh=True).records
        matches = (_RECORD_NAME.match(name) for name in names)
        return {(int(match[1]), match[2]) for match in matches if match}

    def record(self, index: int, part_fingerprint: str) -> Record:
        """The record of a committed part. Raises `BrokenRunError` if it cannot be read."""
        path = self._record_path(index, part_fingerprint)
        try:
            if self._mirror is not None:
                self._mirror.bring_record(path)
            return Record.from_json(read_whole(path))
        except (OSError, ValueError) as error:
            raise BrokenRunError(f"{path}: unreadable commit record ({error}); delete it to redo the part") from error

    def records(self) -> list[Record]:
        """Every record in the folder, of any recipe that ever ran here, by index."""
        parts = sorted(self.committed())
        self.expect(parts)
        return [self.record(index, digits) for index, digits in parts]

    def expect(self, parts: Iterable[tuple[int, str]]) -> None:
        """The records of these committed parts will be read: those that must be brought come many at a time."""
        if self._mirror is not None:
            self._mirror.bring_records(self._record_path(index, mark) for index, mark in parts)

    def done(self, index: int, part_fingerprint: str) -> Done | None:
        """A committed part if its files are there with their sizes.

        On a store the last listing decides by itself, where it shows one attempt's files for the one record of this
        part, and of the kinds that most parts of the step have: records name only what was put whole before them.
        """
        if self._mirror is not None:
            listing = self._mirror.listing(self.step)
            is_copied = f"{index:06d}-{part_fingerprint[:8]}.json" in listing.copied
            names = None if is_copied else listing.only_files(index)
            if names is not None:
                return Done({name: listing.sizes[name] for name in names}, {})
        record = self.record(index, part_fingerprint)
        files = {file.name: file.bytes for file in record.files}
        return Done(files, record.counts) if self.is_whole(record) else None

    def is_whole(self, record: Record) -> bool:
        """Whether the files that a record names are there with their sizes (digests are `curate verify`'s work)."""
        return self.has({file.name: file.bytes for file in record.files})

    def has(self, files: Mapping[str, int]) -> bool:
        """Whether files of these names and bytes are there."""
        if self._mirror is not None:
            sizes = self._mirror.listing(self.step).sizes
            return all(sizes.get(name) == size for name, size in files.items())
        return all(_size_of(f"{self._place}/{name}") == size for name, size in files.items())

    def forget(self, index: int, part_fingerprint: str) -> None:
        """Delete a record whose files are gone, so that its part is done again."""
        delete(Path(self._record_path(index, part_fingerprint)))

    def file(self, record: Record, role: str) -> Path:
        """The path of a committed file by its role."""
        for file in record.files:
            if file.role == role:
                return self.bring(file)
        raise BrokenRunError(f"{self.step} part {record.index} has no file {role!r}")

    def bring(self, file: PartFile) -> Path:
        """The path of a committed file, which is whole there now."""
        path = self.path / file.name
        if self._mirror is not None:
            self._mirror.bring(path, file.bytes, file.sha256)
        return path

    def send(self, file: PartFile) -> None:
        """A file of an attempt is finished: it must be as lasting as its record will be."""
        if self._mirror is not None:
            self._mirror.send(self.path / file.name, file.sha256)

    def borrow(self, name: str) -> None:
        """Take over what the node that had it last left in a small file that is no part's; nothing where none did."""
        if self._mirror is not None:
            with suppress(FileNotFoundError):
                self._mirror.read(self.path / name)

    def lend(self, name: str) -> None:
        """Leave such a file to whichever node needs it next."""
        path = self.path / name
        if self._mirror is not None and path.is_file():
            self._mirror.put(path, path.read_bytes())

    def commit(self, record: Record, may_commit: Callable[[], bool]) -> Record:
        """Put the record if there is none yet; whoever was first wins, and the winner's record is returned."""
        if not may_commit():
            raise BrokenRunError(f"{self.step} part {record.index}: another run took over this folder, or it vanished")
        os.makedirs(self._done, exist_ok=True)
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
        named = set(itertools.chain.from_iterable(known.values()))
        for index, digits in sorted(self.committed() - known.keys()):
            done = self.done(index, digits)
            named.update(done.files if done is not None else (f.name for f in self.record(index, digits).files))
        if self._mirror is not None:
            self._mirror.sweep(self.step, named)
        walked = []
        for folder, inner, names in os.walk(self._place):
            if folder == self._place and "_done" in inner:
                inner.remove("_done")
            below = folder[len(self._place) + 1 :]
            for name in (f"{below}/{name}" for name in names) if below else names:
                if name not in named:
                    os.unlink(f"{self._place}/{name}")
            walked.append(folder)
        for folder in reversed(walked[1:]):
            if not os.listdir(folder):
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


def _make_folders(above: Path, folder: Path) -> None:
    """Make a folder and those between it and `above`, which must be there: a run that vanished is not made anew."""
    for name in folder.relative_to(above).parts:
        above /= name
        above.mkdir(exist_ok=True)


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
            _make_folders(folder.path.parent, folder.path)

    def path(self, role: str, suffix: str, plain_name: str | None = None) -> Path:
        """Where to write `role` for now; its name will be `part-<index>.<attempt>.<suffix>`, or `plain_name`."""
        name = plain_name or f"part-{self._index:06d}.{self._id}.{suffix}"
        final = self._folder.path / name
        temporary = final.with_name(f".{final.name}.{self._id}.tmp")
        with disk_faults(final):
            _make_folders(self.folder, final.parent)
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
            self._folder.send(files[-1])
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
