"""Which addresses may be contacted: the one check, made on the resolved address just before connect."""

import ipaddress
import socket
from functools import lru_cache

from crawler.settings import NetworkSettings, PrivateBlock, parse_private_block

BLOCKED_ERRNO = 10_013
"""Errno of BlockedAddress; no system uses it, so it survives aiohappyeyeballs' merging of several failures."""

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA special-purpose registries. `ipaddress.is_private` and `is_global` are not enough: the first is False for
# 100.64.0.0/10, which holds a cloud's metadata address; the second True for 64:ff9b::/96, 2002::/16, ::127.0.0.2.
_CLOSED_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
# Only global unicast is open at all: that leaves out mapped, compatible and NAT64 forms, ULA, link-local, multicast.
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments, with Teredo, which embeds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4 embeds an IPv4 address
        "3fff::/20",
    )
)


class BlockedAddress(OSError):
    """An address that may not be contacted: private, special, or on a closed port."""

    def __init__(self, ip: str, port: int) -> None:
        super().__init__(BLOCKED_ERRNO, f"{ip} port {port} may not be contacted")
        self.ip = ip
        self.port = port


class AddressGuard:
    """Says of a resolved address and port whether we may connect: public on an allowed port, or listed."""

    def __init__(self, network: NetworkSettings) -> None:
        self._open_ports = frozenset(network.allowed_ports)
        self._listed = tuple(parse_private_block(entry) for entry in network.allow_private)
        self._verdict = lru_cache(maxsize=4096)(self._judge)

    def allows(self, ip: str, port: int) -> bool:
        return self._verdict(ip, port)

    def check(self, ip: str, port: int) -> None:
        """Raises BlockedAddress unless the address may be contacted."""
        if not self._verdict(ip, port):
            raise BlockedAddress(ip, port)

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """The `socket_factory` of `aiohttp.TCPConnector`: every connect passes here with its final address."""
        ip, port = info[4][:2]
        self.check(str(ip), int(str(port)))
        return socket.socket(family=info[0], type=info[1], proto=info[2])

    def _judge(self, ip: str, port: int) -> bool:
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        if any(_covers(block, address, port) for block in self._listed):
            return True
        return port in self._open_ports and is_public(address)


def is_blocked(error: BaseException) -> bool:
    """Whether a connect failed because each address was blocked."""
    return isinstance(error, OSError) and error.errno == BLOCKED_ERRNO


def is_public(address: Address) -> bool:
    """Whether an address is ordinary unicast of the public internet, with no IPv4 address hidden inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _CLOSED_V4)
    return address.scope_id is None and address in _OPEN_V6 and not any(address in block for block in _CLOSED_V6)


def _covers(block: PrivateBlock, address: Address, port: int) -> bool:
    network, open_port = block
    scoped = isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None
    return port == open_port and not scoped and address.version == network.version and address in network
