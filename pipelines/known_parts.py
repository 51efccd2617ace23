"""What a driver knew of committed parts, kept in a file a step, so that a resumed run need not open each record."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.tasks import Context
from shards.parts import Record
from shards.storage import disk_faults, put_whole

KNOWN_FOLDER = "known"
Key = tuple[int, str]
"""A part's index and the first 8 digits of its fingerprint, as its record is named."""


class KnownPart(NamedTuple):
    """A part's files with their bytes, and how many rows fell for which reason, by its record."""

    files: dict[str, int]
    counts: dict[str, int]

    @classmethod
    def of(cls, record: Record) -> "KnownPart":
        return cls({file.name: file.bytes for file in record.files}, record.counts)


class KnownParts:
    """The parts of one step, a line each in `known/STEP.jsonl` of the run's folder; of a part the last line counts.

    A memory and no proof: a part is done by its record, which a listing shows, and its files, whose sizes are asked
    for. Records say what the file lacks. Nothing is kept of a run on a store, which is decided by listing alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._parts, self._is_outdated = _read(path) if path is not None else ({}, False)

    @classmethod
    def of(cls, context: Context, step: str) -> "KnownParts":
        is_kept = context.url is None and context.below is None
        return cls(context.run / KNOWN_FOLDER / f"{step}.jsonl" if is_kept else None)

    def get(self, key: Key) -> KnownPart | None:
        return self._parts.get(key)

    def learn(self, key: Key, part: KnownPart) -> None:
        """A part that is there was not known, or not as it is."""
        self._parts[key] = part
        self._is_outdated = True

    def forget(self, key: Key) -> None:
        """A part will be made: its files will have other names."""
        if self._parts.pop(key, None) is not None:
            self._is_outdated = True

    def settle(self) -> None:
        """See that the file says what is known now. It must not speak of a part while that is made."""
        if self._path is None or not self._is_outdated:
            return
        with disk_faults(self._path):
            self._path.parent.mkdir(exist_ok=True)
        put_whole(self._path, b"".join(_line(key, part) for key, part in self._parts.items()))
        self._is_outdated = False

    def add(self, key: Key, part: KnownPart) -> None:
        """A part was made."""
        if self._path is None:
            return
        with disk_faults(self._path):
            self._path.parent.mkdir(exist_ok=True)
            with self._path.open("ab") as file:
                file.write(_line(key, part))


def _line(key: Key, part: KnownPart) -> bytes:
    return json.dumps([*key, part.files, part.counts], ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _read(path: Path) -> tuple[dict[Key, KnownPart], bool]:
    """The parts of a file, and whether it has a line that is none, as of a driver that was killed as it wrote."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, False
    lines = data.split(b"\n")
    try:
        entries = json.loads(b"[" + b",".join(lines[:-1]) + b"]")
    except ValueError:
        entries = [_entry(line) for line in lines]
    sound = [entry for entry in entries if _is_sound(entry)]
    parts = {(index, digits): KnownPart(files, counts) for index, digits, files, counts in sound}
    return parts, len(sound) < len(entries) or lines[-1] != b""


def _entry(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _is_sound(entry: Any) -> bool:
    if type(entry) is not list or [type(value) for value in entry] != [int, str, dict, dict]:
        return False
    return all(type(number) is int for told in entry[2:] for number in told.values())
