"""The journal of a removal: what is being taken down, and which released files change, until all of it is done."""

import json
from collections.abc import Iterable
from pathlib import Path

from shards.errors import BrokenRunError
from shards.storage import delete, put_whole

JOURNAL_FILE = ".removing.json"


def begin(folder: Path, files: Iterable[str]) -> frozenset[str]:
    """Note that a removal is under way in a run or a release, and which files it is going to change.

    Gives back those of a removal that was killed as well: their digests may be of before.
    """
    noted = frozenset({*pending(folder), *files})
    put_whole(folder / JOURNAL_FILE, json.dumps(sorted(noted), indent=1).encode() + b"\n")
    return noted


def is_pending(folder: Path) -> bool:
    return (folder / JOURNAL_FILE).is_file()


def pending(folder: Path) -> frozenset[str]:
    """The released files that a removal was changing when it ended; none if none is under way."""
    path = folder / JOURNAL_FILE
    if not path.is_file():
        return frozenset()
    try:
        names = json.loads(path.read_bytes())
        return frozenset(str(name) for name in names)
    except (ValueError, TypeError) as error:
        raise BrokenRunError(f"{path}: unreadable ({error}); delete it and call `curate remove` again") from error


def end(folder: Path) -> None:
    delete(folder / JOURNAL_FILE)
