"""The HTTP server: loopback alone, few connections, small requests, every answer with the same strict headers."""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pipelines.explore.gate import HEADERS, LOOPBACK, Gate, Refusal
from shards.errors import UsageError

MAX_TARGET_CHARS = 8192
MAX_BODY_BYTES = 64 << 10
_IDLE_S = 60
_MOST_CONNECTIONS = 64
_LONGEST_END_S = 15.0


@dataclass(frozen=True)
class Request:
    """A request that has passed the gate: its path behind the token, its query, and its JSON body if it is a POST."""

    method: str
    path: str
    query: str
    body: Any = None


@dataclass(frozen=True)
class Reply:
    """An answer. Where `location` is set, it leads there."""

    status: int
    content_type: str
    data: bytes
    location: str | None = None


Answer = Callable[[Request], Reply]


def json_reply(value: Any, status: int = 200) -> Reply:
    """JSON that a script reads; no browser takes it for a page."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    return Reply(status, "application/json; charset=utf-8", text.encode("utf-8", "replace"))


class ExploreServer(ThreadingHTTPServer):
    """Serves one `answer` behind one gate. Port 0 takes any that is free. Raises `UsageError` for one that is taken."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, port: int, gate: Gate, answer: Answer) -> None:
        self.gate = gate
        self.answer = answer
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"--port {port}: {error}; choose another, or 0 for any that is free") from None

    @property
    def origin(self) -> str:
        return f"http://{LOOPBACK}:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """The address with the token in it."""
        return f"{self.origin}/{self.gate.token}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._places.release()

    def server_close(self) -> None:
        """Hang up on browsers that keep their connections, so that no thread holds the index when the process ends."""
        super().server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        ends = time.monotonic() + _LONGEST_END_S
        for _ in range(_MOST_CONNECTIONS):
            self._places.acquire(timeout=max(0.0, ends - time.monotonic()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news; anything else shows its traceback."""
        import sys

        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def server_bind(self) -> None:
        """Without the look-up of this machine's name that the class above does, which may ask the network."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    server: ExploreServer
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        reply = self._reply(method)
        if reply.status >= 400 and method == "POST":
            self.close_connection = True  # what is left of its body is not read
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.data)))
        if reply.location is not None:
            self.send_header("Location", reply.location)
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(reply.data)

    def _reply(self, method: str) -> Reply:
        refusal = self.server.gate.refusal(self._headers()) or self._wrong_form(method)
        if refusal is not None:
            self.close_connection = True
            return _plain(refusal.status, refusal.sentence)
        target = urlsplit(self.path)
        if method == "GET" and self.server.gate.may_enter(target.path):
            return Reply(303, "text/plain; charset=utf-8", b"", f"/{self.server.gate.token}/")
        path = self.server.gate.path_within(target.path)
        if path is None:
            return _plain(403, "the address lacks the token; take the one that `curate explore` printed")
        try:
            body = json.loads(self._body()) if method == "POST" else None
        except (ValueError, RecursionError):
            return _plain(400, "expected JSON")
        return self.server.answer(Request("GET" if method == "HEAD" else method, path, target.query, body))

    def _headers(self) -> dict[str, list[str]]:
        return {name.lower(): self.headers.get_all(name, []) for name in self.headers}

    def _wrong_form(self, method: str) -> Refusal | None:
        """Requests that are too long, that smuggle a body, or that a plain HTML form could send."""
        if len(self.path) > MAX_TARGET_CHARS:
            return Refusal(414, f"an address has at most {MAX_TARGET_CHARS} characters")
        lengths = self.headers.get_all("Content-Length", [])
        if self.headers.get_all("Transfer-Encoding") or (method != "POST" and lengths not in ([], ["0"])):
            return Refusal(400, "no body is expected in this form")
        if method != "POST":
            return None
        if self.headers.get_content_type() != "application/json":
            return Refusal(415, "expected application/json")
        if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            return Refusal(411, "expected one Content-Length")
        return Refusal(413, f"at most {MAX_BODY_BYTES} bytes") if int(lengths[0][:9]) > MAX_BODY_BYTES else None

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        return "curate"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: paths hold the token."""


def _plain(status: int, sentence: str) -> Reply:
    return Reply(status, "text/plain; charset=utf-8", f"{sentence}\n".encode())
