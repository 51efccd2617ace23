"""Giving a file that was written whole a name that none has yet: of many who try, one succeeds, on any file system."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""What file systems answer that have no hard links: exFAT and FAT, SMB, many that live in user space."""

_NO_FLAGS = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""What they answer that know no rename with conditions."""

_AT_FDCWD = -100
_NOREPLACE = 1

RenameNew = Callable[[str, str], None]


def name_once(temporary: Path, final: Path) -> bool:
    """Name the whole file `temporary` `final` as well, or instead, if there is none. Returns whether this call did it.

    A hard link where there are any: on NFS too, the server alone decides. Where an answer of NFS was lost and the link
    asked for again, the second answer says that somebody was first; the count of links tells whose it is. Else a
    rename that replaces nothing; else one under a lock of the folder, which ends with its process. That lock is the
    kernel's, so on a file system with neither, one machine may write at a time. Either name may be left.
    """
    try:
        os.link(temporary, final)
    except FileExistsError:
        return os.stat(temporary).st_nlink > 1
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _renamed_once(os.fspath(temporary), os.fspath(final))
    return True


def _renamed_once(temporary: str, final: str) -> bool:
    rename_new = _rename_new()
    if rename_new is not None:
        try:
            rename_new(temporary, final)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_FLAGS:
                raise
        else:
            return True
    return _renamed_under_lock(temporary, final)


def _renamed_under_lock(temporary: str, final: str) -> bool:
    descriptor = os.open(os.path.dirname(final) or ".", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(final):
            return False
        os.rename(temporary, final)
    finally:
        os.close(descriptor)  # and the lock with it
    return True


@cache
def _rename_new() -> RenameNew | None:
    """Linux' renameat2(2) with RENAME_NOREPLACE, where the C library has it. Raises `OSError`, as `os.rename` does."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return None
    renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

    def rename(source: str, target: str) -> None:
        if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _NOREPLACE):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), source, None, target)

    return rename
