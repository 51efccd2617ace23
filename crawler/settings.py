"""What a recipe may say about identity, politeness, addresses and the bounds of one fetch."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from shards.settings import Section

MAX_ALLOWED_BLOCK = 256
"""Addresses that one `allow_private` entry may cover: a /24, or an IPv6 /120."""

_PRODUCT = re.compile(r"[A-Za-z_-]+(?:/[\w.+-]+)?(?:\s|$)")
_CONTACT = re.compile(r"https?://[^\s;,()]+\.[^\s;,()]+|[^\s;,()<>@+]+@[^\s;,()<>@]+\.[^\s;,()<>@]+")
_HOST_PATTERN = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")

Port = Annotated[int, Field(ge=1, le=65535)]
PrivateBlock = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int]


class NetworkSettings(Section):
    """Which addresses may be contacted. Operational: in no fingerprint."""

    allow_private: list[str] = Field(
        default=[],
        description="Private addresses that may be contacted, as `127.0.0.1:18080` or `127.0.1.0/24:18080`.",
    )
    dns_servers: list[str] = Field(
        default=[],
        description="DNS servers to ask instead of the system's, as `ip` or `ip:port`; meant for tests.",
    )
    allowed_ports: list[Port] = Field(default=[80, 443], description="Ports of public addresses that may be contacted.")

    ca_file: str | None = Field(
        default=None, description="A PEM file of certificate authorities to trust besides the system's."
    )

    @field_validator("allow_private")
    @classmethod
    def _blocks_are_narrow(cls, entries: list[str]) -> list[str]:
        for entry in entries:
            parse_private_block(entry)
        return entries

    @field_validator("dns_servers")
    @classmethod
    def _servers_are_addresses(cls, entries: list[str]) -> list[str]:
        for entry in entries:
            parse_server(entry)
        return entries


class PerHost(Section):
    """How gently one host is treated, across all workers."""

    concurrency: int = Field(default=2, ge=1, le=256, description="Requests in flight to one host.")
    delay_s: float = Field(
        default=0.5, ge=0, le=86400, description="Seconds between the starts of two requests to one host."
    )


class HostOverride(Section):
    """What differs for the hosts of one pattern; what is left out comes from `per_host`."""

    concurrency: int | None = Field(default=None, ge=1, le=256, description="Requests in flight to one host.")
    delay_s: float | None = Field(
        default=None, ge=0, le=86400, description="Seconds between the starts of two requests to one host."
    )


class CrawlerSettings(Section):
    """Who we say we are, and how politely we behave. Operational, but for `blocklist` and `opt_outs`."""

    user_agent: str | None = Field(
        default=None,
        max_length=512,
        description="Sent with every request and matched in robots.txt: a product token and a contact, as "
        "`mybot/1.0 (+https://example.org/bot; bot@example.org)`. Required wherever the network is used.",
    )
    per_host: PerHost = Field(default=PerHost(), description="Limits of every host without a pattern.")
    hosts: dict[str, HostOverride] = Field(
        default={},
        description="Other limits for hosts: `img.example.cn`, or `*.example.cn` for every host below it. "
        "The longest pattern that fits counts.",
    )
    deadline_h: float | None = Field(
        default=None, gt=0, description="Hours after which what is left becomes `not_attempted`."
    )
    blocklist: list[str] = Field(
        default=[], description="Files of hosts never to contact, one a line; a host covers those below it."
    )
    max_crawl_delay_s: float = Field(
        default=300, ge=0, le=86400, description="The longest Crawl-delay that is waited; longer ones are cut."
    )
    slow_down_to_s: float = Field(
        default=10,
        ge=0,
        le=86400,
        description="While pages are crawled, a host that answers slowly is asked less often: the gap grows to the "
        "time that it takes to answer / its concurrency, to so many seconds at most; 0: never.",
    )
    opt_outs: Literal["obey", "record"] = Field(
        default="obey",
        description="`obey` drops images whose site or answer refuses AI training (`opt_out`); `record` keeps them and "
        "says so in the column `opt_out`. robots.txt's Disallow, and what a page asks for itself, are obeyed always.",
    )
    lanes: int = Field(default=16, ge=1, le=65536, description="Groups of hosts; one part of a lane runs at a time.")

    @field_validator("user_agent")
    @classmethod
    def _names_a_contact(cls, user_agent: str | None) -> str | None:
        if user_agent is not None:
            check_user_agent(user_agent)
        return user_agent

    @field_validator("hosts")
    @classmethod
    def _patterns_are_hosts(cls, hosts: dict[str, HostOverride]) -> dict[str, HostOverride]:
        for pattern in hosts:
            if not _HOST_PATTERN.fullmatch(pattern):
                raise ValueError(
                    f"{pattern!r} is no host pattern: write a lower-case host in ASCII, `img.example.cn`, "
                    "or `*.example.cn` for all hosts below it"
                )
        return hosts

    def limits_of(self, host: str) -> PerHost:
        """The limits of one host (an A-label): those of the longest pattern that fits it."""
        fitting = [pattern for pattern in self.hosts if _fits(pattern, host)]
        if not fitting:
            return self.per_host
        override = self.hosts[max(fitting, key=lambda pattern: (not pattern.startswith("*"), len(pattern)))]
        return PerHost(
            concurrency=self.per_host.concurrency if override.concurrency is None else override.concurrency,
            delay_s=self.per_host.delay_s if override.delay_s is None else override.delay_s,
        )


class FetchSettings(Section):
    """The bounds of one download. Operational, but for `verify_sha256`."""

    connect_timeout_s: float = Field(default=5, gt=0, le=600, description="Seconds to connect, TLS included.")
    total_timeout_s: float = Field(
        default=30, gt=0, le=86400, description="Seconds for one attempt, redirects included."
    )
    min_bytes_per_s: int = Field(
        default=1000, ge=0, description="Slowest mean rate of a body, judged once it has run for `rate_grace_s`."
    )
    rate_grace_s: float = Field(
        default=5, gt=0, le=600, description="Seconds that a body may take before its rate is judged."
    )
    max_bytes: int = Field(
        default=20 * 2**20, gt=0, le=2**31 - 1, description="Largest body, before and after decompression."
    )
    max_redirects: int = Field(default=5, ge=0, le=50, description="Redirects that are followed.")
    retries: int = Field(default=2, ge=0, le=20, description="Further attempts at what may heal.")
    backoff_s: float = Field(
        default=0.5, ge=0, le=3600, description="Seconds before the first further attempt; doubled with each."
    )
    max_retry_after_s: float = Field(
        default=60, ge=0, le=86400, description="The longest Retry-After that is waited; beyond it we give up."
    )
    max_in_flight: int = Field(
        default=256, ge=1, le=4096, description="Requests in flight in one part, over all hosts."
    )
    decoders: int = Field(default=1, ge=1, le=64, description="Decoding processes of one part.")
    give_up_after: int = Field(
        default=5, ge=1, description="Failures in a row after which a host is left alone for a while."
    )
    breaker_reopen_s: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="Seconds for which a failing host is left alone before it is tried again; doubled each time.",
    )
    breaker_reopenings: int = Field(
        default=2, ge=0, le=20, description="How often a failing host is tried again before the part gives it up."
    )
    outage_patience_s: float = Field(
        default=300,
        ge=0,
        le=86400,
        description="Seconds that a part waits for a network that is gone as a whole before the run stops (exit 75).",
    )
    verify_sha256: bool = Field(
        default=False, description="Drop images whose bytes differ from the source's sha256 (`hash_mismatch`)."
    )
    part_rows: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Samples in one part: what a worker fetches between commits."
    )


def check_user_agent(user_agent: str) -> None:
    """Raises ValueError, saying how to write it, unless it holds a product token and a contact."""
    if not user_agent.isascii() or not user_agent.isprintable():
        raise ValueError("user_agent must be one line of printable ASCII")
    example = '"mybot/1.0 (+https://example.org/bot; bot@example.org)"'
    if not _PRODUCT.match(user_agent):
        raise ValueError(f"user_agent must start with a product token, as in {example}")
    if not _CONTACT.search(user_agent):
        raise ValueError(f"user_agent must name a contact, a URL or an e-mail address, as in {example}")


def product_token(user_agent: str) -> str:
    """The name that robots.txt knows us by (RFC 9309, section 2.2.1), in lower case."""
    token = re.match(r"[A-Za-z_-]+", user_agent)
    if token is None:
        raise ValueError(f"user_agent {user_agent!r} has no product token")
    return token.group().lower()


def parse_private_block(entry: str) -> PrivateBlock:
    """`127.0.0.1:18080`, `127.0.1.0/24:18080`, `[::1]:18080` or `[fd00::]/120:80` as a network and a port."""
    expected = "expected `ip:port` or `ip/24:port`, with a literal address and a port"
    block, _, port = entry.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"allow_private: {entry!r} has no port; {expected}")
    try:
        network = ipaddress.ip_network(block.replace("[", "").replace("]", ""))
    except ValueError as error:
        raise ValueError(f"allow_private: {entry!r}: {error}; {expected}") from None
    if network.num_addresses > MAX_ALLOWED_BLOCK:
        raise ValueError(f"allow_private: {entry!r} is wider than a /24 (IPv6: /120); {expected}")
    return network, int(port)


def parse_server(entry: str) -> tuple[str, int]:
    """A DNS server's address and port, 53 unless `ip:port` names another."""
    host, colon, port = entry.rpartition(":")
    bare = entry.count(":") > 1 and "]" not in entry  # an IPv6 address without a port
    if not colon or bare:
        host, port = entry, "53"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        raise ValueError(f"dns_servers: {entry!r} is no address; expected `ip` or `ip:port`") from None
    if not 1 <= number <= 65535:
        raise ValueError(f"dns_servers: {entry!r} has no valid port")
    return str(address), number


def _fits(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
