"""Many hosts on loopback in one process: tiny images, some hosts that drip, and a log of every request's start and end.

    python infra/bench/host_server.py HOSTS.json LOG.npy      until stdin is closed

HOSTS.json: {"port": 18080, "latency_s": 0.005, "hosts": [...], "dripping": [...]}. It prints `ready` when it listens.
"""

import asyncio
import json
import struct
import sys
import time
import zlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

LOG_TYPE = np.dtype([("host", "i4"), ("is_image", "?"), ("start", "f8"), ("end", "f8")])
_DRIP_EVERY_S = 1.0
_BACKLOG = 512


@dataclass
class Log:
    """Requests as they end: (host's number, whether an image was asked for, start, end), in monotonic seconds."""

    rows: list[tuple[int, bool, float, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        np.save(path, np.array(self.rows, LOG_TYPE))


class Connection(asyncio.Protocol):
    """One connection to one host; requests come one after another."""

    def __init__(self, host: int, is_dripping: bool, latency_s: float, log: Log) -> None:
        self._host, self._is_dripping, self._latency_s, self._log = host, is_dripping, latency_s, log
        self._data = b""
        self._open: tuple[bool, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            is_image = b".png " in head.split(b"\r\n", 1)[0]
            self._open = (is_image, time.monotonic())
            if not is_image:
                self._answer(_NOT_FOUND)
            elif self._is_dripping:
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n")
                self._drip()
            else:
                asyncio.get_running_loop().call_later(self._latency_s, self._answer, _IMAGE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._note_end()

    def _answer(self, data: bytes) -> None:
        self._note_end()
        if not self._transport.is_closing():
            self._transport.write(data)

    def _drip(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"\x00")
            asyncio.get_running_loop().call_later(_DRIP_EVERY_S, self._drip)

    def _note_end(self) -> None:
        """Before the answer is sent: a client cannot begin its next request sooner than it has this one's answer."""
        if self._open is not None:
            is_image, start = self._open
            self._log.rows.append((self._host, is_image, start, time.monotonic()))
            self._open = None


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
    loop = asyncio.get_running_loop()
    dripping = set(setup["dripping"])

    for number, host in enumerate(setup["hosts"]):
        connection = partial(Connection, number, host in dripping, setup["latency_s"], log)
        await loop.create_server(connection, host, setup["port"], backlog=_BACKLOG)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    log = Log()
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_bytes()), log))
    log.save(Path(sys.argv[2]))


if __name__ == "__main__":
    main()
