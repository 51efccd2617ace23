"""One blocking HTTP connection to a web server, every address of which passes the guard before it is contacted."""

import asyncio
import http.client
import ipaddress
import socket

from crawler.guard import AddressGuard
from crawler.remote.reach import Reach
from crawler.tls import tls_context

Origin = tuple[str, str, int]
"""Scheme, host and port."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class GuardedConnection(http.client.HTTPConnection):
    """Connects to the first address of its host that answers, after the guard has allowed it."""

    def __init__(self, origin: Origin, reach: Reach) -> None:
        scheme, host, port = origin
        self.default_port = _DEFAULT_PORTS[scheme]
        super().__init__(host, port)
        self.origin = origin
        self.num_requests = 0
        self._reach = reach
        self._guard = AddressGuard(reach.network)

    def connect(self) -> None:
        """Raises OSError: `BlockedAddress` where the guard refuses every address, gaierror, ssl.SSLError, timeouts."""
        limit = self._reach.fetch.connect_timeout_s
        fault: OSError = socket.gaierror(socket.EAI_NONAME, "no such name")
        for address in addresses_of(self.host, self.port, self._reach.network.dns_servers):
            try:
                self._guard.check(address, self.port)
                self.sock = socket.create_connection((address, self.port), timeout=limit)
                break
            except OSError as error:
                fault = error
        else:
            raise fault
        if self.origin[0] == "https":
            name = self.host.strip("[]")
            self.sock = tls_context(self._reach.network.ca_file).wrap_socket(self.sock, server_hostname=name)
        # A body may take as long as it likes, as long as bytes come: files are large.
        self.sock.settimeout(self._reach.fetch.total_timeout_s)


def addresses_of(host: str, port: int, dns_servers: list[str]) -> list[str]:
    """The addresses of a name, by the system's resolver or by the recipe's servers; of a literal, itself."""
    bare = host.strip("[]")
    try:
        return [str(ipaddress.ip_address(bare))]
    except ValueError:
        return asyncio.run(_resolved(bare, port, dns_servers))


async def _resolved(host: str, port: int, dns_servers: list[str]) -> list[str]:
    from crawler.resolver import RememberingResolver  # aiohttp comes with it

    resolver = RememberingResolver(dns_servers)
    try:
        return [found["host"] for found in await resolver.resolve(host, port)]
    finally:
        await resolver.close()
