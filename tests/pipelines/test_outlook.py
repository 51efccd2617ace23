"""The outlook: how long politeness alone takes, from how a sample of rows spreads over hosts."""

from pathlib import Path
from typing import Any

import pytest

from crawler.settings import CrawlerSettings, HostOverride, PerHost
from pipelines.checks import checked_plan
from pipelines.outlook import describe_plan, politeness_bound
from tests.pipelines.conftest import AGENT, table_recipe, write_csv


def settings(**given: Any) -> CrawlerSettings:
    return CrawlerSettings(user_agent=AGENT, per_host=PerHost(delay_s=0.5), **given)


def test_the_slowest_host_is_the_bound() -> None:
    lines = politeness_bound({"a.cn": 600, "b.cn": 300, "c.cn": 60, "d.cn": 40}, 7_200_000, settings())
    assert lines == [
        "hosts    of 1,000 rows read: a.cn 60.0% 600.0 h, b.cn 30.0% 300.0 h, c.cn 6.0% 60.0 h; "
        "4 with a lane of their own",
        "bound    for 7,200,000 rows: politeness 600.0 h, CPU 10.0 h over all workers",
    ]


def test_a_host_with_a_longer_delay_counts_for_more() -> None:
    given = settings(hosts={"b.cn": HostOverride(delay_s=5.0)})
    assert "politeness 500.0 h" in politeness_bound({"a.cn": 9, "b.cn": 1}, 3_600_000, given)[1]


@pytest.mark.parametrize(
    ("deadline_h", "late"), [(None, None), (1_000.0, None), (500.0, "3,600,000"), (250.0, "7,200,000")]
)
def test_what_a_deadline_leaves_out_is_told(deadline_h: float | None, late: str | None) -> None:
    lines = politeness_bound({"a.cn": 2, "b.cn": 1}, 10_800_000, settings(deadline_h=deadline_h))
    said = [line for line in lines if "not_attempted" in line]
    if late is None:
        assert said == []
    else:
        assert said == [f"         deadline_h {deadline_h:g}: about {late} rows become `not_attempted`"]


@pytest.mark.parametrize("sampled", [{}, {"a.cn": 0}])
def test_nothing_is_said_of_nothing(sampled: dict[str, int]) -> None:
    assert politeness_bound(sampled, 10, settings()) == []


def test_a_plan_reads_the_table_s_hosts(tmp_path: Path) -> None:
    rows = [(f"http://a.cn/{number}.png", "图") for number in range(30)]
    rows += [("http://B.cn:80/1.png", "图"), ("ftp://c.cn/1", "图"), ("", "图")]
    text = describe_plan(checked_plan(table_recipe(write_csv(tmp_path / "t.csv", rows)), "test"))
    assert "hosts    of 31 rows read: a.cn 96.8%" in text
    assert "bound    for 31 rows: politeness 0.0 h" in text


@pytest.mark.parametrize(
    ("rule", "source", "told"),
    [
        ("not is_icon", {}, "rule r names is_icon, empty in this table source: it drops every row"),
        ("query_rank <= 5 AND author = '甲'", {}, "rule r names author, query_rank"),
        ("is_icon IS NULL OR not is_icon", {}, None),
        ("is_icon IS NOT TRUE", {}, None),
        ("coalesce(license, '') = ''", {}, None),
        ("license LIKE 'http%'", {}, "rule r names license"),
        ("license LIKE 'http%'", {"license": {"column": "caption"}}, None),
        ("not is_icon", {"kind": "crawl", "seeds": ["http://a.cn/"]}, None),
        ("contains(text, query)", {"kind": "crawl", "seeds": ["http://a.cn/"]}, "rule r names query"),
        ("zh_chars >= 1", {}, None),
    ],
)
def test_rules_over_what_a_source_never_fills_are_told(
    tmp_path: Path, rule: str, source: dict[str, Any], told: str | None
) -> None:
    recipe = table_recipe(write_csv(tmp_path / "t.csv", [("http://a.cn/1.png", "图")]), {"r": rule})
    recipe["source"] = source if "kind" in source else recipe["source"] | source
    notes = [line for line in describe_plan(checked_plan(recipe, "test")).splitlines() if line.startswith("note")]
    assert len(notes) == (told is not None)
    assert all(told in note for note in notes if told)
