"""How tests serve what is explored and ask it, byte for byte."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pipelines.explore.command import Wishes, serving
from pipelines.explore.explored import open_explored
from pipelines.explore.gate import LOOPBACK
from pipelines.explore.http_server import ExploreServer
from tests.pipelines.made_release import Sample

HOSTILE = (
    "<script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title = 'taken'\">",
    "javascript:alert(1)",
    "\x1b[31m红色\x1b[0m",
    "猫\u202egnp.exe\u202c的照片",
    "零\u200b宽\u2066隔离\u2069",
    "一行\n两行\t三行",
    "' OR 1=1 --",
    '"><svg onload=alert(1)>',
    "{{where}} ${7*7}",
)


def hostile_samples() -> list[Sample]:
    """A sample for each hostile text, and one whose addresses are no addresses."""
    samples = [Sample(f"http://a.cn/{n}.jpg", [("alt", text)]) for n, text in enumerate(HOSTILE)]
    address = "javascript:document.title='taken'"
    return [*samples, Sample("http://a.cn/js.jpg", [("alt", "照片")], more={"url": address, "page_url": address})]


@dataclass(frozen=True)
class Answer:
    """A response: names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A server under test, and how to ask it."""

    server: ExploreServer

    @property
    def host(self) -> str:
        return self.server.origin.removeprefix("http://")

    @property
    def root(self) -> str:
        return f"/{self.server.gate.token}"

    def get(self, path: str, words: Mapping[str, Any] | None = None) -> Answer:
        """GET below the token's path."""
        target = f"{self.root}{path}" + (f"?{urlencode(words)}" if words else "")
        return self.raw(f"GET {target} HTTP/1.1", {"Host": self.host})

    def post(self, path: str, body: Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        usual = {"Host": self.host, "Content-Type": "application/json", "Content-Length": str(len(data))}
        return self.raw(f"POST {self.root}{path} HTTP/1.1", usual, data)

    def raw(self, line: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return self.exchange(f"{line}\r\n{head}Connection: close\r\n\r\n".encode() + body)

    def exchange(self, request: bytes) -> Answer:
        """Whatever comes back for these bytes."""
        with socket.create_connection((LOOPBACK, self.server.server_port), timeout=30) as connection:
            connection.sendall(request)
            data = b""
            while chunk := connection.recv(1 << 16):
                data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        pairs = (one.partition(": ") for one in lines)
        return Answer(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


@contextmanager
def served(folder: Path, wishes: Wishes | None = None) -> Iterator[Served]:
    """Serve a run or a release from this process."""
    with serving(open_explored(folder), wishes or Wishes()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Served(server)
        finally:
            server.shutdown()
            thread.join()
