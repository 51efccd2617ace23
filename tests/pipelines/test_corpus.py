"""Measures of the corpus at admit: images of a host over all buckets, categories by keywords, draws by uid."""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.flow import admit
from pipelines.flow.corpus import draws
from pipelines.tasks import buckets_for
from shards.schema import uid_of
from tests.pipelines.test_admit import Rows, run_to_admit, samples_of

ROWS: Rows = [
    ("http://a.cn/1.jpg", "一只猫"),
    ("http://a.cn/1.jpg#x", "第一张照片"),
    ("http://A.cn/2.jpg", "两只狗"),
    ("http://a.cn:8080/3.jpg", "别的端口"),
    ("http://b.cn/1.jpg", "查看源网页"),
    ("ftp://c.cn/7.jpg", "一只鸟"),
    ("http://", "一条鱼"),
    ("", "没有地址"),
]
ALL = {"known": "host_count >= 1 OR host_share >= 0 OR uid_draw >= 0 OR TRUE"}


@pytest.mark.parametrize("rows_per_bucket", [1000, 3, 1])
@pytest.mark.parametrize("cut", [0, 1, 5])
def test_a_host_is_counted_by_image_over_all_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_bucket: int, cut: int
) -> None:
    monkeypatch.setattr(admit, "buckets_for", functools.partial(buckets_for, rows_per_bucket=rows_per_bucket))
    samples = samples_of(run_to_admit(tmp_path, [ROWS[cut:], ROWS[:cut]], ALL))
    found = {sample["url"]: (sample["host_count"], sample["host_share"]) for sample in samples}
    assert found == {
        "http://a.cn/1.jpg": (3, 0.75),
        "http://A.cn/2.jpg": (3, 0.75),
        "http://a.cn:8080/3.jpg": (3, 0.75),
        "http://b.cn/1.jpg": (1, 0.25),
        "ftp://c.cn/7.jpg": (None, None),
        "http://": (None, None),
        None: (None, None),
    }


def test_rules_over_hosts_drop_before_anything_is_fetched(tmp_path: Path) -> None:
    rules = {"too_common": "host_share <= 0.5", "no_text": "zh_chars >= 1"}
    reasons = {sample["url"]: sample["drop_reason"] for sample in samples_of(run_to_admit(tmp_path, [ROWS], rules))}
    assert reasons == {
        "http://a.cn/1.jpg": "too_common",
        "http://A.cn/2.jpg": "too_common",
        "http://a.cn:8080/3.jpg": "too_common",
        "http://b.cn/1.jpg": None,
        "ftp://c.cn/7.jpg": "blocked_scheme",
        "http://": "bad_url",
        None: "bad_row",
    }


def test_nothing_is_counted_that_no_rule_names(tmp_path: Path) -> None:
    flow = run_to_admit(tmp_path, [ROWS], {"no_text": "zh_chars >= 1"})
    assert not flow.tasks("admit-hosts")
    assert not {"host_count", "host_share", "uid_draw", "keyword_category"} & set(samples_of(flow)[0])


def test_a_draw_is_the_uids_own_whatever_else_there_is(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    many = {row["uid"]: row["uid_draw"] for row in samples_of(run_to_admit(tmp_path, [ROWS], ALL))}
    few = {row["uid"]: row["uid_draw"] for row in samples_of(run_to_admit(tmp_path / "few", [ROWS[4:]], ALL))}
    assert many[uid_of("http://b.cn/1.jpg")] == few[uid_of("http://b.cn/1.jpg")]


@given(st.lists(st.text(max_size=5), min_size=1, unique=True))
def test_draws_lie_from_zero_to_below_one(names: list[str]) -> None:
    found = draws(pa.chunked_array([[uid_of(name) for name in names]]))
    assert ((found >= 0) & (found < 1)).all()
    assert len(set(found.tolist())) == len(names)


def test_draws_are_uniform() -> None:
    found = draws(pa.chunked_array([[uid_of(str(number)) for number in range(10_000)]]))
    assert abs(found.mean() - 0.5) < 0.02
    assert abs((found < 0.1).mean() - 0.1) < 0.02


@pytest.fixture
def keywords(tmp_path: Path) -> Path:
    path = tmp_path / "words.tsv"
    path.write_text("照片\t照片\n动物\t猫 狗 鸟\n", encoding="utf-8")
    return path


def categories(folder: Path, keywords: Path, rules: dict[str, str]) -> tuple[dict[str, Any], str]:
    """The category of each sample, by URL, and the fingerprint of its part."""
    folder.mkdir()
    sections = {"measures": ["keyword_category"], "balance": {"keywords": str(keywords)}}
    flow = run_to_admit(folder, [ROWS], rules, **sections)
    return {row["url"]: row["keyword_category"] for row in samples_of(flow)}, flow.tasks("admit")[0].fingerprint


@pytest.mark.parametrize("rules", [{}, {"no_text": "text LIKE '第%'"}], ids=["all stand", "a text fell"])
def test_a_category_is_by_all_texts_of_an_image_whatever_rules_say(
    tmp_path: Path, keywords: Path, rules: dict[str, str]
) -> None:
    found, _ = categories(tmp_path / "run", keywords, rules)
    assert found["http://a.cn/1.jpg"] == "照片"  # one keyword of each: the first of the table
    assert found["http://A.cn/2.jpg"] == "动物"
    assert found["http://b.cn/1.jpg"] is None
    assert found["ftp://c.cn/7.jpg"] == "动物"


def test_other_keywords_make_other_parts(tmp_path: Path, keywords: Path) -> None:
    before, mark = categories(tmp_path / "a", keywords, {})
    assert categories(tmp_path / "b", keywords, {}) == (before, mark)
    keywords.write_text("人像\t照片\n", encoding="utf-8")
    found, other = categories(tmp_path / "c", keywords, {})
    assert other != mark
    assert found["http://a.cn/1.jpg"] == "人像"
