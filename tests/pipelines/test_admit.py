"""Admit: every candidate is counted once, and an image's sample does not depend on the order of its candidates."""

import functools
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crawler.url_columns import uids
from pipelines.checks import checked_plan
from pipelines.flow import admit, collect
from pipelines.flow.merge import HEAD_COLUMNS, images_of, merged
from pipelines.flow.shuffle import SHUFFLE_ROWS
from pipelines.progress import Progress
from pipelines.runner import Runner
from pipelines.stages import STAGES
from pipelines.tasks import Context, Flow, buckets_for
from shards.lease import Lease
from shards.schema import MAX_TEXTS
from shards.tables import read_rows
from tests.pipelines.conftest import AGENT, InlinePool, write_csv

RULES = {"no_chinese": "zh_chars >= 1", "too_long": "zh_chars < 10", "repeated_text": "text_count <= 2"}

Rows = Sequence[tuple[str, str]]


def run_to_admit(folder: Path, files: Sequence[Rows], rules: dict[str, str] | None = None, **sections: Any) -> Flow:
    """Collect and admit, in this process, of one CSV file per entry of `files`."""
    paths = [str(write_csv(folder / f"table-{number}.csv", rows)) for number, rows in enumerate(files)]
    mapping: dict[str, Any] = {
        "name": "test",
        "source": {"kind": "table", "layout": "wukong", "paths": paths},
        "crawler": {"user_agent": AGENT},
        "rules": RULES if rules is None else rules,
        **sections,
    }
    run = folder / "run"
    run.mkdir()
    with Lease.take(run) as lease:
        context = Context(run, checked_plan(mapping, "recipe"), lease.token)
        runner = Runner(context, InlinePool(), Progress(io.StringIO(), live=False))
        return runner.run([stage for stage in STAGES if stage.name in ("collect", "admit")])


def samples_of(flow: Flow) -> list[dict[str, Any]]:
    tables = [read_rows(flow.context.path(ref)) for ref in flow.refs("admit")]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


@pytest.fixture(params=[None, 4], ids=["one bucket", "4 rows a bucket"])
def buckets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets as small as a test's tables, so that every test crosses from one to the next."""
    if request.param is not None:
        monkeypatch.setattr(admit, "buckets_for", functools.partial(buckets_for, rows_per_bucket=request.param))


MIXED: Rows = [
    ("http://a.cn/1.jpg#b", "一只猫"),
    ("http://a.cn/1.jpg", "两只狗"),
    ("HTTP://A.cn/1.jpg", "一只猫"),
    ("http://a.cn/2.jpg", "a cat"),
    ("http://a.cn/2.jpg", ""),
    ("http://a.cn/3.jpg", "查看源网页"),
    ("http://a.cn/4.jpg", "查看源网页"),
    ("http://a.cn/5.jpg", "查看源网页"),
    ("http://a.cn/5.jpg", "查看源网页"),
    ("http://a.cn/6.jpg", "这是一句很长很长很长的话"),
    ("ftp://a.cn/7.jpg", "一只鸟"),
    ("http://", "一条鱼"),
    ("", "没有地址"),
    ("", "没有地址"),
]


@pytest.mark.usefixtures("buckets")
def test_each_candidate_is_merged_or_a_sample(tmp_path: Path) -> None:
    flow = run_to_admit(tmp_path, [MIXED[:5], MIXED[5:]])
    samples = samples_of(flow)
    records = list(flow.records("admit"))
    assert sum(record.meta["candidates"] for record in records) == len(MIXED) == flow.rows("collect")
    assert sum(record.rows for record in records) == len(samples) == len({sample["uid"] for sample in samples}) == 10
    assert sum(sum(record.counts.values()) for record in records) == len(samples)
    assert [sample["uid"] for sample in samples] == sorted(sample["uid"] for sample in samples)


@pytest.mark.usefixtures("buckets")
def test_a_sample_says_which_rule_its_last_text_fell_by(tmp_path: Path) -> None:
    samples = samples_of(run_to_admit(tmp_path, [MIXED]))
    reasons = {sample["url"] or "none": sample["drop_reason"] for sample in samples}
    assert reasons == {
        "HTTP://A.cn/1.jpg": None,
        "http://a.cn/2.jpg": "no_chinese",
        **{f"http://a.cn/{number}.jpg": "repeated_text" for number in (3, 4, 5)},
        "http://a.cn/6.jpg": "too_long",
        "ftp://a.cn/7.jpg": "blocked_scheme",
        "http://": "bad_url",
        "none": "bad_row",
    }


@pytest.mark.usefixtures("buckets")
def test_text_count_counts_images_over_all_buckets_and_each_once(tmp_path: Path) -> None:
    samples = samples_of(run_to_admit(tmp_path, [MIXED[:7], MIXED[7:]]))
    counts = {(sample["url"], text["text"]): text["text_count"] for sample in samples for text in sample["texts"]}
    assert {counts[f"http://a.cn/{number}.jpg", "查看源网页"] for number in (3, 4, 5)} == {3}
    assert counts["HTTP://A.cn/1.jpg", "一只猫"] == 1
    assert counts["http://a.cn/2.jpg", None] is None


@pytest.mark.usefixtures("buckets")
@pytest.mark.parametrize("rules", [RULES, {}], ids=["counted", "not counted"])
def test_permuted_rows_give_the_same_bytes(tmp_path: Path, rules: dict[str, str]) -> None:
    named = [row for row in MIXED if row[0]]  # a row without a URL is named by its place, which is what changes here
    digests = set()
    for seed in range(2):
        rows = random.Random(seed).sample(named, len(named))
        folder = tmp_path / str(seed)
        folder.mkdir()
        flow = run_to_admit(folder, [rows[:4], rows[4:]], rules)
        digests.add(tuple(file.sha256 for record in flow.records("admit") for file in record.files))
    assert len(digests) == 1


def test_the_number_of_buckets_changes_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rows_per_bucket in (1000, 5, 2):
        monkeypatch.setattr(admit, "buckets_for", functools.partial(buckets_for, rows_per_bucket=rows_per_bucket))
        folder = tmp_path / str(rows_per_bucket)
        folder.mkdir()
        found.append(samples_of(run_to_admit(folder, [MIXED])))
    assert found[0] == found[1] == found[2]


def test_runs_of_images_change_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for images_at_once in (1000, 2, 1):
        monkeypatch.setattr(admit, "_IMAGES_AT_ONCE", images_at_once)
        folder = tmp_path / str(images_at_once)
        folder.mkdir()
        found.append(samples_of(run_to_admit(folder, [MIXED])))
    assert found[0] == found[1] == found[2]


def test_a_part_too_large_for_a_task_is_shuffled_by_several_and_changes_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for most, num_tasks in ((SHUFFLE_ROWS, 1), (14, 1), (13, 2), (5, 3), (1, 14)):
        monkeypatch.setattr(admit, "SHUFFLE_ROWS", most)
        monkeypatch.setattr(collect, "_ROW_GROUP", 3)
        folder = tmp_path / str(most)
        folder.mkdir()
        flow = run_to_admit(folder, [MIXED])
        assert len(flow.tasks("admit-shuffle")) == num_tasks
        assert flow.rows("admit-shuffle") == len(MIXED)
        found.append(samples_of(flow))
    assert all(samples == found[0] for samples in found)


def test_a_table_without_rows_gives_no_sample(tmp_path: Path) -> None:
    flow = run_to_admit(tmp_path, [[]])
    assert samples_of(flow) == []
    assert flow.rows("collect") == flow.rows("admit") == 0


def candidates(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Candidates of admit, each of http://a.cn/<n>.jpg, other columns null unless given."""
    names = ("uid", *HEAD_COLUMNS, "kind", "text", "drop_reason", "detail")
    filled = [dict.fromkeys(names) | {"canonical_url": row["url"]} | row for row in rows]
    types = {"query_rank": pa.int32()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    table = pa.Table.from_pylist(filled, schema=schema)
    return table.set_column(0, "uid", uids(table["canonical_url"]))


def merge(rows: Sequence[dict[str, Any]], scratch: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    table = candidates(rows)
    texts, heads = merged(table, images_of(table["uid"]), ["uid", "kind", "text", "drop_reason", "detail"], scratch)
    return texts.to_pylist(), heads.to_pylist()


def test_a_query_keeps_its_rank_and_the_best_rank_counts(tmp_path: Path) -> None:
    def row(number: int, query: str | None, rank: int | None) -> dict[str, Any]:
        url = f"http://a.cn/{number}.jpg"
        return {"url": url, "canonical_url": url, "host": "a.cn", "query": query, "query_rank": rank}

    found = [(1, "塔", 9), (1, "湖", 2), (1, "雪", 2), (1, None, None), (2, "塔", None), (2, "湖", 700), (3, "山", 5)]
    found += [(4, "b", None), (4, "a", None), (5, None, None), (5, None, None)]
    expected = {("湖", 2), ("湖", 700), ("山", 5), ("a", None), (None, None)}
    for rows in (found, found[::-1]):
        _, heads = merge([row(*given) for given in rows], tmp_path)
        assert {(head["query"], head["query_rank"]) for head in heads} == expected
        assert len(heads) == 5


def test_a_head_has_the_smallest_values_and_the_number_of_pages(tmp_path: Path) -> None:
    same = {"canonical_url": "http://a.cn/1.jpg", "host": "a.cn"}
    rows: list[dict[str, str | None]] = [
        {**same, "url": "http://a.cn/1.jpg#z", "page_url": "http://b.cn/", "query": None, "license": "CC0"},
        {**same, "url": "http://a.cn/1.jpg#a", "page_url": "http://c.cn/", "query": "猫", "license": None},
        {**same, "url": "http://a.cn/1.jpg#b", "page_url": "http://b.cn/", "query": "狗", "license": "CC0"},
        {**same, "url": "http://a.cn/1.jpg#b", "page_url": None, "query": None, "license": None},
        {"url": "http://a.cn/2.jpg", "page_url": "http://d.cn/"},
        {"url": "http://a.cn/3.jpg"},
    ]
    for order in (rows, rows[::-1]):
        _, heads = merge(order, tmp_path)
        by_url = {head["canonical_url"]: head for head in heads}
        head = by_url["http://a.cn/1.jpg"]
        assert (head["url"], head["page_url"], head["query"]) == ("http://a.cn/1.jpg#a", "http://b.cn/", "狗")
        assert (head["license"], head["host"], head["category"], head["num_pages"]) == ("CC0", "a.cn", None, 2)
        assert by_url["http://a.cn/2.jpg"]["num_pages"] == 1
        assert by_url["http://a.cn/3.jpg"]["num_pages"] == 0


def test_texts_lie_in_the_order_of_kinds_and_a_wording_keeps_its_best_kind(tmp_path: Path) -> None:
    texts = [
        ("zoo", "乙"),
        ("query", "甲"),
        ("alt", "猫"),
        ("caption", "狗"),
        ("alt", "狗"),
        ("aaa", "乙"),
        (None, None),
    ]
    rows: list[dict[str, str | None]] = [{"url": "http://a.cn/1.jpg", "kind": k, "text": t} for k, t in texts]
    for order in (rows, rows[::-1]):
        found, _ = merge(order, tmp_path)
        assert [(text["kind"], text["text"]) for text in found] == [
            ("caption", "狗"),
            ("alt", "猫"),
            ("query", "甲"),
            ("aaa", "乙"),
            (None, None),
        ]


def test_sound_texts_come_before_broken_ones_when_there_are_too_many(tmp_path: Path) -> None:
    broken: list[dict[str, str | None]] = [
        {
            "url": "http://a.cn/1.jpg",
            "kind": "caption",
            "text": f"坏{n}",
            "drop_reason": "bad_text",
            "detail": "contact",
        }
        for n in range(20)
    ]
    sound: list[dict[str, str | None]] = [
        {"url": "http://a.cn/1.jpg", "kind": "alt", "text": f"好{n:02}"} for n in range(MAX_TEXTS + 8)
    ]
    texts, heads = merge([*broken, *sound], tmp_path)
    assert len(heads) == 1
    assert [text["text"] for text in texts] == [f"好{n:02}" for n in range(MAX_TEXTS)]


@pytest.mark.parametrize(
    ("url", "canonical", "host"),
    [
        ("http://a.cn/1.jpg", "http://a.cn/1.jpg", "a.cn"),
        ("http://a.cn/1.jpg#x", "http://a.cn/1.jpg", "a.cn"),
        ("http://", None, None),
        (None, None, None),
    ],
)
def test_a_canonical_url_survives_the_shuffle(url: str | None, canonical: str | None, host: str | None) -> None:
    columns = {"url": url, "canonical_url": canonical, "host": host}
    table = pa.table({name: pa.array([value], pa.string()) for name, value in columns.items()})
    narrow = admit._without_copies(table)
    assert narrow["canonical_url"].to_pylist() == [None if url == canonical else canonical]
    assert admit._with_copies(narrow).equals(table)
