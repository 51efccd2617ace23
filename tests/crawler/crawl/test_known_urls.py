"""What a crawl knows after a round, and which of it the next round visits."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crawler.crawl.frontier_cut import cut_of, frontier_of
from crawler.crawl.known_urls import (
    KNOWN,
    Budget,
    KnownPaths,
    range_of_hosts,
    rows_of_links,
    rows_of_pages,
    update_known,
)
from crawler.frontier import CHINESE, FRONTIER, IMAGE_RICH, LINKS, PAGES, SITEMAP, lane_of
from shards.tables import read_rows

LANES = 8
Link = tuple[str, int] | tuple[str, int, int]


def host_in(url: str) -> str:
    return url.split("/")[0]


def pages_of(urls: list[str], **more: Any) -> pa.Table:
    rows = [{"url": url, "canonical_url": url, "host": host_in(url), "depth": 0, **more} for url in urls]
    return pa.Table.from_pylist(rows, schema=PAGES)


def links_of(links: list[Link]) -> pa.Table:
    rows = [
        {"url": url, "host": host_in(url), "depth": depth, "signs": signs[0] if signs else 0}
        for url, depth, *signs in links
    ]
    return pa.Table.from_pylist(rows, schema=LINKS)


def updated(folder: Path, *given: pa.Table, budget: Budget, num_ranges: int = 1) -> list[KnownPaths]:
    """The update of all ranges, each alone."""
    rows = pa.concat_tables(given)
    made = []
    for number in range(num_ranges):
        paths = KnownPaths(*(folder / f"{name}-{number}" for name in ("known", "candidates", "counts")))
        mine = rows.filter(pa.array(range_of_hosts(rows["host"], num_ranges) == number))
        update_known([mine], budget, paths)
        made.append(paths)
    return made


def chosen(made: list[KnownPaths], left: int = 10**9) -> list[dict[str, Any]]:
    found = []
    cut = cut_of([paths.counts for paths in made], left)
    for number, paths in enumerate(made):
        table = frontier_of(read_rows(paths.candidates), number, cut, LANES)
        assert table.schema.equals(FRONTIER)
        assert table["lane"].to_pylist() == sorted(table["lane"].to_pylist())
        found += table.to_pylist()
    assert all(row["lane"] == lane_of(row["host"], LANES) for row in found)
    return sorted(found, key=lambda row: row["url"])


@pytest.mark.parametrize(
    ("pages", "links", "budget", "left", "expected"),
    [
        ([], [], Budget(9), 9, []),
        (["a/"], [("a/", 1), ("a/b", 1)], Budget(9), 9, [("a/b", 1)]),
        ([], [("a/b", 2), ("a/b", 1)], Budget(9), 9, [("a/b", 1)]),
        # The nearer page wins the place that a host has left, and a page with more signs before it.
        (["a/"], [("a/b", 2), ("a/z", 1), ("a/c", 1)], Budget(3), 9, [("a/c", 1), ("a/z", 1)]),
        (["a/"], [("a/b", 3, SITEMAP), ("a/z", 1), ("a/c", 2, CHINESE)], Budget(3), 9, [("a/b", 3), ("a/c", 2)]),
        ([], [("a/b", 3, SITEMAP), ("a/b", 4, IMAGE_RICH), ("a/c", 1, CHINESE)], Budget(1), 9, [("a/b", 3)]),
        ([], [("a/b", 1), ("a/c", 1), ("a/d", 1)], Budget(9, 2), 9, [("a/b", 1), ("a/c", 1)]),
        # Where all pages are cut, each host has its turn.
        ([], [("a/1", 1), ("a/2", 1), ("b/1", 1)], Budget(9), 2, [("a/1", 1), ("b/1", 1)]),
        ([], [("a/1", 2), ("b/1", 1), ("c/1", 3, CHINESE)], Budget(9), 2, [("b/1", 1), ("c/1", 3)]),
        ([], [("a/1", 1)], Budget(9), 0, []),
        # A host that had all its pages gets none.
        (["a/1", "a/2"], [("a/3", 1)], Budget(1), 9, []),
    ],
)
@pytest.mark.parametrize("num_ranges", [1, 4])
def test_a_round_visits_the_best_of_what_is_new_and_within_limits(
    tmp_path: Path,
    pages: list[str],
    links: list[Link],
    budget: Budget,
    left: int,
    expected: list[tuple[str, int]],
    num_ranges: int,
) -> None:
    made = updated(
        tmp_path, rows_of_pages(pages_of(pages)), rows_of_links(links_of(links)), budget=budget, num_ranges=num_ranges
    )
    assert [(row["url"], row["depth"]) for row in chosen(made, left)] == expected


@pytest.mark.parametrize("name", ["final_url", "canonical_url"])
def test_what_a_page_turned_out_to_be_is_not_visited_and_costs_its_host_nothing(tmp_path: Path, name: str) -> None:
    pages = rows_of_pages(pages_of(["a/"], **{name: "a/b"}))
    made = updated(tmp_path, pages, rows_of_links(links_of([("a/b", 1), ("a/c", 1)])), budget=Budget(2))
    assert [row["url"] for row in chosen(made)] == ["a/c"]


def test_rounds_one_after_another_visit_what_one_would_have_known(tmp_path: Path) -> None:
    first = updated(tmp_path, rows_of_links(links_of([("a/1", 1, CHINESE), ("a/2", 2)])), budget=Budget(9))
    more = [rows_of_pages(pages_of(["a/1"])), rows_of_links(links_of([("a/2", 1), ("a/3", 1), ("a/1", 1)]))]
    known = read_rows(first[0].known)
    assert known.schema.equals(KNOWN)
    second = updated(tmp_path, known, *more, budget=Budget(9))
    assert [(row["url"], row["depth"], row["place"]) for row in chosen(second)] == [("a/2", 1, 1), ("a/3", 1, 2)]
    assert {row["url"]: row["seen"] for row in read_rows(second[0].known).to_pylist()} == {"a/1": 2, "a/2": 0, "a/3": 0}


def test_a_round_does_not_depend_on_the_order_of_links_nor_on_the_number_of_ranges(tmp_path: Path) -> None:
    links: list[Link] = [(f"{host}/{n % 97}", n % 5, n % 8) for host in "abcdefgh" for n in range(500)]
    rows = rows_of_links(links_of(links))
    rounds = []
    for given, num_ranges in ((rows, 1), (rows.take(pa.array(np.arange(len(rows))[::-1].copy())), 1), (rows, 8)):
        made = updated(tmp_path, given, budget=Budget(50), num_ranges=num_ranges)
        rounds.append([row["url"] for row in chosen(made)])
        assert sum(len(chosen(made, left)) for left in (1, 7, 100, 333)) == 441
    assert rounds[0] == rounds[1] == rounds[2]
    assert len(rounds[0]) == 8 * 50


def test_a_trap_is_forgotten_beyond_twice_what_its_host_has_left(tmp_path: Path) -> None:
    links: list[Link] = [(f"a/{n:05d}", 1) for n in range(5000)]
    paths = updated(tmp_path, rows_of_pages(pages_of(["a/"])), rows_of_links(links_of(links)), budget=Budget(11))[0]
    known = [row["url"] for row in read_rows(paths.known).to_pylist() if not row["seen"]]
    assert sorted(known) == [f"a/{n:05d}" for n in range(20)]


def test_the_parts_of_a_range_are_ranges() -> None:
    hosts = pa.chunked_array([[f"host{n}.cn" for n in range(500)]])
    for num_ranges in (1, 2, 64):
        few, many = range_of_hosts(hosts, num_ranges), range_of_hosts(hosts, 2 * num_ranges)
        assert (many // 2 == few).all()
        assert len(set(many.tolist())) == min(500, 2 * num_ranges) or num_ranges == 64


def test_an_update_that_exceeds_its_memory_spills(tmp_path: Path) -> None:
    urls = [f"host{n % 40}/{'x' * 80}/{n * 7919 % 300_000:06d}" for n in range(300_000)]
    rows = rows_of_links(links_of([(url, 1) for url in urls]))
    paths = KnownPaths(*(tmp_path / name for name in ("known", "candidates", "counts")))
    assert update_known([rows], Budget(10**6), paths, memory_limit="80MB") == (300_000, 300_000)
    assert not list(tmp_path.glob(".*"))
