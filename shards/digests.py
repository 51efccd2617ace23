"""A file's digest, taken while the file is read for another reason: one pass over the disk serves both."""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK = 1 << 20


class DigestingFile:
    """A file that is read once from its start. `seen` is told how many bytes were read, as they are.

    Raises OSError, for what is no regular file too: a pipe or a device would never end.
    """

    def __init__(self, path: Path, seen: Callable[[int], None] = lambda _: None) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(0, "is no regular file")
        self._file = os.fdopen(descriptor, "rb", buffering=_CHUNK)
        self._digest = hashlib.sha256()
        self._seen = seen
        self.num_bytes = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        data = self._file.read(size)
        self._digest.update(data)
        self.num_bytes += len(data)
        self._seen(len(data))
        return data

    def finish(self) -> str:
        """Read what is left, and give the sha256 of the whole file as hex."""
        while self.read(_CHUNK):
            pass
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
