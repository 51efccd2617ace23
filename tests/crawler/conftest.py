"""A small misbehaving web server on loopback: raw sockets, so that HTTP can be broken byte for byte."""

import contextlib
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

Handler = Callable[["Request"], None]


@dataclass
class Request:
    """One request as it came; a handler answers it through `send`."""

    path: str
    headers: dict[str, str]
    connection: socket.socket
    started: float
    attempt: int

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def answer(self, body: bytes, status: str = "200 OK", headers: dict[str, str] | None = None) -> None:
        lines = {"Content-Length": str(len(body)), "Connection": "close"} | (headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


@dataclass
class Server:
    """Serves `pages` by path, and keeps a log of what was asked and when. Unknown paths are 404."""

    host: str = "127.0.0.1"
    pages: dict[str, Handler] = field(default_factory=dict)
    log: list[Request] = field(default_factory=list)
    num_contacts: int = 0
    tls: ssl.SSLContext | None = None
    at_port: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_server((self.host, self.at_port), backlog=256)
        self.port = self._socket.getsockname()[1]
        self._is_open = True
        self._lock = threading.Lock()
        self.in_flight = 0
        self.most_in_flight = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"

    def asked(self, path: str) -> int:
        return sum(request.path == path for request in self.log)

    def close(self) -> None:
        self._is_open = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, which else keeps the port open
        self._socket.close()

    def _accept(self) -> None:
        while self._is_open:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.num_contacts += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):
            if self.tls is None:
                self._answer(accepted)
                return
            with self.tls.wrap_socket(accepted, server_side=True) as connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = self._read(connection)
        if request is None:
            return
        with self._lock:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self.pages.get(request.path, not_found)(request)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _read(self, connection: socket.socket) -> Request | None:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return None
            received += piece
        first, *rest = received.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        path = first.split(" ")[1]
        request = Request(path, headers, connection, time.monotonic(), self.asked(path) + 1)
        self.log.append(request)
        return request


def not_found(request: Request) -> None:
    request.answer(b"no such page", "404 Not Found")


def serve(body: bytes, **headers: str) -> Handler:
    """A handler that answers 200 with these bytes; `content_type=` becomes Content-Type."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: request.answer(body, headers=named)


def raw(data: bytes) -> Handler:
    """A handler that sends exactly these bytes and closes."""
    return lambda request: request.send(data)


def picture(width: int = 64, height: int = 48, kind: str = "PNG", color: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """The bytes of a plain image."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


@pytest.fixture
def canary() -> Iterator[Server]:
    """A second server at another loopback address: no test that does not name it may ever reach it."""
    started = Server("127.0.0.9")
    yield started
    started.close()
