"""Reading an answer's body within its bounds: bytes on the wire and decompressed, seconds, and the least rate."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from crawler.faults import FETCH_ERRORS
from crawler.inflate import Inflater
from crawler.settings import FetchSettings

DRAINED_BYTES = 16 * 1024
"""An error page up to this length is read, so that its connection can be used again."""

_FREE_BODY_BYTES = 2**20
_LARGE_BODIES = 8


@dataclass(frozen=True)
class Bound:
    """How much of a body is read, the headers that make the request conditional, and others that it carries."""

    max_bytes: int
    cut: bool
    conditions: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None


@dataclass(slots=True)
class Progress:
    """What is known of an answer so far: left behind where reading it fails."""

    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    received: int = 0
    is_large: bool = False


class TooLargeError(Exception):
    """A body beyond its bound."""


class BodyReader:
    """Reads bodies, of which only a few larger than 1 MiB are in memory at a time."""

    def __init__(self, limits: FetchSettings) -> None:
        self._limits = limits
        self._large_bodies = asyncio.Semaphore(_LARGE_BODIES)

    async def read(
        self, answer: aiohttp.ClientResponse, bound: Bound, deadline: asyncio.Timeout, progress: Progress
    ) -> bytes:
        """The body within bytes on the wire, bytes decompressed, the deadline and the least rate."""
        length = answer.content_length
        if length is not None and length > bound.max_bytes and not bound.cut:
            raise TooLargeError(f"content-length {length}")
        encodings = answer.headers.getall("Content-Encoding", ())
        inflater = Inflater(",".join(encodings), bound.max_bytes, bound.cut) if encodings else None
        pieces: list[bytes] = []
        held = 0
        rate = _RateLimit(self._limits, deadline)
        while piece := await answer.content.readany():
            progress.received += len(piece)
            rate.renew(progress.received)
            if progress.received > bound.max_bytes and not bound.cut:
                raise TooLargeError(f"more than {bound.max_bytes} bytes")
            pieces.append(piece if inflater is None else inflater.feed(piece))
            held += len(pieces[-1])
            if bound.cut and held >= bound.max_bytes:
                return b"".join(pieces)[: bound.max_bytes]
            if held > _FREE_BODY_BYTES and not progress.is_large:
                await self._large_bodies.acquire()
                progress.is_large = True
        if inflater is not None:
            inflater.finish()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def let_go(self, progress: Progress) -> None:
        """The body is read, or will not be: another large one may come."""
        if progress.is_large:
            self._large_bodies.release()
            progress.is_large = False


async def drain(answer: aiohttp.ClientResponse) -> None:
    """Reads a short error page so that the connection can be used again; a long one costs the connection."""
    if 0 < (answer.content_length or 0) <= DRAINED_BYTES:
        with contextlib.suppress(*FETCH_ERRORS):  # the status has said all that counts
            await answer.content.readexactly(answer.content_length or 0)


class _RateLimit:
    """Moves the deadline of a request to the moment at which its mean rate would fall below the least."""

    def __init__(self, limits: FetchSettings, deadline: asyncio.Timeout) -> None:
        self._limits = limits
        self._deadline = deadline
        self._started = asyncio.get_running_loop().time()
        self._last = deadline.when() or self._started
        self._is_settled = not limits.min_bytes_per_s
        self.renew(0)

    def renew(self, received: int) -> None:
        """Costs nothing once enough has come for the rate to hold until the last moment."""
        if self._is_settled:
            return
        patience = max(self._limits.rate_grace_s, received / self._limits.min_bytes_per_s)
        self._is_settled = self._started + patience >= self._last
        self._deadline.reschedule(min(self._last, self._started + patience))
