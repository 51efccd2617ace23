"""Which pages a crawl visits next."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crawler.frontier import FRONTIER, LINKS, PAGES, Limits, first_round, lane_of, next_round
from crawler.sources import CrawlSource
from shards.errors import UsageError
from shards.tables import read_rows, write_table


def limits_of(**more: Any) -> Limits:
    given = {"kind": "crawl", "seeds": ["http://a.test/"], **more}
    return Limits.of(CrawlSource.model_validate(given), lanes=8)


def next_urls(tmp_path: Path, pages: list[str], links: list[tuple[str, int]], limits: Limits) -> list[tuple[Any, ...]]:
    seen = [{"url": url, "canonical_url": url, "host": url.split("/")[2]} for url in pages]
    found = [{"url": url, "host": url.split("/")[2], "depth": depth} for url, depth in links]
    write_table(tmp_path / "pages", pa.Table.from_pylist(seen, schema=PAGES))
    half = len(found) // 2
    write_table(tmp_path / "links1", pa.Table.from_pylist(found[:half], schema=LINKS))
    write_table(tmp_path / "links2", pa.Table.from_pylist(found[half:], schema=LINKS))
    num = next_round([tmp_path / "pages"], [tmp_path / "links1", tmp_path / "links2"], limits, tmp_path / "out")
    table = read_rows(tmp_path / "out")
    assert table.schema.equals(FRONTIER)
    assert table.num_rows == num
    assert [row["lane"] for row in table.to_pylist()] == [lane_of(row["host"], 8) for row in table.to_pylist()]
    return [(row["url"].removeprefix("http://"), row["depth"]) for row in table.to_pylist()]


@pytest.mark.parametrize(
    ("pages", "links", "more", "expected"),
    [
        ([], [], {}, []),
        (["http://a.test/"], [("http://a.test/", 1), ("http://a.test/b", 1)], {}, [("a.test/b", 1)]),
        ([], [("http://a.test/b", 2), ("http://a.test/b", 1)], {}, [("a.test/b", 1)]),
        ([], [("http://a.test/b", 3), ("http://a.test/c", 4)], {"max_depth": 3}, [("a.test/b", 3)]),
        ([], [("http://b.test/", 1), ("http://x.a.test/", 1)], {}, []),
        (
            [],
            [("http://b.test/", 1), ("http://x.a.test/", 1), ("http://a.test/", 1), ("http://xa.test/", 1)],
            {"allowed_hosts": ["*.a.test", "b.test"]},
            [("b.test/", 1), ("x.a.test/", 1)],
        ),
        # The nearer page wins the place that a host has left.
        (
            ["http://a.test/"],
            [("http://a.test/b", 2), ("http://a.test/z", 1), ("http://a.test/c", 1)],
            {"max_pages_per_host": 3},
            [("a.test/c", 1), ("a.test/z", 1)],
        ),
        (
            ["http://a.test/"],
            [("http://a.test/1", 1), ("http://a.test/2", 1), ("http://b.test/1", 1)],
            {"max_pages": 3, "allowed_hosts": ["a.test", "b.test"]},
            [("a.test/1", 1), ("b.test/1", 1)],
        ),
        (["http://a.test/"], [("http://a.test/1", 1)], {"max_pages": 1}, []),
        # Sorted by host and url, with quotes in them.
        (
            [],
            [("http://b.test/'", 1), ("http://a.test/%27", 1), ("http://a.test/!", 1)],
            {"allowed_hosts": ["b.test", "a.test"]},
            [("a.test/!", 1), ("a.test/%27", 1), ("b.test/'", 1)],
        ),
    ],
)
def test_a_round_visits_what_is_new_and_within_limits(
    tmp_path: Path,
    pages: list[str],
    links: list[tuple[str, int]],
    more: dict[str, Any],
    expected: list[tuple[str, int]],
) -> None:
    assert next_urls(tmp_path, pages, links, limits_of(**more)) == expected


def test_where_a_redirect_led_is_not_visited_again(tmp_path: Path) -> None:
    row = {"url": "http://a.test/", "canonical_url": "http://a.test/", "final_url": "http://a.test/b", "host": "a.test"}
    write_table(tmp_path / "pages", pa.Table.from_pylist([row], schema=PAGES))
    link = {"url": "http://a.test/b", "host": "a.test", "depth": 1}
    write_table(tmp_path / "links", pa.Table.from_pylist([link], schema=LINKS))
    assert next_round([tmp_path / "pages"], [tmp_path / "links"], limits_of(), tmp_path / "out") == 0
    assert read_rows(tmp_path / "out").schema.equals(FRONTIER)


def test_the_next_round_does_not_depend_on_the_order_of_links(tmp_path: Path) -> None:
    links = [(f"http://{host}.test/{number % 97}", number % 5) for host in "abc" for number in range(500)]
    limits = limits_of(allowed_hosts=["*.test"], max_pages=100)
    assert next_urls(tmp_path, [], links, limits) == next_urls(tmp_path, [], links[::-1], limits)


def test_seeds_are_canonical_sorted_and_once_each() -> None:
    table = first_round(["http://B.test", "http://a.test:80/x#y", "http://b.test/", "http://例子.测试/"], lanes=8)
    assert table.schema.equals(FRONTIER)
    assert table.column("url").to_pylist() == ["http://a.test/x", "http://b.test/", "http://xn--fsqu00a.xn--0zwm56d/"]
    assert set(table.column("depth").to_pylist()) == {0}


def test_seeds_that_are_no_urls_are_all_named() -> None:
    with pytest.raises(UsageError, match=r"'http://\[/', 'ftp://x/'"):
        first_round(["http://[/", "http://a.test/", "ftp://x/"])
    with pytest.raises(UsageError, match="allowed_hosts"):
        limits_of(allowed_hosts=["a b"])


@pytest.mark.parametrize(
    ("patterns", "host", "is_allowed"),
    [
        ([], "a.test", True),
        ([], "b.test", False),
        (["*.b.test"], "x.b.test", True),
        (["*.b.test"], "b.test", False),
        (["*.b.test"], "a.test", False),
        (["例子.测试"], "xn--fsqu00a.xn--0zwm56d", True),
        (["B.Test"], "b.test", True),
    ],
)
def test_hosts_are_allowed_by_name_or_by_suffix(patterns: list[str], host: str, is_allowed: bool) -> None:
    assert limits_of(allowed_hosts=patterns).allows(host) == is_allowed


def test_lanes_spread_hosts_and_stay_the_same() -> None:
    lanes = [lane_of(f"host{number}.test", 8) for number in range(800)]
    assert set(lanes) == set(range(8))
    assert (lane_of("a.test", 8), lane_of("a.test", 1)) == (lane_of("a.test", 8), 0)
