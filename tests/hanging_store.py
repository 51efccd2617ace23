"""A store on this machine that takes requests and does not answer, or not to the end, or not soon."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shards.stores import client
from tests.object_server import ObjectServer

NUM_TRIES = 2
BUCKET = "a-bucket"
BODY = b"0123456789"
_DATE = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Hanging:
    """A server that reads each request and sends what it has for it: nothing, half an answer, or a whole one.

    With `drip_s` it rests so long after each byte.
    """

    answers: list[bytes] = field(default_factory=list)
    num_asked: int = 0
    drip_s: float | None = None
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        for one in (self._listening, *self._open):
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            self._open.append(connection)
            connection.recv(1 << 16)
            answer = self.answers[min(self.num_asked, len(self.answers) - 1)] if self.answers else b""
            self.num_asked += 1
            self._send(connection, answer)

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        if self.drip_s is None:
            connection.sendall(answer)
            return
        with suppress(OSError):  # nobody waits for it any more
            for byte in answer:
                connection.sendall(bytes([byte]))
                time.sleep(self.drip_s)


def answer(body: bytes, length: int | None = None) -> bytes:
    """An answer that says how long its body is, and has so much of it."""
    told = f'Content-Length: {len(body) if length is None else length}\r\nETag: "e"\r\nLast-Modified: {_DATE}'
    return f"HTTP/1.1 200 OK\r\n{told}\r\n\r\n".encode() + body


FORMS = {
    "says nothing": b"",
    "ends within its headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "ends within its body": answer(BODY[:3], len(BODY)),
}


@contextmanager
def hanging_store(scratch: Path) -> Iterator[Hanging]:
    """It is the store of this process, which waits a moment for an answer and asks twice."""
    server = Hanging()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ObjectServer(server.endpoint).environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_MAX_ATTEMPTS", str(NUM_TRIES))
        patch.setenv("CURATE_SCRATCH", os.fspath(scratch))
        patch.setattr(client, "_READ_TIMEOUT_S", 0.2)
        _forget_clients()
        yield server
        server.close()
    _forget_clients()


def _forget_clients() -> None:
    client.s3_client.cache_clear()
    client.usual_patience.cache_clear()
