"""Many hosts on loopback in one process: tiny images, some hosts that drip, and a log of every request's start and end.

    python infra/bench/host_server.py HOSTS.json LOG.npy      until stdin is closed

HOSTS.json: {"port": 18080, "latency_s": 0.005, "hosts": [...], "dripping": [...]}. It prints `ready` when it listens.
A start is the moment at which the kernel received the request's bytes, however late this process came to read them:
`seen` says when it did. That a client has hung up is known by this process's reading alone, so ends go with `seen`.
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LOG_TYPE = np.dtype([("host", "i4"), ("is_image", "?"), ("start", "f8"), ("seen", "f8"), ("end", "f8")])
_DRIP_EVERY_S = 1.0
_BACKLOG = 512
_READ_BYTES = 2**16
_SO_TIMESTAMPNS = 35  # of Linux, which Python does not name
_MOMENT = struct.Struct("@ll")  # struct timespec


@dataclass
class Log:
    """Requests as they end: (host's number, whether an image was asked for, start, seen, end), in monotonic seconds."""

    rows: list[tuple[int, bool, float, float, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        np.save(path, np.array(self.rows, LOG_TYPE))


class Listener:
    """One host: takes in its connections."""

    def __init__(self, host: int, address: tuple[str, int], is_dripping: bool, latency_s: float, log: Log) -> None:
        self.host, self.is_dripping, self.latency_s, self.log = host, is_dripping, latency_s, log
        self._socket = socket.create_server(address, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)  # its connections inherit it
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connected, _ = self._socket.accept()
                connected.setblocking(False)
                Connection(self, connected)


class Connection:
    """One connection to one host; requests come one after another."""

    def __init__(self, listener: Listener, connected: socket.socket) -> None:
        self._listener, self._socket = listener, connected
        self._data = b""
        self._open: tuple[bool, float, float] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connected, self._read)

    def _read(self) -> None:
        try:
            data, extra, _, _ = self._socket.recvmsg(_READ_BYTES, socket.CMSG_SPACE(_MOMENT.size))
        except ConnectionError:
            data, extra = b"", []
        if not data:
            self._close()
            return
        arrived = _arrival(extra)
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            self._asked(b".png " in head.split(b"\r\n", 1)[0], arrived)

    def _asked(self, is_image: bool, arrived: float) -> None:
        self._open = (is_image, arrived, time.monotonic())
        if not is_image:
            self._answer(_NOT_FOUND)
        elif self._listener.is_dripping:
            self._send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n")
            self._drip()
        else:
            self._loop.call_later(self._listener.latency_s, self._answer, _IMAGE)

    def _answer(self, data: bytes) -> None:
        self._note_end()
        self._send(data)

    def _drip(self) -> None:
        if self._open is not None:
            self._send(b"\x00")
            self._loop.call_later(_DRIP_EVERY_S, self._drip)

    def _send(self, data: bytes) -> None:
        """An answer of a few hundred bytes finds room in the socket."""
        with contextlib.suppress(OSError):  # its client may be gone, and then the next read says so
            self._socket.send(data)

    def _close(self) -> None:
        self._note_end()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _note_end(self) -> None:
        """Before the answer is sent: a client cannot begin its next request sooner than it has this one's answer."""
        if self._open is not None:
            self._listener.log.rows.append((self._listener.host, *self._open, time.monotonic()))
            self._open = None


def _arrival(extra: list[tuple[int, int, bytes]]) -> float:
    """When the bytes came, in monotonic seconds, by the kernel's stamp; where there is none, now."""
    for level, kind, moment in extra:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _MOMENT.unpack(moment)
            late_s: float = time.time() - seconds - nanoseconds / 1e9
            return time.monotonic() - late_s
    return time.monotonic()


def tiny_png(width: int = 16, height: int = 16) -> bytes:
    """A grey square: what is fetched hardly matters here."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\x00" + bytes([90, 120, 150]) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _response(status: str, body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


_IMAGE = _response("200 OK", tiny_png(), "image/png")
_NOT_FOUND = _response("404 Not Found", b"none", "text/plain")


async def serve(setup: dict[str, Any], log: Log) -> None:
    """Listen on every host's address until stdin is closed."""
    dripping = set(setup["dripping"])
    for number, host in enumerate(setup["hosts"]):
        Listener(number, (host, setup["port"]), host in dripping, setup["latency_s"], log)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    log = Log()
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_bytes()), log))
    log.save(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
