"""A file on a web server, read as any other: in ranges, and after a fault from the byte that was reached."""

import io
from typing import TYPE_CHECKING

from crawler.remote.range_client import Answer, PassingFault, RangeClient
from shards.errors import BadInputError, TryAgainError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 2**16
_SKIPPED_BYTES = 2**17
"""Gaps up to here are read over: another request would take longer."""

_LONGEST_WAIT_S = 60.0


class HttpFile(io.RawIOBase):
    """Bytes of a file, in order or by place. Nothing is kept: what is read twice is asked for twice.

    With `is_streamed` a request asks for all that follows (up to `stop`), else for what is read at once. Raises
    TryAgainError where the server stays away or changes the file meanwhile, and BadInputError where it has no such
    file, gives no ranges, or may not be contacted.
    """

    def __init__(
        self,
        client: RangeClient,
        url: str,
        *,
        is_streamed: bool = True,
        start: int = 0,
        stop: int | None = None,
    ) -> None:
        super().__init__()
        self._client = client
        self._url = url
        self._is_streamed = is_streamed
        self._place = start
        self._stop = stop
        self._answer: Answer | None = None
        self._total: int | None = None
        self._mark: str | None = None
        self._num_faults = 0
        self._waited_s = 0.0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def size(self) -> int:
        """Bytes of the whole file; asks for the first where nothing was read yet."""
        if self._total is None:
            place, self._place = self._place, 0
            self._some(1)
            self.seek(place)
        if self._total is None:
            raise BadInputError(f"{self._url}: its server does not say how long it is")
        return self._total

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place}
        place = offset + (base[whence] if whence in base else self.size())
        if self._answer is not None and place != self._place:
            if self._place < place <= self._place + _SKIPPED_BYTES and self._is_streamed:
                self.read(place - self._place)
            else:
                self._let_go()
        self._place = max(0, place)
        return self._place

    def read(self, size: int = -1, /) -> bytes:
        """Exactly `size` bytes, fewer only at the end of the file, or of the range; all that is left for -1."""
        pieces: list[bytes] = []
        left = size if size >= 0 else None
        while left is None or left > 0:
            piece = self._some(_CHUNK if left is None else left)
            if not piece:
                break
            pieces.append(piece)
            left = None if left is None else left - len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        room = memoryview(buffer).cast("B")
        data = self.read(len(room))
        room[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._let_go()
        super().close()

    def _some(self, size: int) -> bytes:
        """At least one byte, unless there is none, whatever faults pass meanwhile."""
        while not self._is_at_end():
            try:
                if self._answer is None:
                    self._answer = self._ask(size)
                data = self._answer.read(min(size, _CHUNK))
                self._judge_rate(self._answer)
            except PassingFault as fault:
                self._let_go()
                self._wait(fault)
                continue
            if data:
                self._place += len(data)
                self._num_faults, self._waited_s = 0, 0.0
                return data
            is_last = self._answer.num_read == 0 or self._answer.num_left is None
            self._let_go()
            if is_last:
                self._total = self._place if self._total is None else self._total
                return b""
        return b""

    def _is_at_end(self) -> bool:
        ends = [end for end in (self._stop, self._total) if end is not None]
        return bool(ends) and self._place >= min(ends)

    def _ask(self, size: int) -> Answer:
        stop = self._stop if self._is_streamed else self._place + size
        answer = self._client.ask(self._url, self._place, stop)
        if self._total is None:
            self._total, self._mark = answer.total, answer.mark
        elif answer.response is not None and (answer.total, answer.mark) != (self._total, self._mark):
            self._client.done(answer)
            raise TryAgainError(
                f"{self._url}: another file came in its place while it was read; expected one that stays as it is. Run "
                "again once nobody writes it: it is read anew, and parts that are done stay done"
            )
        return answer

    def _judge_rate(self, answer: Answer) -> None:
        """A body that drips is a fault, as for images."""
        fetch = self._client.reach.fetch
        if answer.waited_s > fetch.rate_grace_s and answer.num_read < fetch.min_bytes_per_s * answer.waited_s:
            raise PassingFault(f"slower than {fetch.min_bytes_per_s} bytes/s")

    def _let_go(self) -> None:
        if self._answer is not None:
            self._client.done(self._answer)
            self._answer = None

    def _wait(self, fault: PassingFault) -> None:
        """Waits before another attempt: twice as long each time without a byte, for `outage_patience_s` in all."""
        fetch = self._client.reach.fetch
        wait_s = min(_LONGEST_WAIT_S, fetch.backoff_s * 2 ** min(self._num_faults, 20))
        if fault.wait_s is not None:
            wait_s = max(wait_s, fault.wait_s)
        self._num_faults += 1
        is_asked_too_much = fault.wait_s is not None and fault.wait_s > fetch.max_retry_after_s
        is_worn = self._num_faults > fetch.retries and self._waited_s + wait_s >= fetch.outage_patience_s
        if is_asked_too_much or is_worn:
            raise TryAgainError(
                f"{self._url}: does not answer for now ({fault}, {self._num_faults} attempts at byte {self._place}). "
                "Run the same command again later: parts that are done stay done"
            ) from fault
        self._waited_s += wait_s
        self._client.sleep(wait_s)
