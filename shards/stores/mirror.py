"""A run on an object store, worked on in a folder of this node: what is written is sent, what is missing is brought."""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath

from shards.errors import BrokenRunError, DiskError, UsageError
from shards.stores.object_listing import StoredObject
from shards.stores.object_store import ObjectStore, split_url
from shards.stores.patience import NotOfferedError
from shards.stores.scratch import PLACE_VARIABLE, Scratch, is_copy_of, mark_as_copy, scratch_folder
from shards.stores.step_listing import StepListing

RECORDS = "_done"
_MARK = "mirror.json"
_EPOCH = "epoch"
_PIECE_BYTES = 16 << 20
_MOST_TRIES = 3
_SMALL_BYTES = 64 << 20
_AT_ONCE = 16
_PROBE = ".probe"


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
            (self.root / _safe(prefix.removeprefix(self._prefix))).mkdir(parents=True, exist_ok=True)
        self._bring_all(page.objects, self.root)
        if f"{self._prefix}dead/" in page.prefixes:
            self._bring_all(self.store.objects(f"{self._prefix}dead/"), self.root / "dead")

    def refresh_release(self) -> None:
        """Bring what is said of the release: its small files, but for shards and manifest."""
        start = f"{self._prefix}release/"
        for found in self.store.top(start).objects:
            if found.size <= _SMALL_BYTES:
                self._bring_as_listed(found, self.root / _safe(found.key.removeprefix(self._prefix)))

    @contextmanager
    def whole_copy(self) -> Iterator[Path]:
        """A folder with everything that the store holds of the run, freshly read, for as long as the block runs.

        Raises `DiskError` where the scratch disk has too little room for it.
        """
        objects = list(self.store.objects(self._prefix))
        needed, free = sum(found.size for found in objects), shutil.disk_usage(self.root).free
        if needed > free:
            raise DiskError(
                f"{self.url} holds {needed:,} bytes, all of which are read, and {self.root.parent} has room for "
                f"{free:,}; set {PLACE_VARIABLE} to a folder with more"
            )
        with tempfile.TemporaryDirectory(prefix="whole-", dir=self.root.parent) as place:
            folder = Path(place) / self.root.name
            folder.mkdir()
            for found in objects:
                path = folder / _safe(found.key.removeprefix(self._prefix))
                path.parent.mkdir(parents=True, exist_ok=True)
                self.store.fetch(found.key, path)
            yield folder

    def _bring_all(self, objects: Collection[StoredObject] | Iterator[StoredObject], folder: Path) -> None:
        there = set()
        for found in objects:
            name = _safe(found.key.removeprefix(self._prefix))
            there.add(self.root / name)
            self._bring_as_listed(found, self.root / name)
        for path in folder.iterdir():
            if path.is_file() and path not in there:
                path.unlink()

    def _bring_as_listed(self, found: StoredObject, path: Path) -> None:
        with suppress(FileNotFoundError):
            here = path.stat()
            if here.st_size == found.size and is_copy_of(here, found.etag):
                return
        with suppress(FileNotFoundError):  # it may go between the listing and now, as a lease does
            self._put_copy(path, self.store.read(found.key).data, found.etag)

    def _put_copy(self, path: Path, data: bytes, etag: str, modified_s: float | None = None) -> None:
        beside = self.scratch.incoming(path.name)
        beside.write_bytes(data)
        mark_as_copy(beside, etag, modified_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.replace(path)

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
        key = self._prefix + _PROBE
        self.store.delete(key)
        try:
            if not self.store.put_if_absent(key, b"first") or self.store.put_if_absent(key, b"second"):
                raise UsageError(_UNCONDITIONAL.format(url=self.url, why="puts over an object all the same"))
        except NotOfferedError as error:
            raise UsageError(_UNCONDITIONAL.format(url=self.url, why=f"answers {error}")) from error
        finally:
            self.store.delete(key)

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
        listing.copied = self._same_records(self.root / step / RECORDS, listing.records)
        return listing

    def _same_records(self, folder: Path, records: dict[str, tuple[int, str]]) -> set[str]:
        """The records whose copies are true; copies of what is gone or another now are dropped."""
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

    def bring_record(self, path: str) -> None:
        """See that the copy of a commit record is here. Raises `FileNotFoundError` if there is none anywhere."""
        if not os.path.exists(path):
            found = self.store.read(self.key(path))
            self._put_copy(Path(path), found.data, found.etag, found.modified_s)

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
            is_whole = any(self._fetch(key, path, size, sha256) for _ in range(_MOST_TRIES))
        except FileNotFoundError as error:
            raise BrokenRunError(
                f"{self.place(path)} is not there, though its record is; run again to redo it"
            ) from error
        if not is_whole:
            raise BrokenRunError(f"{self.place(path)}: its bytes are not those of its record; see `curate verify`")
        self.scratch.grown(size)

    def _fetch(self, key: str, path: Path, size: int, sha256: str) -> bool:
        """Bring an object, and put it in place if it is the one that was committed."""
        beside, digest, num_bytes = self.scratch.incoming(path.name), hashlib.sha256(), 0
        try:
            with beside.open("wb") as file:
                while num_bytes < size and (
                    data := self.store.read_range(key, num_bytes, min(_PIECE_BYTES, size - num_bytes))
                ):
                    file.write(data)
                    digest.update(data)
                    num_bytes += len(data)
            if not size:
                self.store.size(key)
            if digest.hexdigest() != sha256:
                return False
            mark_as_copy(beside, sha256)
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.replace(path)
            return True
        finally:
            beside.unlink(missing_ok=True)

    def send(self, path: Path, sha256: str) -> None:
        """Put a finished file of a part on the store; here it is a copy from now on."""
        size = path.stat().st_size
        self.store.put(self.key(path), path)
        mark_as_copy(path, sha256)
        self.scratch.grown(size)

    def put(self, path: Path, data: bytes) -> None:
        """Put a small file, on the store first: a copy never says what the store does not."""
        self._put_copy(path, data, self.store.put_bytes(self.key(path), data))

    def put_if_absent(self, path: Path, data: bytes) -> bool:
        """Put a small file if there is none; where another was first, no copy is left here."""
        is_first = self.store.put_if_absent(self.key(path), data)
        if is_first:
            self._put_copy(path, data, hashlib.md5(data, usedforsecurity=False).hexdigest())
        else:
            path.unlink(missing_ok=True)
        return is_first

    def read(self, path: Path) -> bytes:
        """A small file as it is on the store at this moment. Raises `FileNotFoundError`."""
        found = self.store.read(self.key(path))
        self._put_copy(path, found.data, found.etag, found.modified_s)
        return found.data

    def delete(self, path: Path | str) -> None:
        """Delete a file, on the store and here."""
        self.store.delete(self.key(path))
        with suppress(FileNotFoundError):
            os.unlink(path)

    def delete_below(self, start: str) -> None:
        """Delete every object whose path in the run begins so, and its copy."""
        for key, _ in list(self.store.list(self._prefix + start)):
            self.delete(self.root / _safe(key.removeprefix(self._prefix)))

    def sweep(self, step: str, named: Collection[str]) -> None:
        """Delete the objects of a step that are not `named`, records aside."""
        for name in self.listing(step).sizes:
            if name not in named:
                self.store.delete(f"{self._prefix}{step}/{name}")
        self._listed = None


_UNCONDITIONAL = (
    "--out {url}: this object store {why} where a put asks to be the first (If-None-Match: *). Two attempts at a part "
    "could then both count. Use a store that knows conditional puts (see infra/docs/object-stores.md), or a local --out"
)


def open_mirror(url: str) -> Mirror:
    """The mirror of a run on this node, made if there is none yet. Raises `UsageError` for what is no such URL."""
    bucket, prefix = split_url(url)
    parts = [part for part in prefix.split("/") if part]
    if any(part in (".", "..") for part in parts):
        raise UsageError(f"{url}: expected s3://BUCKET/PREFIX without . and .. in it")
    url = "/".join([f"s3://{bucket}", *parts])
    endpoint = ObjectStore(bucket).endpoint
    home = scratch_folder() / hashlib.sha256(f"{endpoint} {url}".encode()).hexdigest()[:16]
    root = home / (parts or [bucket])[-1]
    Scratch(home, root).prepare()
    mark = home / _MARK
    if not mark.is_file():
        beside = home / f".{_MARK}.{os.getpid()}"
        beside.write_text(json.dumps({"url": url, "root": root.name}))
        beside.replace(mark)
        _mirror_at.cache_clear()
    found = _mirror_at(str(root))
    assert found is not None
    return found


def mirror_of(path: Path | str) -> Mirror | None:
    """The mirror that a path lies in, if it does."""
    folder = os.path.abspath(path)
    while (found := _mirror_at(folder)) is None:
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return found


def mirror_at(run: Path) -> Mirror | None:
    """The mirror whose root this folder is, if it is one's."""
    return _mirror_at(os.fspath(run))


@lru_cache(maxsize=4096)
def _mirror_at(folder: str) -> Mirror | None:
    mark = os.path.join(os.path.dirname(folder), _MARK)
    try:
        with open(mark, "rb") as file:
            told = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return Mirror(Path(folder), told["url"]) if told["root"] == os.path.basename(folder) else None


def _safe(name: str) -> str:
    """A name of the store's as a path below the root. Raises `BrokenRunError` for one that leads out of it."""
    if ".." in PurePosixPath(name).parts or name.startswith("/"):
        raise BrokenRunError(f"{name}: an object by such a name is none of curate's; delete it")
    return name
