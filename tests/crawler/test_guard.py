"""Addresses that are never contacted, in any spelling, and the exceptions a recipe may name."""

import socket

import pytest
from pydantic import ValidationError

from crawler.guard import AddressGuard, BlockedAddress, is_blocked
from crawler.settings import NetworkSettings


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
     "100.64.0.0", "100.100.100.200", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.7",
     "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
     "::1", "::", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.2", "64:ff9b::a00:1", "64:ff9b::808:808",
     "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001::1", "2001:db8::1", "fe80::1", "fe80::1%eth0", "fec0::1",
     "fc00::1", "fd12::1", "ff02::1", "100::1", "3fff::1", "5f00::1", "2606:4700::1%eth0", "not-an-address", ""],
)  # fmt: skip
def test_special_addresses_are_refused(ip: str) -> None:
    assert not AddressGuard(NetworkSettings()).allows(ip, 80)


@pytest.mark.parametrize(
    "ip", ["8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1",
           "223.255.255.255", "2606:4700::1111", "240e::1", "2408:8000::1"]
)  # fmt: skip
def test_public_addresses_are_open_on_allowed_ports_only(ip: str) -> None:
    guard = AddressGuard(NetworkSettings())
    assert guard.allows(ip, 80)
    assert guard.allows(ip, 443)
    assert not guard.allows(ip, 22)
    assert AddressGuard(NetworkSettings(allowed_ports=[8080])).allows(ip, 8080)


@pytest.mark.parametrize(
    ("ip", "port", "allowed"),
    [
        ("127.0.0.1", 18080, True),
        ("127.0.0.1", 80, False),
        ("127.0.0.2", 18080, False),
        ("127.0.1.255", 18081, True),
        ("127.0.2.0", 18081, False),
        ("::1", 18080, True),
        ("::1%lo", 18080, False),
        ("::ffff:127.0.0.1", 18080, False),
        ("::ffff:7f00:1", 18080, False),
        ("fd00::ff", 9000, True),
        ("fd00::100", 9000, False),
    ],
)
def test_listed_addresses_are_matched_on_the_final_socket_address(ip: str, port: int, allowed: bool) -> None:
    listed = ["127.0.0.1:18080", "127.0.1.0/24:18081", "[::1]:18080", "[fd00::]/120:9000"]
    assert AddressGuard(NetworkSettings(allow_private=listed)).allows(ip, port) is allowed


@pytest.mark.parametrize(
    "entry",
    ["127.0.0.1", "127.0.0.1:*", "127.0.0.1:0", "127.0.0.1:65536", "localhost:80", "10.0.0.0/8:80", "127.0.0.0/23:80",
     "127.0.0.1/24:80", "fd00::/64:80", ":80", "", "127.1:80"],
)  # fmt: skip
def test_wide_or_unclear_exceptions_are_recipe_errors(entry: str) -> None:
    with pytest.raises(ValidationError, match="allow_private"):
        NetworkSettings(allow_private=[entry])


def test_a_socket_is_made_only_for_an_address_that_passes() -> None:
    guard = AddressGuard(NetworkSettings(allow_private=["127.0.0.1:18080"]))
    guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 18080))).close()
    with pytest.raises(BlockedAddress, match=r"127\.0\.0\.1 port 18081") as caught:
        guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 18081)))
    assert is_blocked(caught.value)
    assert not is_blocked(ConnectionRefusedError(111, "refused"))
