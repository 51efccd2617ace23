"""Name resolution with a bounded memory of failures: the system's, or named DNS servers."""

import asyncio
import ipaddress
import secrets
import socket
import struct
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from crawler.settings import parse_server

_NEGATIVE_SECONDS = 60.0
_MAX_NEGATIVE = 10_000
_MAX_CNAMES = 8
_MAX_ADDRESSES = 16
_EXCHANGE_SECONDS = 1.5
_TYPE_A, _TYPE_CNAME, _TYPE_AAAA = 1, 5, 28
_RESOLVER_THREADS = 32


class RememberingResolver(AbstractResolver):
    """Asks another resolver, and for a minute remembers names that do not exist. Transient failures are not kept.

    Of a name's addresses the first 16 count: a name with a thousand would make as many connects.
    """

    def __init__(self, servers: list[str]) -> None:
        self._inner = _ServerResolver(servers) if servers else _SystemResolver()
        self._missing: OrderedDict[str, float] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self._missing.get(host, 0.0) > time.monotonic():
            raise socket.gaierror(socket.EAI_NONAME, "no such name (remembered)")
        try:
            return (await self._inner.resolve(host, port, family))[:_MAX_ADDRESSES]
        except socket.gaierror as error:
            if not is_transient(error):
                self._remember(host)
            raise

    async def close(self) -> None:
        await self._inner.close()

    def _remember(self, host: str) -> None:
        self._missing[host] = time.monotonic() + _NEGATIVE_SECONDS
        self._missing.move_to_end(host)
        if len(self._missing) > _MAX_NEGATIVE:
            self._missing.popitem(last=False)


def is_transient(error: BaseException) -> bool:
    """Whether a name may resolve when it is asked again: the server did not answer, or said so."""
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN


class _SystemResolver(AbstractResolver):
    """getaddrinfo in threads of its own, so that slow names do not hold up other work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, "resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        try:
            infos = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        except UnicodeError:  # a label that is too long for the idna codec
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
        return [_result(host, str(info[4][0]), port) for info in infos]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(
    host: str, port: int, family: int
) -> list[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]]:
    return [*socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)]


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


class _ServerResolver(AbstractResolver):
    """A stub resolver (RFC 1035) for the servers a recipe names: over UDP, and over TCP what does not fit there."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = [parse_server(server) for server in servers]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        kinds = {socket.AF_INET: (_TYPE_A,), socket.AF_INET6: (_TYPE_AAAA,)}.get(family, (_TYPE_A, _TYPE_AAAA))
        found = await asyncio.gather(*(self._addresses(host, kind) for kind in kinds), return_exceptions=True)
        addresses = [address for answer in found if isinstance(answer, list) for address in answer]
        faults = [answer for answer in found if isinstance(answer, BaseException)]
        if not addresses:  # some servers fail for the kind that a name has not: the other kind's answer counts
            raise next(
                filter(is_transient, faults), next(iter(faults), socket.gaierror(socket.EAI_NONAME, "no such name"))
            )
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        return

    async def _addresses(self, host: str, kind: int) -> list[str]:
        name = host
        if any(not 0 < len(label) < 64 for label in host.rstrip(".").split(".")) or len(host) > 254:
            raise socket.gaierror(socket.EAI_NONAME, "not a host name")
        for _ in range(_MAX_CNAMES):
            addresses, alias = await self._ask(name, kind)
            if addresses or alias is None:
                return addresses
            name = alias
        raise socket.gaierror(socket.EAI_FAIL, "a chain of aliases without end")

    async def _ask(self, name: str, kind: int) -> tuple[list[str], str | None]:
        for server in self._servers * 2:
            try:
                return await asyncio.wait_for(_exchange(server, name, kind), _EXCHANGE_SECONDS)
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                continue
        raise socket.gaierror(socket.EAI_AGAIN, "no DNS server answered")


class _OneAnswer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answers.full():
            self.answers.put_nowait(data)


async def _exchange(server: tuple[str, int], name: str, kind: int) -> tuple[list[str], str | None]:
    labels = name.rstrip(".").encode("ascii", "replace").split(b".")
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    question += struct.pack(">HH", kind, 1)
    query = secrets.token_bytes(2) + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + question
    answer = await _ask_over_udp(server, query)
    if answer[2] & 2:  # truncated: RFC 7766, section 5
        answer = await _ask_over_tcp(server, query)
        if not _is_answer(answer, query) or answer[2] & 2:
            raise OSError("the DNS answer is broken")
    return _read_answer(answer, len(query), kind)


async def _ask_over_udp(server: tuple[str, int], query: bytes) -> bytes:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(_OneAnswer, remote_addr=server)
    try:
        transport.sendto(query)
        while not _is_answer(answer := await protocol.answers.get(), query):
            continue  # a late answer to an earlier question, or a forged one
        return answer
    finally:
        transport.close()


async def _ask_over_tcp(server: tuple[str, int], query: bytes) -> bytes:
    """One question, and an answer of 64 KiB at most: its length is two bytes."""
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(query)) + query)
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
    finally:
        writer.close()


def _is_answer(answer: bytes, query: bytes) -> bool:
    """Whether a message answers this very question: the id, the response bit, and the name and kind asked for."""
    same = answer[:2] == query[:2] and answer[12 : len(query)].lower() == query[12:].lower()
    return same and len(answer) >= len(query) and bool(answer[2] & 128)


def _read_answer(answer: bytes, offset: int, kind: int) -> tuple[list[str], str | None]:
    """Addresses of an answer and, where it has none, the alias to ask for next."""
    if answer[3] & 15 not in (0, 3):  # 3: no such name
        raise OSError("the DNS server failed")
    addresses: list[str] = []
    alias: str | None = None
    try:
        for _ in range(struct.unpack_from(">H", answer, 6)[0]):
            _, offset = _read_name(answer, offset)
            record_type, _, _, length = struct.unpack_from(">HHIH", answer, offset)
            offset += 10
            data = answer[offset : offset + length]
            if record_type == kind and len(data) == (4 if kind == _TYPE_A else 16):
                addresses.append(str(ipaddress.ip_address(data)))
            elif record_type == _TYPE_CNAME:
                alias, _ = _read_name(answer, offset)
            offset += length
    except (struct.error, IndexError):
        raise OSError("the DNS answer is broken") from None
    return addresses, alias


def _read_name(message: bytes, offset: int) -> tuple[str, int]:
    """A name, its compression followed at most 16 times, and the offset behind it."""
    labels: list[str] = []
    end: int | None = None
    for _ in range(144):
        length = message[offset]
        if length == 0:
            return ".".join(labels), end if end is not None else offset + 1
        if length >= 192:
            end = end if end is not None else offset + 2
            offset = struct.unpack_from(">H", message, offset)[0] & 0x3FFF
        else:
            labels.append(message[offset + 1 : offset + 1 + length].decode("ascii", "replace"))
            offset += 1 + length
    raise IndexError("a name without end")
