"""Marks of known sets: short digests that change when the files of a set do, and are cheap to take at each planning."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.fingerprints import image_files
from shards.storage import put_whole, sha256_of

MARKS_FILE = "known-sets.json"

_TAIL_BYTES = 65_536
_SETTLED_NS = 2 * 10**9
"""A file that changed so shortly before it was read may change again within one tick of its file system's clock."""


def mark_of_files(files: Sequence[Path]) -> str:
    """By sizes and ends: a Parquet file ends in what it says of each of its columns."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            digest.update(f"{path.name} {size} ".encode() + file.read())
    return digest.hexdigest()


def mark_of_folder(folder: Path, run: Path) -> str:
    """By names and contents of its images, so that a copied or touched folder has the same mark on every machine.

    Contents are read once: RUN/known-sets.json keeps each folder's mark, taken again while no file's name, size,
    modification time or change time is another. The last is the file system's own and cannot be set back, so a file
    put in the place of another with size and time kept is noticed too. 100,000 files are looked at in some 4 s of CPU.
    """
    marks = _read_marks(run)
    images = image_files(folder)
    listing, newest_ns = _listing(images, folder)
    known = marks.get(str(folder), {})
    if known.get("listing") == listing:
        return known["mark"]
    began_ns = time.time_ns()
    mark = _mark_of_contents(images, folder)
    if newest_ns < began_ns - _SETTLED_NS:
        marks[str(folder)] = {"listing": listing, "mark": mark}
        put_whole(run / MARKS_FILE, json.dumps(marks, indent=1).encode())
    return mark


def _read_marks(run: Path) -> dict[str, dict[str, str]]:
    """Nothing where there is no file, or none that can be read: then contents are."""
    try:
        marks: dict[str, dict[str, str]] = json.loads((run / MARKS_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return marks


def _listing(images: Sequence[Path], folder: Path) -> tuple[str, int]:
    """A digest of what the file system says of the files, and when the last of them changed, ns since the epoch."""
    digest = hashlib.sha256()
    newest_ns = 0
    for path in images:
        facts = path.stat()
        newest_ns = max(newest_ns, facts.st_ctime_ns)
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}\0".encode())
    return digest.hexdigest(), newest_ns


def _mark_of_contents(images: Sequence[Path], folder: Path) -> str:
    digest = hashlib.sha256()
    for path in images:
        digest.update(path.relative_to(folder).as_posix().encode() + bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()
