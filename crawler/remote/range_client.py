"""Asks web servers for ranges of files: politely, over connections that are used again, redirects followed by hand."""

import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from crawler.guard import is_blocked
from crawler.remote.connection import GuardedConnection, Origin
from crawler.remote.reach import Reach
from crawler.urls import canonical_url, resolve
from shards.closing import Closing
from shards.errors import BadInputError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEALING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*\Z", re.IGNORECASE)
_FAULTS = (OSError, http.client.HTTPException)


class PassingFault(Exception):
    """A request that came to nothing for a reason that may pass. `wait_s` is what the server asked for."""

    def __init__(self, detail: str, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.wait_s = wait_s


class MissingFileError(BadInputError):
    """A file that its server does not have."""


@dataclass
class Answer:
    """The bytes of a file from `start` on, as far as they were asked for. `total` and `mark` tell of the whole file."""

    connection: GuardedConnection
    response: http.client.HTTPResponse | None
    start: int
    num_left: int | None
    """None where the server does not say how long the file is: then it ends where the answer ends."""
    total: int | None
    mark: str | None
    """The validator of this state of the file: its ETag, else when it was changed last."""
    num_read: int = 0
    waited_s: float = 0.0
    """Seconds in which bytes were waited for; others, in which nobody read, do not count against the server."""

    def read(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end. Raises PassingFault where the answer breaks off."""
        if self.response is None or self.num_left == 0:
            return b""
        started = time.monotonic()
        try:
            data = self.response.read1(size if self.num_left is None else min(size, self.num_left))
        except _FAULTS as error:
            raise PassingFault(_told(error)) from error
        self.waited_s += time.monotonic() - started
        if not data and self.num_left:
            raise PassingFault("the connection ended within the answer")
        self.num_read += len(data)
        if self.num_left is not None:
            self.num_left -= len(data)
        return data

    def close(self) -> bool:
        """Whether all of the answer was read, so that its connection may be used again."""
        if self.response is not None:
            is_whole = self.num_left == 0 or self.response.isclosed()
            self.response.close()
            return is_whole
        return False


class RangeClient(Closing):
    """Requests for ranges, one after the other. Raises BadInputError for what no further attempt would mend."""

    def __init__(self, reach: Reach, sleep: Callable[[float], None] = time.sleep) -> None:
        self.reach = reach
        self.sleep = sleep
        self._idle: dict[Origin, GuardedConnection] = {}
        self._open: dict[int, Answer] = {}
        self._starts: dict[str, float] = {}

    def ask(self, url: str, start: int, stop: int | None) -> Answer:
        """The bytes `start` to `stop` (exclusive; None: all that follow) of a file. Raises PassingFault too."""
        current = canonical_url(url)
        for _ in range(self.reach.fetch.max_redirects + 1):
            if current is None:
                raise BadInputError(f"{url}: leads to what is no http(s) address")
            response, connection = self._request(url, current, start, stop)
            if response.status not in _REDIRECTS:
                answer = self._answer(url, response, connection, start)
                self._open[id(answer)] = answer
                return answer
            _drop(response, connection)
            current = resolve(current, response.headers.get("Location", ""))
        raise BadInputError(f"{url}: more than {self.reach.fetch.max_redirects} redirects")

    def done(self, answer: Answer) -> None:
        """Keeps the connection of an answer that was read to its end, closes any other."""
        self._open.pop(id(answer), None)
        if answer.close() and answer.connection.sock is not None:
            before = self._idle.pop(answer.connection.origin, None)
            if before is not None:
                before.close()
            self._idle[answer.connection.origin] = answer.connection
        else:
            answer.connection.close()

    def close(self) -> None:
        """Ends all connections; files that are still open ask anew."""
        for answer in list(self._open.values()):
            self.done(answer)
        while self._idle:
            self._idle.popitem()[1].close()

    def _request(
        self, url: str, current: str, start: int, stop: int | None
    ) -> tuple[http.client.HTTPResponse, GuardedConnection]:
        parts = urlsplit(current)
        scheme, host = parts.scheme, parts.hostname or ""
        origin = (scheme, f"[{host}]" if ":" in host else host, parts.port or (443 if scheme == "https" else 80))
        connection = self._idle.pop(origin, None)
        if connection is not None:
            try:  # a server may have closed it meanwhile: that is no fault of anybody's
                return self._send(connection, parts.path, parts.query, start, stop), connection
            except _FAULTS:
                connection.close()
        connection = GuardedConnection(origin, self.reach)
        try:
            return self._send(connection, parts.path, parts.query, start, stop), connection
        except _FAULTS as error:
            connection.close()
            raise _refused_or_passing(url, error) from error

    def _send(
        self, connection: GuardedConnection, path: str, query: str, start: int, stop: int | None
    ) -> http.client.HTTPResponse:
        self._wait_for_turn(connection.host)
        connection.putrequest("GET", (path or "/") + (f"?{query}" if query else ""), skip_accept_encoding=True)
        connection.putheader("Accept-Encoding", "identity")
        connection.putheader("Range", f"bytes={start}-{'' if stop is None else stop - 1}")
        if self.reach.crawler.user_agent:
            connection.putheader("User-Agent", self.reach.crawler.user_agent)
        connection.endheaders()
        return connection.getresponse()

    def _wait_for_turn(self, host: str) -> None:
        before = self._starts.get(host)
        if before is not None and (wait_s := before + self.reach.gap_s(host) - time.monotonic()) > 0:
            self.sleep(wait_s)
        self._starts[host] = time.monotonic()

    def _answer(
        self, url: str, response: http.client.HTTPResponse, connection: GuardedConnection, start: int
    ) -> Answer:
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified")
        first, last, total = _content_range(response)
        if response.status == 206 and first == start and last is not None:
            return Answer(connection, response, start, last + 1 - start, total, mark)
        if response.status == 200 and start == 0:
            length = response.length
            return Answer(connection, response, 0, length, length, mark)
        _drop(response, connection)
        if response.status == 416:
            return Answer(connection, None, start, 0, total, None)
        if response.status in _HEALING:
            raise PassingFault(f"status {response.status}", _retry_after_s(response))
        if response.status in (404, 410):
            raise MissingFileError(f"{url}: is not there (status {response.status})")
        if response.status in (200, 206):
            raise BadInputError(f"{url}: its server does not give ranges of files; fetch the file, and name its path")
        raise BadInputError(f"{url}: its server refuses it (status {response.status})")


def _drop(response: http.client.HTTPResponse, connection: GuardedConnection) -> None:
    """Closes both: where a server wants to close, the response alone holds the socket."""
    response.close()
    connection.close()


def _content_range(response: http.client.HTTPResponse) -> tuple[int | None, int | None, int | None]:
    """First and last byte, and bytes of the whole file, as far as they are told (RFC 9110, section 14.4)."""
    told = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if told is None:
        return None, None, None
    first, last, total = (int(digits) if digits and digits != "*" else None for digits in told.groups())
    if first is not None and last is not None and last < first:
        return None, None, total
    return first, last, total


def _retry_after_s(response: http.client.HTTPResponse) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    return float(value[:9]) if value.isascii() and value.isdigit() else None


def _refused_or_passing(url: str, error: Exception) -> Exception:
    """What a failed request is: a fault that stays, as a BadInputError, or one that may pass."""
    from crawler.resolver import is_transient

    if is_blocked(error):
        return BadInputError(
            f"{url}: {getattr(error, 'strerror', error)}: its address is private, or its port closed; "
            "`network.allow_private` or `network.allowed_ports` can open it"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return BadInputError(f"{url}: its certificate is not trusted ({error.verify_message})")
    if isinstance(error, socket.gaierror) and not is_transient(error):
        return BadInputError(f"{url}: its host has no address ({error.strerror})")
    return PassingFault(_told(error))


def _told(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
