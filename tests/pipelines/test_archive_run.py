"""Runs over archives that an index selects from: the same release in any order, in parts, resumed, politely."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks import checked_plan
from pipelines.flow import archive_index
from pipelines.outlook import describe_plan
from pipelines.tasks import RowFilter, Task
from shards.catalog import open_catalog
from shards.errors import BadInputError, TryAgainError, UsageError
from shards.stores.object_store import ObjectStore
from tests.crawler.archives.tiny_crawl import SEGMENT, Page, Row, cdxj_line, write_parquet, write_warc
from tests.crawler.conftest import Request, Server
from tests.crawler.remote.range_server import ranged
from tests.object_server import Bucket, Trouble
from tests.pipelines.conftest import AGENT, InlinePool, run_inline
from tests.pipelines.test_launch import release_bytes


@pytest.fixture
def server() -> Iterator[Server]:
    """Where archives and indexes lie."""
    started = Server()
    yield started
    started.close()


def crawl_of(folder: Path, images: Server) -> list[Row]:
    """Two archives of four pages each; every other page is English."""
    rows = []
    for file in range(2):
        pages = [
            Page(
                f"http://h{number}.test/",
                f'<img src="{images.url(f"/{number}.png")}" alt="第{number}张图">',
                "zho,eng" if number % 2 == 0 else "eng",
            )
            for number in range(4 * file, 4 * file + 4)
        ]
        rows += write_warc(folder, f"{SEGMENT}/CC-{file}.warc.gz", pages)
    return rows


def recipe(source: dict[str, Any], *servers: Server) -> dict[str, Any]:
    return {
        "name": "archive",
        "source": {"kind": "warc", **source},
        "crawler": {"user_agent": AGENT, "per_host": {"concurrency": 8, "delay_s": 0}, "lanes": 2},
        "network": {"allow_private": [server.address for server in servers]},
        "fetch": {"retries": 0, "total_timeout_s": 5, "backoff_s": 0, "outage_patience_s": 0},
        "release": {"shard_size": 2, "caption": ["alt"]},
        "rules": {},
    }


def by_index(folder: Path, path: Path, where: Any = None, part_records: int = 2) -> dict[str, Any]:
    index: dict[str, Any] = {"paths": [str(path)], "part_records": part_records}
    return {"prefix": str(folder), "index": index | ({} if where is None else {"where": where})}


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(run) as catalog:
        answer = catalog.sql(query)
        assert answer is not None
        return answer.fetchall()


CHINESE = {"languages": ["zho"]}
KEPT = "SELECT text FROM manifest WHERE status = 'kept' ORDER BY text"


def test_only_what_the_index_finds_is_read(tmp_path: Path, images: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    run_inline(recipe(by_index(tmp_path, path, CHINESE), images), tmp_path / "run")
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in (0, 2, 4, 6)]
    found = rows(tmp_path / "run", "SELECT DISTINCT warc_record FROM candidates ORDER BY 1")
    assert [record.rpartition(":")[0] for (record,) in found] == [f"{SEGMENT}/CC-{n}.warc.gz" for n in (0, 0, 1, 1)]


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ({"host": ["h1.test", "*.test"], "languages": []}, range(8)),
        ({"host": ["h1.test", "h5.test"]}, [1, 5]),
        ({"mime": ["text/plain"]}, []),
        ("content_languages LIKE 'zho%' AND url_host_name <> 'h0.test'", [2, 4, 6]),
        ("fetch_status = 404", []),
        (None, range(8)),
    ],
)
def test_conditions_select(tmp_path: Path, images: Server, where: Any, numbers: list[int]) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    run_inline(recipe(by_index(tmp_path, path, where), images), tmp_path / "run")
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in numbers]


def test_neither_form_nor_order_of_the_index_matters(tmp_path: Path, images: Server) -> None:
    found = crawl_of(tmp_path, images)
    mixed = random.Random(3).sample([*found, found[0]], len(found) + 1)  # and one row twice
    (tmp_path / "i.cdxj").write_text("".join(map(cdxj_line, mixed)))
    paths = [
        write_parquet(tmp_path / "i.parquet", found),
        write_parquet(tmp_path / "j.parquet", mixed),
        tmp_path / "i.cdxj",
    ]
    for number, path in enumerate(paths):
        run_inline(recipe(by_index(tmp_path, path, CHINESE), images), tmp_path / f"run{number}")
    first, *others = [release_bytes(tmp_path / f"run{number}") for number in range(3)]
    for other in others:
        assert {name: data for name, data in other.items() if name.endswith((".tar", ".parquet"))} == {
            name: data for name, data in first.items() if name.endswith((".tar", ".parquet"))
        }


def test_parts_are_of_few_files_and_bounded(tmp_path: Path, images: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    for part_records, cuts in [
        (8, [(0, -1)]),
        (4, [(0, -1), (1, -1)]),
        (3, [(0, -1), (0, 3), (1, -1), (1, 3)]),
    ]:
        pool = InlinePool()
        out = tmp_path / f"run{part_records}"
        run_inline(recipe(by_index(tmp_path, path, part_records=part_records), images), out, pool)
        parts = [task.inputs["first"] for _, task in pool.calls if task.step == "collect"]
        names = [f"{SEGMENT}/CC-{file}.warc.gz" for file, _ in cuts]
        assert [first[0] for first in sorted(parts)] == names
        assert [first[1] >= 0 for first in sorted(parts)] == [place >= 0 for _, place in cuts]
        assert rows(out, KEPT) == [(f"第{number}张图",) for number in range(8)]


def test_a_broken_row_is_a_bad_row_and_no_more(tmp_path: Path, images: Server) -> None:
    found = crawl_of(tmp_path, images)
    broken = [
        found[0] | {"warc_record_offset": found[0]["warc_record_offset"] + 3},
        found[1] | {"warc_record_length": 10},
        found[2] | {"warc_filename": f"{SEGMENT}/gone.warc.gz"},
        found[3] | {"warc_filename": "../x"},
        found[4] | {"warc_record_offset": None},
        found[4] | {"warc_record_offset": 2**30},
        *found[5:],
    ]
    path = write_parquet(tmp_path / "i.parquet", broken)
    run_inline(recipe(by_index(tmp_path, path, part_records=100), images), tmp_path / "run")
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in (5, 6, 7)]
    fallen = rows(tmp_path / "run", "SELECT count(*), count(DISTINCT uid) FROM manifest WHERE drop_reason = 'bad_row'")
    assert fallen == [(6, 6)]


def test_an_index_that_finds_nothing_ends_in_an_empty_release(tmp_path: Path, images: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", [])
    run_inline(recipe(by_index(tmp_path, path), images), tmp_path / "run")
    assert rows(tmp_path / "run", "SELECT count(*) FROM manifest") == [(0,)]


def test_runs_of_a_long_index_are_sorted_one_by_one(
    tmp_path: Path, images: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_index, "_RUN_ROWS", 2)
    (tmp_path / "i.cdxj").write_text("".join(map(cdxj_line, crawl_of(tmp_path, images)[::-1])))
    run_inline(recipe(by_index(tmp_path, tmp_path / "i.cdxj", CHINESE), images), tmp_path / "run")
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in (0, 2, 4, 6)]


def test_all_of_it_may_lie_on_a_web_server(tmp_path: Path, images: Server, server: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    run_inline(recipe(by_index(tmp_path, path, CHINESE, 4), images), tmp_path / "near")
    server.pages["/cc-index/i.parquet"] = ranged(path.read_bytes())
    for file in tmp_path.rglob("*.warc.gz"):
        server.pages[f"/{file.relative_to(tmp_path)}"] = ranged(file.read_bytes())
    source = {
        "prefix": server.url("/"),
        "index": {"paths": [server.url("/cc-index/i.parquet")], "where": CHINESE, "part_records": 4},
    }
    pool = InlinePool()
    run_inline(recipe(source, images, server), tmp_path / "far", pool)
    assert rows(tmp_path / "far", KEPT) == rows(tmp_path / "near", KEPT)
    tars = [
        {name: data for name, data in release_bytes(tmp_path / run).items() if "shards/" in name}
        for run in ("near", "far")
    ]
    assert tars[0] == tars[1]
    assert server.most_in_flight <= 8
    archives = [request for request in server.log if request.path.endswith(".warc.gz")]
    assert sum(int(stop) - int(start) for start, stop in map(asked_range, archives)) < 4 * 1000


def asked_range(request: Request) -> list[str]:
    return request.headers["range"].removeprefix("bytes=").split("-")


def test_an_archive_server_is_never_asked_by_more_parts_than_its_host_takes(
    tmp_path: Path, images: Server, server: Server
) -> None:
    crawl_of(tmp_path, images)
    (tmp_path / "paths").write_text("".join(f"{SEGMENT}/CC-{file}.warc.gz\n" for file in range(2)))
    for file in tmp_path.rglob("*.warc.gz"):
        server.pages[f"/{file.relative_to(tmp_path)}"] = ranged(file.read_bytes())
    mapping = recipe({"paths_file": str(tmp_path / "paths"), "prefix": server.url("")}, images, server)
    mapping["crawler"]["per_host"]["concurrency"] = 1
    pool = InlinePool()
    run_inline(mapping, tmp_path / "run", pool)
    assert {task.lane for _, task in pool.calls if task.step == "collect"} == {0}
    assert pool.most_of_a_lane == 1
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in range(8)]


def test_parts_that_are_done_are_not_read_again(tmp_path: Path, images: Server, server: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    for file in tmp_path.rglob("*.warc.gz"):
        server.pages[f"/{file.relative_to(tmp_path)}"] = ranged(file.read_bytes())
    source = by_index(tmp_path, path, CHINESE) | {"prefix": server.url("/")}
    away = server.pages.pop(f"/{SEGMENT}/CC-1.warc.gz")
    server.pages[f"/{SEGMENT}/CC-1.warc.gz"] = lambda request: request.answer(b"", "503 Slow Down")
    with pytest.raises(TryAgainError, match=r"CC-1\.warc\.gz: does not answer for now"):
        run_inline(recipe(source, images, server), tmp_path / "run", InlinePool(slots=1))
    server.pages[f"/{SEGMENT}/CC-1.warc.gz"] = away
    pool = InlinePool()
    run_inline(recipe(source, images, server), tmp_path / "run", pool)
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in (0, 2, 4, 6)]
    assert server.asked(f"/{SEGMENT}/CC-0.warc.gz") == 1
    assert "collect-index" not in pool.steps()


def test_a_fault_of_the_condition_is_told_before_anything_runs(tmp_path: Path, images: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    for where, told in [
        ("content_language = 'zho'", "source.index.where: no column is called 'content_language'; the nearest"),
        ("random() < 0.1", "source.index.where: random"),
        ("fetch_status", "source.index.where: is INTEGER, expected a BOOLEAN"),
    ]:
        with pytest.raises(UsageError, match=told):
            checked_plan(recipe(by_index(tmp_path, path, where)), "test")


def test_a_missing_index_ends_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.parquet"):
        run_inline(recipe(by_index(tmp_path, tmp_path / "gone.parquet")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_plan_tells_what_an_index_is_asked_for(tmp_path: Path, images: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    told = describe_plan(checked_plan(recipe(by_index(tmp_path, path, CHINESE)), "test"))
    assert "parts    collect-index 1; collect: one for about 2 records found" in told
    assert "find     (list_has_any(string_split(content_languages, ','), ['zho']))" in told


def test_a_page_that_kills_its_worker_costs_itself_alone(tmp_path: Path, images: Server) -> None:
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))

    def poison(task: Task, taken: RowFilter) -> None:
        if task.step == "collect" and taken.only is None and not taken.skip:
            raise RuntimeError("unforeseen")
        if task.step == "collect" and taken.only is not None and taken.only[0] <= 1 < taken.only[1]:
            raise RuntimeError("unforeseen")

    mapping = recipe(by_index(tmp_path, path, CHINESE, 100), images)
    result = run_inline(mapping, tmp_path / "run", InlinePool(fault=poison))
    assert result.num_dead == 1
    assert rows(tmp_path / "run", KEPT) == [(f"第{number}张图",) for number in (0, 4, 6)]


def test_all_of_it_may_lie_in_an_object_store(tmp_path: Path, images: Server, bucket: Bucket) -> None:
    store = ObjectStore(bucket.name)
    path = write_parquet(tmp_path / "i.parquet", crawl_of(tmp_path, images))
    run_inline(recipe(by_index(tmp_path, path, CHINESE, 4), images), tmp_path / "near")
    for file in (path, *tmp_path.rglob("CC-*.warc.gz")):
        store.put(str(file.relative_to(tmp_path)), file)
    source = {
        "prefix": bucket.url(),
        "index": {"paths": [bucket.url("*.parquet")], "where": CHINESE, "part_records": 4},
    }
    bucket.server.trouble(Trouble("503", "GET .*warc.gz", every=2, times=2))
    run_inline(recipe(source, images), tmp_path / "far")
    assert rows(tmp_path / "far", KEPT) == rows(tmp_path / "near", KEPT)
    whole = {"paths": [bucket.url("crawl-data/*/*.warc.gz")]}
    run_inline(recipe(whole, images), tmp_path / "whole")
    assert rows(tmp_path / "whole", KEPT) == [(f"第{number}张图",) for number in range(8)]
