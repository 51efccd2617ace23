"""What went wrong with one request, as a word of the closed list and a detail: the one place that reads exceptions."""

import asyncio
import socket
import ssl
from dataclasses import dataclass

import aiohttp

from crawler.connection import BrokenFramingError, TooManyBytesError
from crawler.guard import is_blocked
from crawler.inflate import BrokenEncodingError, DecompressBombError, UnknownEncodingError
from crawler.resolver import is_transient

FETCH_ERRORS = (
    aiohttp.ClientError,
    OSError,  # TimeoutError and ssl.SSLError are among them
    asyncio.IncompleteReadError,
    BrokenEncodingError,
    DecompressBombError,
    UnknownEncodingError,
)
"""What a request may raise for a reason that lies with the web."""


@dataclass(frozen=True)
class Fault:
    """Why a request came to nothing. `may_heal`: another attempt is worth it. `no_contact`: nothing answered."""

    reason: str
    detail: str | None = None
    may_heal: bool = False
    no_contact: bool = False


def fault_of(error: BaseException, in_body: bool) -> Fault:
    """Reads one of FETCH_ERRORS, raised before (`in_body` False) or after the response's headers came."""
    if isinstance(error, DecompressBombError):
        return Fault("decompress_bomb", str(error))
    if isinstance(error, UnknownEncodingError):
        return Fault("protocol_error", str(error))
    if isinstance(error, BrokenEncodingError):
        return Fault("incomplete_body", str(error), may_heal=True)
    if isinstance(error, TooManyBytesError):
        return Fault("too_large", str(error))
    if isinstance(error, BrokenFramingError):
        return Fault("protocol_error", str(error))
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Fault("timeout", "connect", may_heal=True, no_contact=True)
    if isinstance(error, TimeoutError):
        return Fault("timeout", "body" if in_body else "headers")
    if in_body:
        return _body_fault(error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connect_fault(error, error.os_error)
    return _request_fault(error)


def _connect_fault(error: aiohttp.ClientConnectorError, cause: OSError) -> Fault:
    if is_blocked(cause):
        return Fault("blocked_address", cause.strerror)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        transient = is_transient(cause)
        return Fault("dns_error", cause.strerror or str(cause), may_heal=transient, no_contact=transient)
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return Fault("tls_error", _tls_detail(cause))
    return Fault("connect_error", _errno_detail(cause), may_heal=True, no_contact=True)


def _request_fault(error: BaseException) -> Fault:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Fault("tls_error", _tls_detail(error.certificate_error))
    if isinstance(error, ssl.SSLError):
        return Fault("tls_error", _tls_detail(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return Fault("protocol_error", (error.message or "bad response").splitlines()[0][:200])
    if isinstance(error, aiohttp.InvalidURL):
        return Fault("bad_url", (error.description or "not a URL that can be requested")[:200])
    if isinstance(error, OSError | aiohttp.ClientConnectionError):
        return Fault("connect_error", _errno_detail(error), may_heal=True, no_contact=True)
    return Fault("protocol_error", str(error)[:200])


def _body_fault(error: BaseException) -> Fault:
    """A body that stopped is worth another attempt; one that is framed wrongly is not."""
    text = f"{error} {error.__cause__!r}"
    if isinstance(error, aiohttp.ClientPayloadError) and not _is_short(text):
        return Fault("protocol_error", _first_line(str(error.__cause__ or error)))
    return Fault("incomplete_body", "the connection ended within the body", may_heal=True)


def _is_short(text: str) -> bool:
    """aiohttp tells a body that ended early from a broken one in its messages alone."""
    return "Not enough data" in text or "ConnectionReset" in text or "Connection lost" in text


def _tls_detail(error: BaseException) -> str:
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    return str(reason or _first_line(str(error)))[:200]


def _errno_detail(error: BaseException) -> str:
    errno = getattr(error, "errno", None)
    if isinstance(errno, int) and not isinstance(error, socket.gaierror):
        return _first_line(getattr(error, "strerror", None) or str(error))
    return "disconnected before a response"


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]
