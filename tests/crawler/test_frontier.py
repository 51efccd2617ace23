"""Seeds, the hosts that a crawl may visit, and their lanes."""

from pathlib import Path
from typing import Any

import pytest

from crawler.frontier import FRONTIER, Limits, first_round, lane_of, rows_of_lane
from crawler.sources import CrawlSource
from shards.errors import UsageError
from shards.tables import write_table


def limits_of(**more: Any) -> Limits:
    given = {"kind": "crawl", "seeds": ["http://a.test/"], **more}
    return Limits.of(CrawlSource.model_validate(given))


def test_seeds_are_canonical_sorted_and_once_each() -> None:
    table = first_round(["http://B.test", "http://a.test:80/x#y", "http://b.test/", "http://例子.测试/"], lanes=8)
    assert table.schema.equals(FRONTIER)
    expected = ["http://a.test/x", "http://b.test/", "http://xn--fsqu00a.xn--0zwm56d/"]
    assert sorted(table.column("url").to_pylist()) == expected
    assert set(table.column("depth").to_pylist()) == {0}
    assert table["lane"].to_pylist() == sorted(lane_of(host, 8) for host in table["host"].to_pylist())


def test_a_lane_reads_its_rows_of_all_files(tmp_path: Path) -> None:
    paths = [tmp_path / "1", tmp_path / "2"]
    for path, seeds in zip(paths, (["http://a.test/", "http://b.test/"], ["http://a.test/2"]), strict=True):
        write_table(path, first_round(seeds, lanes=8))
    lane = lane_of("a.test", 8)
    assert rows_of_lane(paths, lane)["url"].to_pylist() == ["http://a.test/", "http://a.test/2"]
    assert len(rows_of_lane(paths, None)) == 3
    assert rows_of_lane([], 0).schema.equals(FRONTIER)


def test_seeds_that_are_no_urls_are_all_named() -> None:
    with pytest.raises(UsageError, match=r"'http://\[/', 'ftp://x/'"):
        first_round(["http://[/", "http://a.test/", "ftp://x/"])


@pytest.mark.parametrize("pattern", ["a b", "https://a.test/", "a.test:8080", "a.test/x", "*", "*.", "u@a.test", ""])
def test_a_pattern_that_is_no_host_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"allowed_hosts\n.*no host.*expected e\.g\. www\.example\.cn"):
        limits_of(allowed_hosts=["b.test", pattern])


@pytest.mark.parametrize("seed", ["a.test", "http://", "ftp://a.test/", "http://[/"])
def test_a_seed_that_is_no_url_is_told(seed: str) -> None:
    with pytest.raises(ValueError, match=r"seeds\n.*no http\(s\) URL"):
        CrawlSource(kind="crawl", seeds=["http://a.test/", seed])


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
    assert lane_of("a.test", 1) == 0
