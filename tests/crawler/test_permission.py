"""What an origin may be asked for: each file once, for as long as it holds, and in bounded memory."""

import asyncio
from collections import Counter

import pytest

from crawler import permission
from crawler.blocklist import Blocklist
from crawler.faults import Fault
from crawler.fetch import Fetcher, Permit, Response
from crawler.host_memory import MAX_SOURCE_BYTES
from crawler.permission import Permission
from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings

Answers = dict[str, bytes | Fault]
AI_TXT = b"User-Agent: *\nDisallow: /art\n"


class Site(Fetcher):
    """Answers from a table in place of the network; what is not in it is a 404."""

    def __init__(self, answers: Answers) -> None:
        self.answers_by_url = answers
        self.asked: Counter[str] = Counter()

    async def get(self, url: str, permit: Permit, *args: object, **more: object) -> Response:
        refusal = await permit(url)
        if refusal is not None:
            return Response(url, url, fault=refusal)
        self.asked[url] += 1
        await asyncio.sleep(0.01)
        answer = self.answers_by_url.get(url, Fault("http_status", "404"))
        if isinstance(answer, Fault):
            return Response(url, url, 404 if answer.reason == "http_status" else None, fault=answer)
        return Response(url, url, 200, body=answer)


def ask(site: Site, urls: list[str], clock: list[float] | None = None, **more: object) -> list[str | None]:
    """The drop reasons of these URLs, all asked for at once; with a clock, one after the other, a minute apart."""
    now = clock or [0.0]
    fetch = FetchSettings(breaker_reopenings=20)
    politeness = Politeness(CrawlerSettings(), fetch, frozenset(), clock=lambda: now[0])
    made = Permission(site, politeness, Blocklist(["bad.cn"]), "mybot", clock=lambda: now[0], **more)  # type: ignore[arg-type]  # settings

    async def one_by_one() -> list[Fault | None]:
        found = []
        for url in urls:
            found.append(await made.refusal(url))
            now[0] += 61.0
        return found

    async def run() -> list[Fault | None]:
        found = await (one_by_one() if clock else asyncio.gather(*(made.refusal(url) for url in urls)))
        await made.close()
        return list(found)

    return [fault.reason if fault else None for fault in asyncio.run(run())]


def test_each_file_of_an_origin_is_asked_for_once() -> None:
    site = Site({"http://a.cn/robots.txt": b"user-agent: *\ndisallow: /no\n"})
    urls = [f"http://a.cn/{n}" for n in range(20)] + ["http://a.cn/no/1", "http://a.cn:81/no/1", "https://a.cn/no/1"]
    assert ask(site, urls) == [None] * 20 + ["robots_disallowed", None, None]
    assert set(site.asked.values()) == {1}
    assert len(site.asked) == 9


def test_what_is_disallowed_first_does_not_hide_the_files_from_the_rest() -> None:
    answers: Answers = {"http://a.cn/robots.txt": b"user-agent: *\ndisallow: /no\n"}
    answers["http://a.cn/ai.txt"] = b"User-Agent: *\nDisallow: /secret\n"
    site = Site(answers)
    assert ask(site, ["http://a.cn/no/1", "http://a.cn/secret", "http://a.cn/x"]) == [
        "robots_disallowed",
        "opt_out",
        None,
    ]
    assert ask(Site(answers), ["http://a.cn/no/1"]) == ["robots_disallowed"]


def test_a_forbidden_file_is_not_asked_for() -> None:
    site = Site({"http://a.cn/robots.txt": b"user-agent: *\ndisallow: /ai.txt\ndisallow: /.well-known/\n"})
    assert ask(site, ["http://a.cn/x"]) == [None]
    assert list(site.asked) == ["http://a.cn/robots.txt"]


def test_blocklisted_hosts_are_asked_for_nothing() -> None:
    site = Site({})
    assert ask(site, ["http://bad.cn/x", "http://img.bad.cn/x"]) == ["blocklisted", "blocklisted"]
    assert not site.asked


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        (Fault("http_status", "404"), [None, None, None]),
        (Fault("timeout", "headers"), ["robots_unreachable", None, None]),
        (Fault("connect_error", "refused", may_heal=True), ["connect_error", None, None]),
        (Fault("tls_error", "self-signed"), ["tls_error", "tls_error", "tls_error"]),  # nothing that heals by itself
    ],
)
def test_an_unreachable_file_is_asked_again_where_it_may_heal(fault: Fault, reasons: list[str | None]) -> None:
    site = Site({"http://a.cn/robots.txt": fault})

    class Healing(Site):
        async def get(self, url: str, permit: Permit, *args: object, **more: object) -> Response:
            response = await super().get(url, permit, *args, **more)
            self.answers_by_url.pop(url, None)
            return response

    assert ask(Healing(site.answers_by_url), ["http://a.cn/x"] * 3, clock=[1000.0]) == reasons


def test_origins_and_rules_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "MAX_ORIGINS", 4)
    robots = b"user-agent: *\ndisallow: /no\n"
    site = Site({f"http://{n}.cn/robots.txt": robots for n in range(8)})
    urls = [f"http://{n}.cn/x" for n in range(8)]
    assert ask(site, [*urls, *urls, urls[-1]], clock=[1000.0]) == [None] * 17
    assert set(site.asked.values()) == {1}  # what fell out is written down in a few bytes
    monkeypatch.setattr(permission, "MAX_RULES", 3)
    long = robots + b"#" * MAX_SOURCE_BYTES
    site = Site({f"http://{n}.cn/robots.txt": long for n in range(8)})
    assert ask(site, [urls[0], urls[0], urls[1], urls[2], urls[0]], clock=[1000.0]) == [None] * 5
    assert site.asked["http://0.cn/robots.txt"] == 2  # too long for that


def test_what_fell_out_and_was_written_down_still_forbids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permission, "MAX_ORIGINS", 1)
    site = Site({"http://a.cn/robots.txt": b"user-agent: *\ndisallow: /no\n", "http://a.cn/ai.txt": AI_TXT})
    urls = ["http://a.cn/x", "http://b.cn/x", "http://a.cn/no", "http://b.cn/no", "http://a.cn/art/1"]
    assert ask(site, urls, clock=[1000.0]) == [None, None, "robots_disallowed", None, "opt_out"]
    assert set(site.asked.values()) == {1}
