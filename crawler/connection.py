"""Connections that bound everything an answer may bring, and that never take one request's answer for another's."""

import asyncio
from contextlib import ExitStack
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

WIRE_LEEWAY_BYTES = 64 * 1024
"""What headers, interim answers, chunk sizes and trailers may take beside a body of `max_bytes`."""


class Departure(Protocol):
    """Who says when a request may go, and is told when it went."""

    async def due(self) -> None:
        """Waits until the request may be sent. It has a connection then."""
        ...

    def sent(self) -> None:
        """The request's bytes are with the kernel by now."""
        ...


departure: ContextVar[Departure | None] = ContextVar("departure", default=None)
"""Set by the task that asks, for its next request."""


class TooManyBytesError(aiohttp.ClientPayloadError):
    """An answer that goes on beyond its bound, in whatever its framing allows: chunk extensions, interim answers."""


class BrokenFramingError(aiohttp.ClientPayloadError):
    """An answer whose end two readers would see in two places."""


class LostConnectionError(aiohttp.ClientConnectionError):
    """A fresh connection that its server ended before an answer."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.errno = getattr(cause, "errno", None)
        self.strerror = getattr(cause, "strerror", None)


class FewIdleConnections(aiohttp.TCPConnector):
    """Keeps idle connections to at most `max_idle_origins`, those that were idle first go first.

    aiohttp's own limits count connections in use alone: with many hosts, what is idle soon outnumbers what is in use.
    """

    def __init__(self, max_idle_origins: int, **options: Any) -> None:
        super().__init__(**options)
        self._max_idle_origins = max_idle_origins

    async def connect(
        self, req: aiohttp.ClientRequest, traces: "list[Trace]", timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        """A connection to send on at once: names are resolved and hands are shaken before the request is due."""
        connection = await super().connect(req, traces, timeout)
        leaving = departure.get()
        if leaving is not None:
            with ExitStack() as unless_due:
                unless_due.callback(connection.release)
                await leaving.due()
                unless_due.pop_all()
        return connection

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if len(self._conns) > self._max_idle_origins:
            for idle, _ in self._conns.pop(next(iter(self._conns))):
                idle.close()


def bound_session(session: aiohttp.ClientSession, max_bytes: int) -> None:
    """Bounds each request of a session to `max_bytes` of body and WIRE_LEEWAY_BYTES; RuntimeError if it cannot."""
    make = partial(BoundedConnection, loop=asyncio.get_running_loop(), max_bytes=max_bytes)
    connector = session.connector
    if connector is None or not hasattr(connector, "_factory"):
        raise RuntimeError("this aiohttp makes its connections in another way: their bytes would not be bounded")
    connector._factory = make  # type: ignore[assignment]  # makes a subclass; aiohttp has no other door


class BoundedConnection(ResponseHandler):
    """aiohttp's side of one connection. It alone sees what the parser swallows."""

    def __init__(self, loop: asyncio.AbstractEventLoop, max_bytes: int) -> None:
        super().__init__(loop)
        self._max_bytes = max_bytes
        self._num_received = 0
        self._num_requests = 0

    def set_response_params(self, **params: Any) -> None:
        """Called as each request starts: its bytes go to the kernel before the loop has its next turn.

        Only then is it told: a busy machine may hold us up between here and there, and the next gap with it.
        """
        self._num_received = 0
        self._num_requests += 1
        leaving = departure.get()
        if leaving is not None:
            asyncio.get_running_loop().call_soon(leaving.sent)
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        self._num_received += len(data)
        if self._num_received <= self._max_bytes + WIRE_LEEWAY_BYTES:
            super().data_received(data)
        else:
            self._refuse(TooManyBytesError(f"more than {self._max_bytes} bytes"))

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called with each answer's head. llhttp lets `chunked, chunked` pass (RFC 9112, section 6.1, forbids it)."""
        codings = [value for name, value in data[0].raw_headers if name.lower() == b"transfer-encoding"]
        if codings and b"".join(codings).strip().lower() != b"chunked":
            shown = b", ".join(codings)[:80].decode("ascii", "replace")
            self._refuse(BrokenFramingError(f"transfer-encoding {shown!r}"))
        else:
            super().feed_data(data, size)

    def is_connected(self) -> bool:
        """Asked before an idle connection is used again: what it received meanwhile answers no request of ours."""
        return super().is_connected() and not self._buffer and not self._tail and self._exception is None

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """aiohttp sends a GET again, at once and unseen, where its connection ended before an answer.

        On a connection that is used again that is right: its server had closed it (RFC 9112, section 9.3.1). On a fresh
        one it would double the load on a host that fails, without a gap, so there the error gets another name.
        """
        is_fresh = self._num_requests <= 1
        if is_fresh and isinstance(exc, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
            exc = LostConnectionError(exc)
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        """aiohttp takes a body without a length for complete even where a reset ended it."""
        payload = self._payload
        if isinstance(exc, OSError) and payload is not None and not payload.is_eof():
            payload.set_exception(aiohttp.ClientPayloadError(f"ConnectionReset: {exc}"))
            self._payload = self._parser = None
        super().connection_lost(exc)

    def _refuse(self, error: aiohttp.ClientPayloadError) -> None:
        """Ends the connection with this error, and lets nothing that its end brings up replace it."""
        payload, self._payload, self._parser = self._payload, None, None
        self.set_exception(error)
        if payload is not None and not payload.is_eof():
            payload.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
