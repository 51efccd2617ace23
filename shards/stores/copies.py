"""Copies of a store's objects in a folder of this node: brought whole or not at all, and marked with what they copy."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from shards.errors import BrokenRunError, DiskError
from shards.stores.object_listing import StoredObject
from shards.stores.object_store import ObjectStore
from shards.stores.scratch import PLACE_VARIABLE, Scratch, is_copy_of, mark_as_copy

_PIECE_BYTES = 16 << 20


class Copies:
    """The copies of what lies below `prefix` in a store: each at its place below `root`."""

    def __init__(self, store: ObjectStore, prefix: str, root: Path, scratch: Scratch) -> None:
        self._store, self._prefix, self._root, self._scratch = store, prefix, root, scratch

    def path(self, key: str) -> Path:
        """Where an object's copy lies. Raises `BrokenRunError` for a name that leads out of the folder."""
        return self._root / _safe(key.removeprefix(self._prefix))

    def put(self, path: Path, data: bytes, etag: str, modified_s: float | None = None) -> None:
        """Put a small object's bytes in place, in place of another copy."""
        beside = self._scratch.incoming(path.name)
        beside.write_bytes(data)
        mark_as_copy(beside, etag, modified_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.replace(path)

    def bring_as_listed(self, found: StoredObject) -> None:
        """See that the copy of a small object is the one that was listed."""
        path = self.path(found.key)
        with suppress(FileNotFoundError):
            here = path.stat()
            if here.st_size == found.size and is_copy_of(here, found.etag):
                return
        with suppress(FileNotFoundError):  # it may go between the listing and now, as a lease does
            self.put(path, self._store.read(found.key).data, found.etag)

    def bring_all(self, objects: Iterable[StoredObject], folder: Path) -> None:
        """See that the files of a folder are copies of these small objects, and no others."""
        there = set()
        for found in objects:
            there.add(self.path(found.key))
            self.bring_as_listed(found)
        for path in folder.iterdir():
            if path.is_file() and path not in there:
                path.unlink()

    def fetch(self, key: str, path: Path, size: int, sha256: str) -> bool:
        """Bring an object, and put it in place if it is the one that was committed. Raises `FileNotFoundError`."""
        beside, digest, num_bytes = self._scratch.incoming(path.name), hashlib.sha256(), 0
        try:
            with beside.open("wb") as file:
                while num_bytes < size and (
                    data := self._store.read_range(key, num_bytes, min(_PIECE_BYTES, size - num_bytes))
                ):
                    file.write(data)
                    digest.update(data)
                    num_bytes += len(data)
            if not size:
                self._store.size(key)
            if digest.hexdigest() != sha256:
                return False
            mark_as_copy(beside, sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.replace(path)
            return True
        finally:
            beside.unlink(missing_ok=True)

    @contextmanager
    def of_all(self, url: str) -> Iterator[Path]:
        """A folder of its own with everything, freshly read, for as long as the block runs; `url` is for messages.

        Raises `DiskError` where the scratch disk has too little room for it.
        """
        objects = list(self._store.objects(self._prefix))
        needed, free = sum(found.size for found in objects), shutil.disk_usage(self._root).free
        if needed > free:
            raise DiskError(
                f"{url} holds {needed:,} bytes, all of which are read, and {self._root.parent} has room for "
                f"{free:,}; set {PLACE_VARIABLE} to a folder with more"
            )
        with tempfile.TemporaryDirectory(prefix="whole-", dir=self._root.parent) as place:
            folder = Path(place) / self._root.name
            folder.mkdir()
            for found in objects:
                path = folder / _safe(found.key.removeprefix(self._prefix))
                path.parent.mkdir(parents=True, exist_ok=True)
                self._store.fetch(found.key, path)
            yield folder


def only_true_copies(folder: Path, records: dict[str, tuple[int, str]]) -> set[str]:
    """The names in a folder that are copies of these (bytes, etag); copies of what is gone or changed are dropped."""
    same = set()
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            size, etag = records.get(entry.name, (None, ""))
            found = entry.stat()
            if found.st_size == size and is_copy_of(found, etag):
                same.add(entry.name)
            else:
                os.unlink(entry.path)
    return same


def _safe(name: str) -> str:
    """A name of the store's as a path below the root. Raises `BrokenRunError` for one that leads out of it."""
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise BrokenRunError(f"{name}: an object by such a name is none of curate's; delete it")
    return name
