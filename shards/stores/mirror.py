"""A run on an object store, worked on in a folder of this node: what is written is sent, what is missing is brought."""

import hashlib
import os
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path

from shards.errors import BrokenRunError
from shards.stores.copies import Copies, only_true_copies
from shards.stores.first_put import see_first_put_wins
from shards.stores.object_store import ObjectStore, split_url
from shards.stores.patience import NotOfferedError
from shards.stores.scratch import Scratch, is_copy_of, mark_as_copy
from shards.stores.step_listing import StepListing

RECORDS = "_done"
_EPOCH = "epoch"
_MOST_TRIES = 3
_SMALL_BYTES = 64 << 20
_AT_ONCE = 16


class Mirror:
    """One run on a store and its copies on this node. Paths are of the copies, below `root`."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url
        self._bucket, prefix = split_url(url)
        self._prefix = f"{prefix}/" if prefix else ""
        self.scratch = Scratch(root.parent, root)
        self._listed: tuple[str, StepListing] | None = None

    @cached_property
    def store(self) -> ObjectStore:
        return ObjectStore(self._bucket)

    @cached_property
    def _copies(self) -> Copies:
        return Copies(self.store, self._prefix, self.root, self.scratch)

    def key(self, path: Path | str) -> str:
        """The object of a path."""
        return self._prefix + os.path.relpath(path, self.root)

    def place(self, path: Path | str) -> str:
        """The URL of a path, for messages."""
        inner = os.path.relpath(path, self.root)
        return self.url if inner == "." else f"{self.url}/{inner}"

    def refresh(self) -> None:
        """Bring the run's own files, those right below it and those in dead/, as they are on the store now.

        What lies deeper gets empty folders: it is brought when it is asked for.
        """
        self._listed = None
        page = self.store.top(self._prefix)
        for prefix in page.prefixes:
            self._copies.path(prefix).mkdir(parents=True, exist_ok=True)
        self._copies.bring_all(page.objects, self.root)
        if f"{self._prefix}dead/" in page.prefixes:
            self._copies.bring_all(self.store.objects(f"{self._prefix}dead/"), self.root / "dead")

    def refresh_release(self) -> None:
        """Bring what is said of the release: its small files, but for shards and manifest."""
        start = f"{self._prefix}release/"
        for found in self.store.top(start).objects:
            if found.size <= _SMALL_BYTES:
                self._copies.bring_as_listed(found)

    def whole_copy(self) -> AbstractContextManager[Path]:
        """A folder with everything that the store holds of the run, freshly read, for as long as the block runs.

        Raises `DiskError` where the scratch disk has too little room for it.
        """
        return self._copies.of_all(self.url)

    def begin(self, token: str) -> None:
        """A driver began, on this node or another: records that were read for one before it may have been replaced."""
        self.scratch.prepare()
        epoch = self.root.parent / _EPOCH
        with self.scratch.beginning():
            if epoch.is_file() and epoch.read_text() == token:
                return
            for path in self.root.glob(f"*/{RECORDS}/*.json"):
                path.unlink()
            self.refresh()
            epoch.write_text(token)

    def lead(self, token: str) -> None:
        """As `begin`, for the driver itself, which sees by listings which of its records are still true."""
        (self.root.parent / _EPOCH).write_text(token)

    def probe(self) -> None:
        """See that objects can be written, and that the second of two conditional puts is refused.

        Raises `UsageError` where it is not: two attempts at a part could both count.
        """
        see_first_put_wins(self.store, self._prefix, self.url)

    def clear_leavings(self) -> None:
        """Forget uploads that nobody will end."""
        with suppress(NotOfferedError):  # Aliyun's S3 interface has no list of them
            self.store.abandon_uploads(self._prefix)

    def listing(self, step: str, is_fresh: bool = False) -> StepListing:
        """What the store holds of a step, by one listing; the last one serves again unless it must be fresh."""
        if is_fresh or self._listed is None or self._listed[0] != step:
            self._listed = (step, self._list(step))
        return self._listed[1]

    def _list(self, step: str) -> StepListing:
        listing, folder = StepListing(), f"{self._prefix}{step}/"
        start, records = len(folder), f"{folder}{RECORDS}/"
        for key, size, etag in self.store.objects(folder):
            if key.startswith(records):
                listing.records[key[len(records) :]] = (size, etag)
            else:
                listing.sizes[key[start:]] = size
        listing.copied = only_true_copies(self.root / step / RECORDS, listing.records)
        return listing

    def bring_record(self, path: str) -> None:
        """See that the copy of a commit record is here. Raises `FileNotFoundError` if there is none anywhere."""
        if not os.path.exists(path):
            found = self.store.read(self.key(path))
            self._copies.put(Path(path), found.data, found.etag, found.modified_s)

    def bring_records(self, paths: Iterable[str]) -> None:
        """The same for many, some at a time."""
        missing = [path for path in paths if not os.path.exists(path)]
        if missing:
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                for _ in threads.map(self.bring_record, missing):
                    pass

    def bring(self, path: Path, size: int, sha256: str) -> None:
        """See that the copy of a committed file is here, whole; it stays for ten minutes, or for `Scratch.using`.

        Raises `BrokenRunError` where the store has none, or one of other bytes.
        """
        with self.scratch.sharing(), suppress(FileNotFoundError):
            here = path.stat()
            if here.st_size == size and is_copy_of(here, sha256):
                os.utime(path, ns=(time.time_ns(), here.st_mtime_ns))
                return
        key = self.key(path)
        try:
            is_whole = any(self._copies.fetch(key, path, size, sha256) for _ in range(_MOST_TRIES))
        except FileNotFoundError as error:
            raise BrokenRunError(
                f"{self.place(path)} is not there, though its record is; run again to redo it"
            ) from error
        if not is_whole:
            raise BrokenRunError(f"{self.place(path)}: its bytes are not those of its record; see `curate verify`")
        self.scratch.grown(size)

    def send(self, path: Path, sha256: str) -> None:
        """Put a finished file of a part on the store; here it is a copy from now on."""
        size = path.stat().st_size
        self.store.put(self.key(path), path)
        mark_as_copy(path, sha256)
        self.scratch.grown(size)

    def put(self, path: Path, data: bytes) -> None:
        """Put a small file, on the store first: a copy never says what the store does not."""
        self._copies.put(path, data, self.store.put_bytes(self.key(path), data))

    def put_if_absent(self, path: Path, data: bytes) -> bool:
        """Put a small file if there is none; where another was first, no copy is left here."""
        is_first = self.store.put_if_absent(self.key(path), data)
        if is_first:
            self._copies.put(path, data, hashlib.md5(data, usedforsecurity=False).hexdigest())
        else:
            path.unlink(missing_ok=True)
        return is_first

    def read(self, path: Path) -> bytes:
        """A small file as it is on the store at this moment. Raises `FileNotFoundError`."""
        found = self.store.read(self.key(path))
        self._copies.put(path, found.data, found.etag, found.modified_s)
        return found.data

    def delete(self, path: Path | str) -> None:
        """Delete a file, on the store and here."""
        self.store.delete(self.key(path))
        with suppress(FileNotFoundError):
            os.unlink(path)

    def delete_below(self, start: str) -> None:
        """Delete every object whose path in the run begins so, and its copy."""
        for key, _ in list(self.store.list(self._prefix + start)):
            self.delete(self._copies.path(key))

    def sweep(self, step: str, named: Collection[str]) -> None:
        """Delete the objects of a step that are not `named`, records aside."""
        for name in self.listing(step).sizes:
            if name not in named:
                self.store.delete(f"{self._prefix}{step}/{name}")
        self._listed = None
