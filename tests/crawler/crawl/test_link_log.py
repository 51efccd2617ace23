"""The links that a part found."""

from pathlib import Path

from crawler.crawl.link_log import LinkLog
from shards.tables import read_rows


def test_a_url_has_the_least_depth_and_all_signs(tmp_path: Path) -> None:
    with LinkLog(tmp_path / "links") as log:
        for depth, from_url, signs in ((2, "http://a.cn/", 1), (1, "http://a.cn/y", 4), (1, "http://a.cn/x", 0)):
            log.add("http://b.cn:80/", depth, from_url, signs)
        assert log.finish() == 1
    (row,) = read_rows(tmp_path / "links").to_pylist()
    assert row == {"url": "http://b.cn:80/", "host": "b.cn", "depth": 1, "from_url": "http://a.cn/x", "signs": 5}


def test_more_links_than_memory_holds_lie_in_several_runs(tmp_path: Path) -> None:
    with LinkLog(tmp_path / "links", most_in_memory=10) as log:
        for number in [*range(25), *range(25)]:
            log.add(f"http://a.cn/{number}", 1, "", 1)
            assert len(log._links) < 10
        assert log.finish() == 50
    assert set(read_rows(tmp_path / "links")["url"].to_pylist()) == {f"http://a.cn/{number}" for number in range(25)}
