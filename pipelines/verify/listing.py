"""SHA256SUMS: what it lists, what lies in the folder and is not listed, and each file's digest."""

import os
import re
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.verify.faults import Faults
from pipelines.verify.meter import Meter
from shards.digests import DigestingFile
from shards.errors import BadInputError
from shards.training_indexes import ENERGON_LEAVINGS

SUMS = "SHA256SUMS"
RECORDS = "_done"
_BESIDE = (SUMS, RECORDS, "recipe.yaml", *ENERGON_LEAVINGS)
"""What may lie beside the listed files: a run's commit records, the recipe by which `curate release` decided, and
what `energon prepare` adds for access by key."""

_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)\Z")
_MOST_BYTES = 1 << 26
_UNLISTED = "delete it, or keep it elsewhere"


@dataclass
class Release:
    """A release as it is looked at: its folder, what SHA256SUMS lists (name -> sha256), and what is known by now."""

    folder: Path
    faults: Faults
    meter: Meter
    listed: dict[str, str] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    """Listed files whose digest fits: others are not looked into."""

    def matching(self, pattern: str) -> list[str]:
        """Listed names that match the whole of a pattern, sorted."""
        return [name for name in sorted(self.listed) if re.fullmatch(pattern, name)]


def read_listing(release: Release) -> None:
    """Take in SHA256SUMS, and tell which of its lines are none. Raises `BadInputError` if it cannot be read."""
    try:
        with DigestingFile(release.folder / SUMS, release.meter.seen) as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        release.faults.add(SUMS, "is missing; expected the digest of every file")
        return
    except OSError as error:
        raise BadInputError(f"{release.folder / SUMS} cannot be read: {error.strerror or error}") from None
    if len(data) > _MOST_BYTES:
        raise BadInputError(f"{release.folder / SUMS} has more than {_MOST_BYTES:,} bytes: it is no list of digests")
    _take_in(data, release)


def _take_in(data: bytes, release: Release) -> None:
    *lines, last = data.decode("utf-8", "surrogateescape").split("\n")
    if last or not lines:
        release.faults.add(SUMS, "does not end in a whole line: it was cut off or changed")
    previous = ""
    for number, line in enumerate(lines, 1):
        match = _LINE.match(line)
        if match is None or not _is_inside(match[2]):
            release.faults.add(SUMS, f"line {number} is not a sha256, two blanks and a name inside")
            continue
        if match[2] <= previous:
            release.faults.add(SUMS, f"line {number}, {match[2]}, is not in order; expected names sorted, each once")
        previous = match[2]
        release.listed[match[2]] = match[1]


def _is_inside(name: str) -> bool:
    """Whether a name stays in the folder, and is one that a release may list."""
    parts = name.split("/")
    return name != SUMS and name.isprintable() and parts[0] != RECORDS and not {"", ".", ".."}.intersection(parts)


def check_folder(release: Release) -> None:
    """Tell what is listed and missing, and what lies there and is not listed."""
    if not release.listed:
        return
    for name in sorted(release.listed):
        size = _file_size(release.folder / name)
        if size is None:
            release.faults.add(name, f"is not there as a file; {SUMS} lists it")
        else:
            release.meter.expect(size)
    folders = {folder for name in release.listed for folder in _folders_of(name)}
    for name in _unlisted(release.folder, "", folders, release.listed):
        release.faults.add(name, f"is not listed in {SUMS}", _UNLISTED)


def _file_size(path: Path) -> int | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _folders_of(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _unlisted(root: Path, folder: str, folders: set[str], listed: Container[str]) -> Iterator[str]:
    """Names below `folder`, sorted. Only folders that hold something listed are entered, so links make no circles."""
    try:
        with os.scandir(root / folder) as entries:
            found = sorted((entry.name, entry.is_dir()) for entry in entries)
    except OSError as error:
        raise BadInputError(f"{root / folder} cannot be read: {error.strerror}") from None
    for own_name, is_folder in found:
        name = f"{folder}/{own_name}" if folder else own_name
        if is_folder and name in folders:
            yield from _unlisted(root, name, folders, listed)
        elif name not in listed and name not in _BESIDE:
            yield f"{name}/" if is_folder else name


def check_digest(name: str, release: Release) -> None:
    """Read one listed file and compare its digest."""
    try:
        with DigestingFile(release.folder / name, release.meter.seen) as file:
            compare_digest(name, file.finish(), release)
    except FileNotFoundError:
        pass  # told before
    except OSError as error:
        release.faults.add(name, f"cannot be read: {error.strerror or error}")


def compare_digest(name: str, found: str, release: Release) -> None:
    """Tell if a file's digest is not the listed one; else it is sound."""
    release.meter.num_files += 1
    if found == release.listed[name]:
        release.sound.add(name)
    else:
        release.faults.add(
            name, f"its bytes are not those released: sha256 {found}, {SUMS} says {release.listed[name]}"
        )
