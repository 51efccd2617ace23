"""The folder that an export writes: new, outside of the release, there whole or not at all, with its digests."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shards.errors import UsageError
from shards.released import Release
from shards.storage import disk_faults, open_local_folder, put_whole, sha256_of, sync_file, sync_folder

_SUMS = "SHA256SUMS"


def fresh_folder(out: str, release: Release) -> Path:
    """The folder to make. Raises `UsageError` where something lies there already, or nothing can."""
    target = open_local_folder(out)
    if os.path.ismount(target):
        raise UsageError(f"--out {out}: is a mount point; name a folder below it")
    if target.is_relative_to(release.folder):
        raise UsageError(f"--out {out}: lies in the release itself, whose files are all listed; choose another folder")
    try:
        if any(target.iterdir()):
            raise UsageError(f"--out {out}: is not empty; choose a new folder")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}; expected a new folder") from error
    return target


@contextmanager
def appearing_whole(target: Path) -> Iterator[Path]:
    """A folder beside `target`, which takes its name once the block has ended well, and goes away if it has not."""
    staging = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--out {target}: cannot be made: {error.strerror}; choose another folder") from error
    try:
        with disk_faults(target):
            yield staging
            sync_folder(staging)
            os.rename(staging, target)
            sync_folder(target.parent)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UsageError(f"--out {target}: somebody else wrote there meanwhile; choose a new folder") from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def seal_folder(staging: Path) -> int:
    """Brings all files to disk and lists their digests in SHA256SUMS. Returns how many they are."""
    files = sorted(path for path in staging.rglob("*") if path.is_file())
    lines = []
    for path in files:
        sync_file(path)
        lines.append((path.relative_to(staging).as_posix(), sha256_of(path)))
    for folder in {path.parent for path in files} - {staging}:
        sync_folder(folder)
    put_whole(staging / _SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(lines)).encode())
    return len(files)
