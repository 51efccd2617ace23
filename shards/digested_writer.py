"""A new file that two threads write and digest beside the one that makes its bytes, and that is then forced to disk."""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_MAX_BLOCKS = 4
"""Blocks of one file in memory: whoever makes bytes faster than they are written waits."""


@dataclass(frozen=True)
class _GivenBlock:
    """A block that is written and digested, and may be filled anew when both are done."""

    block: memoryview
    work: tuple[Future[None], Future[None]]

    def wait(self) -> memoryview:
        for future in self.work:
            future.result()
        return self.block


class DigestedWriter:
    """Bytes are appended by one thread. The OSError of a write is raised by a later call, at the latest by `sha256`."""

    def __init__(self, path: Path, is_synced: bool = True) -> None:
        self._file = path.open("wb", buffering=0)
        self._is_synced = is_synced
        self._digest = hashlib.sha256()
        self._writing, self._digesting = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._given: deque[_GivenBlock] = deque()
        self._block = memoryview(bytearray(_BLOCK_BYTES))
        self._used = 0
        self._end: Future[None] | None = None
        self.num_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        end = self._used + len(data)
        if end <= _BLOCK_BYTES:  # nearly always, and many thousand times a second
            self._block[self._used : end] = data
            self.num_bytes += len(data)
            self._used = end
            return
        view = memoryview(data)
        while len(view):
            place = self._place(len(view))
            place[:] = view[: len(place)]
            view = view[len(place) :]

    def copy(self, descriptor: int, offset: int, num_bytes: int) -> int:
        """Append bytes of another file, from `offset` on; returns how many, which are fewer only at its end."""
        copied = 0
        while copied < num_bytes:
            place = self._place(num_bytes - copied)
            found = os.preadv(descriptor, [place], offset + copied)
            copied += found
            if found < len(place):
                self._used -= len(place) - found
                self.num_bytes -= len(place) - found
                break
        return copied

    def close(self) -> None:
        """Nothing more is appended. What was is written while the caller goes on; `sha256` waits for it."""
        if self._end is None:
            self._hand_over()
            self._end = self._writing.submit(self._finish)
            for threads in (self._writing, self._digesting):
                threads.shutdown(wait=False)

    def sha256(self) -> str:
        """The digest of the whole file as hex, when all of it is on disk. Raises the OSError of any write."""
        self.close()
        for given in self._given:
            given.wait()
        if self._end is not None:
            self._end.result()
        return self._digest.hexdigest()

    def _place(self, num_bytes: int) -> memoryview:
        """Where the next bytes come: as many as there is room for, at most so many."""
        start = self._used
        if start == _BLOCK_BYTES:
            self._hand_over()
            self._block = self._given.popleft().wait() if len(self._given) == _MAX_BLOCKS else _new_block()
            start = 0
        self._used = min(start + num_bytes, _BLOCK_BYTES)
        self.num_bytes += self._used - start
        return self._block[start : self._used]

    def _hand_over(self) -> None:
        block = self._block[: self._used]
        work = (self._writing.submit(self._put, block), self._digesting.submit(self._digest.update, block))
        self._given.append(_GivenBlock(self._block, work))

    def _put(self, block: memoryview) -> None:
        while block:
            block = block[self._file.write(block) :]

    def _finish(self) -> None:
        with self._file:
            if self._is_synced:
                os.fsync(self._file.fileno())


def _new_block() -> memoryview:
    return memoryview(bytearray(_BLOCK_BYTES))
