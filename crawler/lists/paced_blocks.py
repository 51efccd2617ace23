"""A stream read no further ahead than its rows are taken: Arrow's CSV reader would read 32 blocks ahead by itself."""

import io
import threading

import pyarrow as pa

MOST_AHEAD = 3
"""Blocks that may have been read and not yet given as a batch; the reader needs two to give one."""

_PATIENCE_S = 1.0


class PacedBlocks(io.RawIOBase):
    """Hands blocks to a reader in another thread; `took` says that one of its batches was taken.

    A block that holds no row gives no batch: a read that has waited for too long goes on, and forgets that block.
    """

    def __init__(self, stream: pa.NativeFile) -> None:
        super().__init__()
        self._stream = stream
        self._taken = threading.Condition()
        self._num_ahead = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        with self._taken:
            if not self._taken.wait_for(lambda: self._num_ahead < MOST_AHEAD, _PATIENCE_S):
                self._num_ahead -= 1
            self._num_ahead += 1
        data: bytes = self._stream.read(size)
        return data

    def took(self) -> None:
        """A batch was taken, or no more will be."""
        with self._taken:
            self._num_ahead -= 1
            self._taken.notify()

    def close(self) -> None:
        self._stream.close()
        super().close()
