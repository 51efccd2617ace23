"""Tombstones: what was taken down and must not come back, as hashes that name nothing by themselves."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import pyarrow as pa

from shards.errors import UsageError
from shards.schema import uid_of
from shards.storage import put_whole

TOMBSTONES_FILE = "tombstones.jsonl"
HASH_BITS = 64

_DIGITS = {"uid": 32, "page": 32, "host": 32, "sha256": 64, "phash": 16}


@dataclass(frozen=True, order=True)
class Tombstone:
    """One identity that was taken down.

    `value` is in hex digits: of a `uid` itself, of a `sha256` (of the bytes on the wire or of the stored copy), of a
    `phash` its 64 bits; of a `page` the blake2b-128 of its canonical URL, of a `host` that of its A-label. A host
    covers those below it. `distance` is the Hamming distance up to which a phash matches.
    """

    kind: str
    value: str
    distance: int = 0

    def line(self) -> str:
        """One line of a list, in JSON; the same for equal tombstones."""
        fields: dict[str, object] = {"kind": self.kind, "value": self.value}
        if self.kind == "phash":
            fields["distance"] = self.distance
        return json.dumps(fields) + "\n"


@dataclass(frozen=True)
class Tombstones:
    """A set of tombstones, held in memory: some 200 bytes each."""

    entries: frozenset[Tombstone] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __or__(self, other: "Tombstones") -> "Tombstones":
        return Tombstones(self.entries | other.entries)

    def __sub__(self, other: "Tombstones") -> "Tombstones":
        return Tombstones(self.entries - other.entries)

    @cached_property
    def uids(self) -> pa.Array:
        """The uids, sorted."""
        return pa.array(self._sorted("uid"), pa.string())

    @cached_property
    def sha256s(self) -> pa.Array:
        return pa.array(self._sorted("sha256"), pa.string())

    @cached_property
    def pages(self) -> frozenset[str]:
        return frozenset(self._sorted("page"))

    @cached_property
    def hosts(self) -> frozenset[str]:
        return frozenset(self._sorted("host"))

    @cached_property
    def phashes(self) -> tuple[tuple[int, int], ...]:
        """Hash and distance of each."""
        entries = sorted(entry for entry in self.entries if entry.kind == "phash")
        return tuple((int(entry.value, 16), entry.distance) for entry in entries)

    def covers(self, host: str) -> bool:
        """Whether a host, or one above it, was taken down."""
        labels = host.split(".")
        return any(uid_of(".".join(labels[start:])) in self.hosts for start in range(len(labels)))

    def lines(self) -> Iterator[str]:
        """The lines of a list, sorted."""
        return (entry.line() for entry in sorted(self.entries))

    def _sorted(self, kind: str) -> list[str]:
        return sorted(entry.value for entry in self.entries if entry.kind == kind)


def uid_tombstones(uids: Iterable[str]) -> Tombstones:
    return Tombstones(frozenset(Tombstone("uid", uid) for uid in uids))


def host_tombstone(host: str) -> Tombstone:
    """Of an A-label in lower case."""
    return Tombstone("host", uid_of(host))


def tombstones_path(given: str | Path) -> Path:
    """The list that an entry of `tombstones:` names: a file, or that of a run or of a release."""
    path = Path(given).expanduser()
    return path / TOMBSTONES_FILE if path.is_dir() else path


def tombstones_of(folder: Path) -> Tombstones:
    """What was taken down in a run or a release; nothing where there is no list."""
    path = folder / TOMBSTONES_FILE
    return read_tombstones(path) if path.is_file() else Tombstones()


def read_tombstones(path: Path) -> Tombstones:
    """A list of tombstones. Raises `UsageError` for what is none. A list that did not change is read once."""
    try:
        facts = path.stat()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return _read(path, (facts.st_size, facts.st_mtime_ns, facts.st_ino))


def write_tombstones(folder: Path, tombstones: Tombstones) -> None:
    """Write the whole list of a run or of a release."""
    put_whole(folder / TOMBSTONES_FILE, "".join(tombstones.lines()).encode())


@lru_cache(maxsize=4)
def _read(path: Path, _state: tuple[int, int, int]) -> Tombstones:
    try:
        with path.open(encoding="utf-8") as file:
            return Tombstones(frozenset(_parsed(path, number, line) for number, line in enumerate(file, 1)))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a list of tombstones: {error}") from None


def _parsed(path: Path, number: int, line: str) -> Tombstone:
    try:
        fields = json.loads(line)
        entry = Tombstone(fields["kind"], fields["value"], fields.get("distance", 0))
        digits = _DIGITS[entry.kind]
        is_right = re.fullmatch(f"[0-9a-f]{{{digits}}}", entry.value) and 0 <= entry.distance <= HASH_BITS
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        is_right = None
    if not is_right:
        raise UsageError(
            f"{path}, line {number}: is no tombstone; expected "
            f'{{"kind": "{"|".join(_DIGITS)}", "value": "<hex digits>"}}, as `curate remove` writes them'
        )
    return entry
