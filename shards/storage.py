"""Where a run's files lie, in a folder or a mirror of a store: whole writes, put-if-absent, listings and digests."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shards.errors import DiskError, UsageError
from shards.name_once import name_once
from shards.stores.mirrors import mirror_at, mirror_of, open_mirror
from shards.stores.object_store import is_url

_CHUNK = 1 << 20
_SMALL = 1 << 14
_DISK_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.EIO, errno.ENODEV, errno.ESTALE, errno.ENOTCONN,  # disks and servers that went away
}  # fmt: skip


def open_run_folder(out: str) -> Path:
    """The folder of a run as an absolute path; of one at an `s3://` URL, this node's mirror of it, brought up to date.

    Raises `UsageError` for any other URL, and what `Patience.ask` raises.
    """
    if is_url(out):
        with disk_faults(Path(out)):
            mirror = open_mirror(out)
            mirror.refresh()
        return mirror.root
    if "://" in out:
        raise UsageError(f"--out {out}: a run lies in a local folder or at an s3:// URL, not there")
    return Path(out).expanduser().resolve()


def open_local_folder(out: str) -> Path:
    """A folder to write as an absolute path. Raises `UsageError` for what is not a local path."""
    if "://" in out:
        raise UsageError(f"--out {out}: only a local folder can take this; copy it to the object store from there")
    return Path(out).expanduser().resolve()


def bring_up_to_date(run: Path) -> None:
    """Of a run on a store: have its own files, and what is said of its release, as they are at this moment."""
    mirror = mirror_at(run)
    if mirror is not None:
        with disk_faults(run):
            mirror.refresh()
            mirror.refresh_release()


@contextmanager
def reading_whole(place: str) -> Iterator[Path]:
    """A folder of which every byte will be read; of a run at a URL, a copy of all that the store holds of it."""
    if not is_url(place):
        yield Path(place).resolve()
        return
    with disk_faults(Path(place)), open_mirror(place).whole_copy() as folder:
        yield folder


def told_place(path: Path) -> str:
    """A path as its reader knows it: of what lies in a mirror, the URL."""
    mirror = mirror_of(path)
    return str(path) if mirror is None else mirror.place(path)


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn a full, read-only or vanished disk into `DiskError`, which names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRNOS:
            raise DiskError(
                f"cannot write {error.filename or path}: {error.strerror}{_told_room(path)}. "
                "Free or repair the disk, then run again: it resumes"
            ) from error
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise folder_gone(path.parent) from error
        raise


def folder_gone(folder: Path) -> DiskError:
    """That a folder which was there is there no more."""
    return DiskError(
        f"{folder} is gone: the folder was deleted or moved, or its disk went away{_told_room(folder)}. "
        "Bring it back, then run again: it resumes"
    )


def _told_room(path: Path) -> str:
    """How many bytes the disk of a path has left, where that can be told."""
    for folder in (path, *path.parents):
        with suppress(OSError):
            return f" ({shutil.disk_usage(folder).free:,} bytes are free at {folder})"
    return ""


def put_whole(path: Path, data: bytes) -> None:
    """Make `path` appear with all of `data` or not at all: write beside, fsync, rename, fsync the folder."""
    with disk_faults(path):
        mirror = mirror_of(path)
        if mirror is not None:
            mirror.put(path, data)
            return
        temporary = _write_beside(path, data)
        temporary.rename(path)
        sync_folder(path.parent)


def put_if_absent(path: Path, data: bytes, is_synced: bool = True) -> bool:
    """Like `put_whole`, but the first writer wins. Returns whether this call was the first.

    What is not `is_synced` outlives the process, and not the machine.
    """
    with disk_faults(path):
        mirror = mirror_of(path)
        if mirror is not None:
            return mirror.put_if_absent(path, data)
        temporary = _write_beside(path, data, is_synced)
        try:
            is_first = name_once(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if is_first and is_synced:
            sync_folder(path.parent)
        return is_first


def publish(temporary: Path, final: Path, is_synced: bool = True) -> None:
    """Give a file that was written in full its final name in the same folder, after it is on disk."""
    with disk_faults(final):
        if is_synced:
            sync_file(temporary)
        temporary.rename(final)
        if is_synced:
            sync_folder(final.parent)


def read_whole(path: str) -> bytes:
    """A small file's bytes: a quarter of what `open` takes, where 100,000 records are read."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        data = os.read(descriptor, _SMALL)
        while rest := os.read(descriptor, _SMALL):
            data += rest
        return data
    finally:
        os.close(descriptor)


def read_current(path: Path) -> bytes:
    """A small file's bytes; of one in a mirror, what the store has at this moment. Raises `FileNotFoundError`."""
    mirror = mirror_of(path)
    return path.read_bytes() if mirror is None else mirror.read(path)


def delete(path: Path) -> None:
    """Delete a file if it is there; of one in a mirror, its object too."""
    mirror = mirror_of(path)
    if mirror is None:
        path.unlink(missing_ok=True)
    else:
        mirror.delete(path)


def delete_below(run: Path, start: str) -> None:
    """Delete the files of a run whose paths in it begin so (one folder, and how its names begin)."""
    mirror = mirror_at(run)
    if mirror is not None:
        mirror.delete_below(start)
    for path in run.glob(f"{start}*"):
        path.unlink(missing_ok=True)


def list_names(folder: Path) -> list[str]:
    """Names of the files in `folder`, sorted; empty if there is no such folder."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except FileNotFoundError:
        return []


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sync_file(path: Path) -> None:
    """Force a file's bytes to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk: a rename is durable only after this."""
    sync_file(folder)


def _write_beside(path: Path, data: bytes, is_synced: bool = True) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        if is_synced:
            os.fsync(file.fileno())
    return temporary
