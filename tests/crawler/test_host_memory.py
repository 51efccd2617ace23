"""What a lane remembers of its hosts between parts: bounded, whole, and never trusted too long."""

import itertools
import json
import time
from pathlib import Path

import pytest

from crawler import host_memory
from crawler.host_memory import MAX_AGE_S, MAX_SOURCE_BYTES, HostMemory, HostNote, Sources
from tests.crawler.conftest import Server, picture, serve
from tests.crawler.test_download import download

Rows = dict[str, dict[str, object]]
NOW = 1_800_000_000.0


def memory(path: Path | None, agent: str = "bot", now: float = NOW) -> HostMemory:
    return HostMemory(path, agent, clock=lambda: now)


def note(**more: object) -> HostNote:
    facts = {"next_start": NOW + 5, "crawl_delay_s": 2.5, "open_until": NOW + 60, "num_openings": 1}
    cause = ("connect_error", "host left alone after 5 failures: refused — 图")
    origins = {"http://a.cn": Sources(NOW - 10, b"user-agent: *\ndisallow: /x\xff", b"[]", b"")}
    return HostNote(**(facts | {"cause": cause, "origins": origins} | more))  # type: ignore[arg-type]  # facts of a note


def test_a_note_is_there_again(tmp_path: Path) -> None:
    kept = memory(tmp_path / "lane")
    kept.keep("a.cn", note())
    kept.keep("xn--fiq228c.cn", HostNote())
    kept.save()
    again = memory(tmp_path / "lane")
    assert again.recall("a.cn") == note()
    assert again.recall("xn--fiq228c.cn") == again.recall("never-seen.cn") == HostNote()
    assert [path.name for path in tmp_path.iterdir()] == ["lane"]


def test_what_is_too_old_or_too_far_ahead_does_not_count(tmp_path: Path) -> None:
    kept = memory(tmp_path / "lane")
    kept.keep("a.cn", note(next_start=NOW + 10 * MAX_AGE_S, open_until=NOW + 10 * MAX_AGE_S))
    kept.save()
    assert memory(tmp_path / "lane", now=NOW + MAX_AGE_S).recall("a.cn").origins == {}
    assert memory(tmp_path / "lane", now=NOW - 3600).recall("a.cn").origins == {}  # said in the future: no trust
    assert memory(tmp_path / "lane").recall("a.cn").next_start == NOW + MAX_AGE_S
    assert memory(tmp_path / "lane").recall("a.cn").open_until == NOW + MAX_AGE_S


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"\0" * 100,
        lambda data: data[:-3],
        lambda data: data.replace(b"a.cn", b"b.cn", 1),
        lambda data: b'["other-magic", "bot", 0]\n',
        lambda data: b"[" * 100_000,
        lambda data: b"{}\n" + data,
        lambda data: b"5\n" + data,
    ],
)
def test_a_damaged_or_foreign_file_is_no_memory(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "lane"
    kept = memory(path)
    kept.keep("a.cn", note())
    kept.save()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]  # bytes to bytes
    assert memory(path).recall("a.cn") == HostNote()
    assert memory(path, agent="another").recall("a.cn") == HostNote()
    memory(path).save()
    assert memory(path).recall("a.cn") == HostNote()


def test_hosts_and_bytes_are_bounded_and_the_last_used_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "MAX_HOSTS", 10)
    kept = memory(tmp_path / "lane")
    for number in range(30):
        kept.keep(f"{number}.cn", note())
        kept.keep("0.cn", note())
    kept.save()
    again = memory(tmp_path / "lane")
    known = [number for number in range(30) if again.recall(f"{number}.cn") != HostNote()]
    assert known == [0, *range(21, 30)]
    monkeypatch.setattr(host_memory, "MAX_FILE_BYTES", 2000)
    kept.keep("big.cn", note())
    kept.save()
    assert (tmp_path / "lane").stat().st_size < 2200
    assert memory(tmp_path / "lane").recall("big.cn") == note()


def test_long_files_are_asked_for_again(tmp_path: Path) -> None:
    kept = memory(tmp_path / "lane")
    long = b"#" * (MAX_SOURCE_BYTES + 1)
    kept.keep("a.cn", note(origins={"http://a.cn": Sources(NOW, long), "http://a.cn:81": Sources(NOW, b"", long, b"")}))
    assert kept.recall("a.cn").origins == {"http://a.cn:81": Sources(NOW, b"", None, b"")}


def test_without_a_path_notes_last_as_long_as_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "MAX_HOSTS", 2)
    kept = memory(None)
    for number in range(3):
        kept.keep(f"{number}.cn", note())
    kept.save()
    assert [kept.recall(f"{number}.cn") == note() for number in range(3)] == [False, True, True]
    assert memory(None).recall("2.cn") == HostNote()


def part(folder: Path, server: Server, urls: list[str], memory_path: Path, **more: object) -> Rows:
    folder.mkdir()
    return download(folder, urls, [server], memory_path=memory_path, **more)  # type: ignore[arg-type]  # settings


def test_the_next_part_of_a_lane_asks_for_no_rules_again(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": serve(picture(60 + n)) for n in range(4)}
    server.pages["/robots.txt"] = serve(b"user-agent: *\ndisallow: /1\ncrawl-delay: 0.3\n")
    server.pages["/ai.txt"] = serve(b"User-Agent: *\nDisallow: /2\n")
    urls = [server.url(f"/{n}") for n in range(4)]
    first = part(tmp_path / "a", server, urls[:1], tmp_path / "lane")
    rows = part(tmp_path / "b", server, urls, tmp_path / "lane")
    assert first[urls[0]]["drop_reason"] is None
    assert [rows[url]["drop_reason"] for url in urls] == [None, "robots_disallowed", "opt_out", None]
    assert [server.asked(path) for path in ("/robots.txt", "/ai.txt", "/.well-known/tdmrep.json")] == [1, 1, 1]
    starts = sorted(request.started for request in server.log)
    assert min(later - earlier for earlier, later in itertools.pairwise(starts)) >= 0.2  # the delay holds


def test_the_next_part_waits_for_the_gap_and_keeps_off_a_dead_host(server: Server, tmp_path: Path) -> None:
    server.pages = {f"/{n}": lambda request: None for n in range(10)}
    urls = [server.url(f"/{n}") for n in range(10)]
    part(tmp_path / "a", server, urls, tmp_path / "lane", fetch={"give_up_after": 3})
    asked = len(server.log)
    rows = part(tmp_path / "b", server, urls, tmp_path / "lane", fetch={"give_up_after": 3})
    assert {row["drop_reason"] for row in rows.values()} == {"connect_error"}
    assert len(server.log) == asked
    lines = (tmp_path / "lane").read_bytes().splitlines()
    host, next_start, _, open_until, *_ = json.loads(lines[1])
    assert host == "127.0.0.1"
    assert time.time() - 60 < next_start < time.time() + 60 < open_until + 30
