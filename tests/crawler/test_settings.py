"""Settings of the crawler: who we are, and which limits a host gets."""

import pytest
from pydantic import ValidationError

from crawler.settings import CrawlerSettings, FetchSettings, HostOverride, PerHost, parse_server, product_token
from shards.image_settings import ImageSettings


@pytest.mark.parametrize(
    "agent",
    ["mybot/1.0 (+https://example.org/bot; bot@example.org)", "my-bot (+http://example.org)", "my_bot bot@example.org",
     None],
)  # fmt: skip
def test_an_agent_with_token_and_contact_is_taken(agent: str | None) -> None:
    assert CrawlerSettings(user_agent=agent).user_agent == agent


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("", "product token"),
        ("mybot/1.0", "contact"),
        ("(+https://example.org)", "product token"),
        ("1bot (+https://example.org)", "product token"),
        ("mybot bot@nowhere", "contact"),
        ("mybot\r\nX: y (+https://example.org)", "printable"),
        ("机器人 (+https://example.org)", "printable"),
    ],
)
def test_an_agent_without_identity_is_refused(agent: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CrawlerSettings(user_agent=agent)


@pytest.mark.parametrize(
    ("host", "limits"),
    [
        ("other.cn", PerHost(concurrency=2, delay_s=0.5)),
        ("a.example.cn", PerHost(concurrency=2, delay_s=5)),
        ("example.cn", PerHost(concurrency=2, delay_s=0.5)),
        ("x.img.example.cn", PerHost(concurrency=8, delay_s=0.5)),
        ("img.example.cn", PerHost(concurrency=1, delay_s=0)),
    ],
)
def test_the_longest_host_pattern_counts(host: str, limits: PerHost) -> None:
    settings = CrawlerSettings(
        hosts={
            "*.example.cn": HostOverride(delay_s=5),
            "*.img.example.cn": HostOverride(concurrency=8),
            "img.example.cn": HostOverride(concurrency=1, delay_s=0),
        }
    )
    assert settings.limits_of(host) == limits


@pytest.mark.parametrize("pattern", ["", "*", "a*.cn", "http://a.cn", "A.cn", "中文.cn", "*.*.cn", "a.cn/"])
def test_a_pattern_that_is_no_host_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match="host pattern"):
        CrawlerSettings(hosts={pattern: HostOverride(delay_s=1)})


def test_unknown_keys_nan_and_negative_limits_are_refused() -> None:
    for broken in ({"connect_timeout": 5}, {"total_timeout_s": float("nan")}, {"max_bytes": -1}, {"retries": "2"}):
        with pytest.raises(ValidationError):
            FetchSettings.model_validate(broken)
    with pytest.raises(ValidationError, match="twice"):
        ImageSettings(formats=["png", "png"])
    assert FetchSettings.model_validate({"total_timeout_s": 30}).total_timeout_s == 30


@pytest.mark.parametrize(
    ("entry", "server"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_dns_servers_are_addresses(entry: str, server: tuple[str, int]) -> None:
    assert parse_server(entry) == server


@pytest.mark.parametrize("entry", ["dns.example.org", "", "127.0.0.1:0", "127.0.0.1:x"])
def test_other_dns_servers_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="dns_servers"):
        parse_server(entry)


def test_the_product_token_is_what_robots_txt_calls_us() -> None:
    assert product_token("MyBot/1.0 (+https://example.org)") == "mybot"
