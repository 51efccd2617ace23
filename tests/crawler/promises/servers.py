"""Hostile servers on loopback, byte by byte: HTTP over raw sockets with every byte counted, and DNS with any answer."""

import contextlib
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crawler.download import download_images
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from crawler.url_columns import canonical_urls
from shards.image_settings import ImageSettings
from shards.schema import FETCHED, REASONS, uid_of

AGENT = "testbot/1.0 (+https://example.org/bot)"
Row = dict[str, object]
Handler = Callable[["Exchange"], None]

_PATIENCE_S = 12.0  # after which a server's thread lets go of a client that neither reads nor closes
_HEAD_BYTES = 12
_DNS_HOST = "127.53.0.1"
_addresses = count(1)


@dataclass
class Exchange:
    """One request as its bytes came; a handler answers it with bytes of its own."""

    site: "Site"
    raw: bytes
    connection: socket.socket
    started: float
    attempt: int

    @property
    def path(self) -> str:
        return self.raw.split(b" ")[1].decode("latin-1")

    @property
    def headers(self) -> dict[str, str]:
        lines = self.raw.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}

    def send(self, data: bytes) -> None:
        """Sends all of it, and counts what the client's system took."""
        view = memoryview(data)
        while view:
            taken = self.connection.send(view)
            self.site.num_sent += taken
            view = view[taken:]

    def answer(self, body: bytes, status: str = "200 OK", *lines: str) -> None:
        """A sound answer, and header lines as they are."""
        head = "".join(f"{line}\r\n" for line in (f"Content-Length: {len(body)}", "Connection: close", *lines))
        self.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        """Ends the connection with an RST instead of a FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


@dataclass
class Site:
    """One address that answers `pages` by path, else 404; `at_connect` replaces HTTP as a whole."""

    pages: dict[str, Handler] = field(default_factory=dict)
    host: str = ""
    port: int = 0
    tls: ssl.SSLContext | None = None
    at_connect: Callable[[socket.socket], None] | None = None
    send_buffer: int | None = None
    log: list[Exchange] = field(default_factory=list)
    num_contacts: int = 0
    num_sent: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self.host = self.host or next_address()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = socket.create_server((self.host, self.port), family=family, backlog=64)
        if self.send_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
        self.port = self._socket.getsockname()[1]
        self._is_open = True
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path: str = "/x") -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.address}{path}"

    def asked(self, path: str) -> int:
        return sum(exchange.path == path for exchange in self.log)

    def starts(self) -> list[float]:
        return sorted(exchange.started for exchange in self.log)

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
            accepted.settimeout(_PATIENCE_S)
            if self.at_connect is not None:
                self.at_connect(accepted)
            elif self.tls is None:
                self._converse(accepted)
            else:
                with self.tls.wrap_socket(accepted, server_side=True) as connection:
                    self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            piece = connection.recv(65536)
            if not piece:
                return
            raw += piece
        exchange = Exchange(self, raw, connection, time.monotonic(), 0)
        exchange.attempt = self.asked(exchange.path) + 1
        with self._lock:
            self.log.append(exchange)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            self.pages.get(exchange.path.partition("?")[0], missing)(exchange)
        finally:
            with self._lock:
                self.in_flight -= 1


def next_address() -> str:
    """A loopback address that no other site of this session has."""
    number = next(_addresses)
    return f"127.42.{number // 250}.{number % 250 + 1}"


def missing(exchange: Exchange) -> None:
    exchange.answer(b"no such page", "404 Not Found")


def fixed(body: bytes, *lines: str, status: str = "200 OK") -> Handler:
    return lambda exchange: exchange.answer(body, status, *lines)


def moved(location: str | None, status: str = "302 Found") -> Handler:
    lines = [] if location is None else [f"Location: {location}"]
    return fixed(b"", *lines, status=status)


def raw(*pieces: bytes, pause_s: float = 0.0) -> Handler:
    """Sends exactly these bytes, with a pause between the pieces, and closes."""

    def handler(exchange: Exchange) -> None:
        for piece in pieces:
            exchange.send(piece)
            time.sleep(pause_s)

    return handler


def forever(head: bytes, piece: bytes, pause_s: float = 0.0) -> Handler:
    """Sends the head once and the piece for ever."""

    def handler(exchange: Exchange) -> None:
        exchange.send(head)
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            exchange.send(piece)
            time.sleep(pause_s)

    return handler


def silent(exchange: Exchange) -> None:
    """Neither answers nor closes."""
    with contextlib.suppress(TimeoutError):
        exchange.connection.recv(1)


PATIENT: dict[str, object] = {"total_timeout_s": 60, "connect_timeout_s": 30, "rate_grace_s": 30}
"""Limits for servers that do answer: however busy the machine is, what they say decides, and no clock."""


def download(
    folder: Path,
    urls: list[str],
    sites: list[Site],
    *,
    crawler: dict[str, object] | None = None,
    fetch: dict[str, object] | None = None,
    image: dict[str, object] | None = None,
    network: dict[str, object] | None = None,
    more: dict[str, list[str | None]] | None = None,
    **options: object,
) -> dict[str, Row]:
    """One part's download: rows by the URL as given. `sites` are the only private addresses that are allowed."""
    crawler = {"user_agent": AGENT, "per_host": {"concurrency": 4, "delay_s": 0.0}} | (crawler or {})
    limits: dict[str, object] = {"retries": 0, "backoff_s": 0.02, "total_timeout_s": 5, "connect_timeout_s": 4}
    limits |= {"rate_grace_s": 0.5, "max_in_flight": 24} | (fetch or {})
    network = {"allow_private": [site.address for site in sites]} | (network or {})
    table = download_images(
        _samples(urls, more or {}),
        CrawlerSettings.model_validate(crawler),
        FetchSettings.model_validate(limits),
        NetworkSettings.model_validate(network),
        ImageSettings.model_validate(image or {}),
        tar_path=folder / "part.tar",
        spool_path=folder / "part.spool",
        **options,  # type: ignore[arg-type]  # keywords of download_images, as each test gives them
    )
    assert table.schema == FETCHED
    rows = {row["uid"]: row for row in table.to_pylist()}
    assert all(row["drop_reason"] in (None, *REASONS) for row in rows.values())
    return {url: rows[uid] for url, uid in _uids(urls)}


def _samples(urls: list[str], more: dict[str, list[str | None]]) -> pa.Table:
    canonical = canonical_urls(pa.array(urls))
    columns = {name: canonical[name] for name in ("canonical_url", "host")}
    return pa.table({"uid": [uid for _, uid in _uids(urls)]} | columns | more)


def _uids(urls: list[str]) -> list[tuple[str, str]]:
    canonical = canonical_urls(pa.array(urls))["canonical_url"].to_pylist()
    return [(url, uid_of(found or url)) for url, found in zip(urls, canonical, strict=True)]


@dataclass(frozen=True)
class Case:
    """One misbehaviour of one server, and what the image's row must say. `name` starts with the promise."""

    name: str
    handler: Handler
    reason: str | None
    detail: str = ""


def run_cases(folder: Path, cases: list[Case], **settings: dict[str, object]) -> dict[str, tuple[Row, Site]]:
    """Downloads `/x` of one site a case, all at once: no host's fault may touch another's image."""
    sites = [Site({"/x": case.handler}) for case in cases]
    try:
        rows = download(folder, [site.url() for site in sites], sites, **settings)  # type: ignore[arg-type]  # sections of a recipe
    finally:
        for site in sites:
            site.close()
    return {case.name: (rows[site.url()], site) for case, site in zip(cases, sites, strict=True)}


def check(case: Case, row: Row) -> None:
    assert row["drop_reason"] == case.reason, row
    assert case.detail in str(row["detail"] or ""), row
    assert (row["sha256"] is None) == (row["tar_offset"] is None) == (case.reason is not None), row


@dataclass
class DnsServer:
    """Answers over UDP and TCP what `reply` makes of a question: whole messages, or None for silence."""

    reply: Callable[["Question"], bytes | None]
    questions: list["Question"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tcp = socket.create_server((_DNS_HOST, 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((_DNS_HOST, self.port))  # at an address of its own: nobody else binds there
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{_DNS_HOST}:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        self._udp.close()

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                query, client = self._udp.recvfrom(4096)
                if len(query) < _HEAD_BYTES:  # what wakes us as the socket is closed, or strays in
                    continue
                answer = self._answer(query, over_tcp=False)
                if answer is not None:
                    self._udp.sendto(answer, client)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(2)
                    answer = self._answer(connection.recv(4096)[2:], over_tcp=True)
                    if answer is not None:
                        connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _answer(self, query: bytes, over_tcp: bool) -> bytes | None:
        question = Question(query, over_tcp)
        self.questions.append(question)
        return self.reply(question)


@dataclass(frozen=True)
class Question:
    query: bytes
    over_tcp: bool = False

    @property
    def name(self) -> str:
        labels, offset = [], _HEAD_BYTES
        while length := self.query[offset]:
            labels.append(self.query[offset + 1 : offset + 1 + length].decode())
            offset += 1 + length
        return ".".join(labels)

    @property
    def kind(self) -> int:
        return int(struct.unpack(">H", self.query[-4:-2])[0])

    def addresses(self, *found: str, code: int = 0, flags: int = 0x8180) -> bytes:
        """An answer with those of the addresses that are of the kind asked for."""
        family, length = (socket.AF_INET, 4) if self.kind == 1 else (socket.AF_INET6, 16)
        fitting = [address for address in found if (":" in address) == (length == 16)]
        records = [self._record(self.kind, socket.inet_pton(family, address)) for address in fitting]
        return self.message(records, flags | code)

    def alias(self, target: str) -> bytes:
        return self.message([self._record(5, _labels(target))], 0x8180)

    def message(self, records: list[bytes], flags: int) -> bytes:
        head = self.query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
        return head + self.query[12:] + b"".join(records)

    def _record(self, kind: int, data: bytes) -> bytes:
        return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data


def _labels(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


@contextlib.contextmanager
def dns(reply: Callable[[Question], bytes | None]) -> Iterator[DnsServer]:
    server = DnsServer(reply)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def sites(*made: Site) -> Iterator[list[Site]]:
    try:
        yield list(made)
    finally:
        for site in made:
            site.close()


def make_certificate(path: Path, address: str, is_expired: bool = False) -> Path:
    """A key and a self-signed certificate for an address, in one file; the certificate alone beside it as `.crt`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "promises")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=-1 if is_expired else 1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = made.public_bytes(serialization.Encoding.PEM)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + certificate)
    Path(f"{path}.crt").write_bytes(certificate)
    return path


def tls_server(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
