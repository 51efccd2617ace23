"""Where a run's files lie: whole-file writes, put-if-absent, listings and digests on a local folder."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shards.errors import DiskError, UsageError

_CHUNK = 1 << 20
_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}


def open_run_folder(out: str) -> Path:
    """The folder of a run as an absolute path. Raises `UsageError` for what is not a local path."""
    if "://" in out:
        raise UsageError(f"--out {out}: only a local folder can hold a run in this version, not an object store")
    return Path(out).expanduser().resolve()


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn a full, read-only or vanished disk into `DiskError`, which names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRNOS:
            raise DiskError(
                f"cannot write {error.filename or path}: {error.strerror}. "
                "Free or repair the disk, then run again: it resumes"
            ) from error
        raise


def put_whole(path: Path, data: bytes) -> None:
    """Make `path` appear with all of `data` or not at all: write beside, fsync, rename, fsync the folder."""
    with disk_faults(path):
        temporary = _write_beside(path, data)
        temporary.rename(path)
        sync_folder(path.parent)


def put_if_absent(path: Path, data: bytes, is_synced: bool = True) -> bool:
    """Like `put_whole`, but the first writer wins. Returns whether this call was the first.

    What is not `is_synced` outlives the process, and not the machine.
    """
    with disk_faults(path):
        temporary = _write_beside(path, data, is_synced)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        if is_synced:
            sync_folder(path.parent)
        return True


def publish(temporary: Path, final: Path, is_synced: bool = True) -> None:
    """Give a file that was written in full its final name in the same folder, after it is on disk."""
    with disk_faults(final):
        if is_synced:
            sync_file(temporary)
        temporary.rename(final)
        if is_synced:
            sync_folder(final.parent)


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
