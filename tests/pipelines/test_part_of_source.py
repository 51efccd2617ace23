"""`--limit` and `--sample`: which rows a run looks at, whatever the workers, slices and kills, and that it says so."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from pipelines.checks import checked_plan
from pipelines.cli import app
from pipelines.flow.part_of_source import sampled
from pipelines.funnel import print_funnel
from pipelines.launch import run_recipe
from pipelines.outlook import describe_plan
from pipelines.part_of_source import with_part
from pipelines.progress import Progress
from pipelines.recipe import RecipeMapping
from pipelines.release_again import release_again
from pipelines.tasks import RowFilter, Task
from shards.catalog import open_catalog
from shards.errors import BadInputError, UsageError
from tests.crawler.archives.tiny_crawl import Page, write_parquet, write_warc
from tests.crawler.conftest import Server, serve
from tests.crawler.lists.shard_files import write_tar
from tests.crawler.search.search_engine import SearchEngine
from tests.object_server import Bucket
from tests.pipelines.conftest import InlinePool, photograph, run_inline, table_recipe, write_csv
from tests.pipelines.on_store import run_on_store
from tests.pipelines.test_launch import release_bytes

NUM_ROWS = 240


def part(mapping: dict[str, Any], **said: float) -> dict[str, Any]:
    """The recipe with `limit` and `sample` in its source, where `--limit` and `--sample` put them."""
    return mapping | {"source": mapping["source"] | said}


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(run) as catalog:
        answer = catalog.sql(query)
        assert answer is not None
        return answer.fetchall()


def texts(run: Path) -> list[str]:
    return [text for (text,) in rows(run, "SELECT text FROM candidates ORDER BY text")]


_OF_IMAGES = "SELECT uid, text FROM candidates ORDER BY ALL"


def half_of(run: Path) -> list[tuple[Any, ...]]:
    """What a sample of 0.5 keeps of a run's candidates: all or none of them, as the server's port has it."""
    found = pa.table(dict(zip(("uid", "text"), zip(*rows(run, _OF_IMAGES), strict=True), strict=True)))
    return [tuple(row.values()) for row in sampled(found, found["uid"], 0.5).to_pylist()]


Writer = Callable[[Path], Path]


def _as_csv(folder: Path) -> Path:
    for name, numbers in (("a", range(200)), ("b", range(200, NUM_ROWS))):
        write_csv(folder / f"{name}.csv", [(f"ftp://a.cn/{n // 2}.jpg", f"第{n:04d}行") for n in numbers])
    return folder / "*.csv"


def _as_jsonl(folder: Path) -> Path:
    for name, numbers in (("a", range(200)), ("b", range(200, NUM_ROWS))):
        lines = [json.dumps({"url": f"ftp://a.cn/{n // 2}.jpg", "caption": f"第{n:04d}行"}) for n in numbers]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "*.jsonl"


def _as_parquet(folder: Path) -> Path:
    for name, numbers in (("a", range(200)), ("b", range(200, NUM_ROWS))):
        urls, captions = ([form.format(n) for n in numbers] for form in ("ftp://a.cn/{0}.jpg", "第{0:04d}行"))
        pq.write_table(pa.table({"url": urls, "caption": captions}), folder / f"{name}.parquet", row_group_size=16)
    return folder / "*.parquet"


FORMS: dict[str, Writer] = {"csv": _as_csv, "jsonl": _as_jsonl, "parquet": _as_parquet}


@pytest.fixture(params=FORMS)
def table(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two files of 200 and 40 rows, cut into many slices: of CSV and JSON nobody knows how many rows each holds."""
    monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", 700)
    monkeypatch.setattr("crawler.lists.tables.SLICE_ROWS", 30)
    return table_recipe(FORMS[request.param](tmp_path))


@pytest.mark.parametrize("limit", [1, 33, 200, 201, NUM_ROWS, 10_000])
def test_a_limit_takes_the_first_rows_of_the_source(tmp_path: Path, table: dict[str, Any], limit: int) -> None:
    stats = run_inline(part(table, limit=limit), tmp_path / "run").stats
    assert stats["candidates"] == min(limit, NUM_ROWS)
    assert texts(tmp_path / "run") == [f"第{n:04d}行" for n in range(min(limit, NUM_ROWS))]
    assert stats["part_of_source"] == f"limit {limit:,} rows"


@pytest.mark.parametrize("said", [{"limit": 77}, {"sample": 0.4}, {"limit": 150, "sample": 0.5}])
def test_a_part_is_the_same_whatever_workers_and_kills(
    tmp_path: Path, table: dict[str, Any], said: dict[str, float]
) -> None:
    mapping = part(table, **said)
    run_inline(mapping, tmp_path / "one", InlinePool(slots=1))
    run_inline(mapping, tmp_path / "many", InlinePool(slots=7))
    assert release_bytes(tmp_path / "one") == release_bytes(tmp_path / "many")
    deaths = 0
    while True:  # dies before each part that it comes to, and goes on
        started: list[str] = []

        def die(task: Task, _: RowFilter, started: list[str] = started) -> None:
            started.append(task.step)
            if len(started) > 1 and task.step == "collect":
                raise BadInputError("killed")

        try:
            run_inline(mapping, tmp_path / "killed", InlinePool(slots=1, fault=die))
            break
        except BadInputError:
            deaths += 1
    assert deaths >= 2
    assert release_bytes(tmp_path / "killed") == release_bytes(tmp_path / "one")


def test_with_a_limit_no_more_is_planned_than_it_takes(tmp_path: Path, table: dict[str, Any]) -> None:
    last = sorted(Path(table["source"]["paths"][0]).parent.glob("b.*"))[0]
    last.write_bytes(b"nothing that could be read as a table\xff")
    pool = InlinePool(slots=4)
    run_inline(part(table, limit=40), tmp_path / "run", pool)
    assert pool.steps().count("collect") <= 4
    assert texts(tmp_path / "run") == [f"第{n:04d}行" for n in range(40)]
    with pytest.raises(BadInputError, match=re.escape(last.name)):
        run_inline(part(table, limit=201), tmp_path / "further")


def test_a_sample_is_of_images_and_a_smaller_one_lies_in_a_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = table_recipe(_as_csv(tmp_path))
    found: dict[float, set[str]] = {}
    for share in (0.05, 0.3, 0.7, 1):
        monkeypatch.setattr("crawler.lists.tables.SLICE_BYTES", int(4000 * share) + 500)
        stats = run_inline(part(mapping, sample=share), tmp_path / f"run-{share}").stats
        pairs = rows(tmp_path / f"run-{share}", "SELECT uid, count(*) FROM candidates GROUP BY uid")
        assert {count for _, count in pairs} == {2}, "both rows of an image, or none"
        found[share] = {uid for uid, _ in pairs}
        assert stats.get("part_of_source") == (None if share == 1 else f"sampled {share} by uid")
    assert found[0.05] < found[0.3] < found[0.7] < found[1]
    assert len(found[1]) == NUM_ROWS // 2
    for share, uids in found.items():
        assert abs(len(uids) / len(found[1]) - share) < 0.15
    firsts = {uid[0] for uid in found[0.3]}
    assert len(firsts) > 8, "a sample is drawn from all ranges of uids"


def test_rows_that_cannot_be_read_are_sampled_too_and_a_sample_may_be_empty(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [(f"no url {n}", "一") for n in range(100)])
    run_inline(part(table_recipe(path), sample=0.5), tmp_path / "half")
    assert 25 < len(texts(tmp_path / "half")) < 75
    stats = run_inline(part(table_recipe(path), sample=1e-9), tmp_path / "none").stats
    assert (stats["candidates"], stats["samples"], stats["kept"]) == (0, 0, 0)
    assert stats["part_of_source"] == "sampled 1e-09 by uid"


def test_a_limit_counts_what_is_read_and_a_sample_is_taken_of_that(tmp_path: Path) -> None:
    mapping = table_recipe(_as_csv(tmp_path))
    run_inline(part(mapping, limit=100), tmp_path / "limited")
    run_inline(part(mapping, sample=0.3), tmp_path / "sampled")
    run_inline(part(mapping, limit=100, sample=0.3), tmp_path / "both")
    both = set(texts(tmp_path / "both"))
    assert both == set(texts(tmp_path / "limited")) & set(texts(tmp_path / "sampled"))
    assert 10 < len(both) < 60


def refused(mapping: dict[str, Any], out: Path | str) -> str:
    def never() -> InlinePool:
        raise AssertionError("a pool was opened")

    with pytest.raises(UsageError) as caught:
        run_recipe(mapping, "recipe test", str(out), never, Progress(io.StringIO(), live=False))
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"limit": 30}, {}, ["limit 30 rows", "all of its source", "go on with --limit 30,"]),
        ({"limit": 30}, {"limit": 31}, ["limit 30 rows", "limit 31 rows"]),
        ({}, {"limit": 30}, ["all of its source", "without --limit and --sample"]),
        ({"sample": 0.5}, {"sample": 0.6}, ["sampled 0.5 by uid", "sampled 0.6 by uid", "go on with --sample 0.5,"]),
        ({"limit": 30, "sample": 0.5}, {"limit": 30}, ["go on with --limit 30 --sample 0.5,"]),
    ],
)
def test_a_run_goes_on_with_the_part_with_which_it_began(
    tmp_path: Path, before: dict[str, float], now: dict[str, float], told: list[str]
) -> None:
    mapping, run = table_recipe(_as_csv(tmp_path)), tmp_path / "run"
    run_inline(part(mapping, **before), run)
    kept = release_bytes(run)
    message = refused(part(mapping, **now), run)
    assert all(words in message for words in told), message
    assert "\n" not in message
    assert "another source" in refused(
        part(mapping, **now) | {"source": {**mapping["source"], "strength": "weak"}}, run
    )
    pool = InlinePool()
    run_inline(part(mapping, **before), run, pool)
    assert pool.calls == []
    assert release_bytes(run) == kept
    facts = json.loads((run / "run.json").read_bytes())
    assert facts["part_of_source"] == {"limit": before.get("limit"), "sample": before.get("sample")}


def test_a_run_of_an_earlier_version_knew_no_parts_and_goes_on_whole(tmp_path: Path) -> None:
    mapping, run = table_recipe(_as_csv(tmp_path)), tmp_path / "run"
    run_inline(mapping, run)
    written = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    del written["source"]["limit"], written["source"]["sample"]
    (run / "recipe.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    pool = InlinePool()
    run_inline(mapping, run, pool)
    assert pool.calls == []


def test_everything_that_is_said_of_a_release_says_that_it_is_of_a_part(tmp_path: Path) -> None:
    mapping = part(table_recipe(_as_csv(tmp_path)), limit=1000, sample=0.25)
    run = tmp_path / "run"
    run_inline(mapping, run)
    told = "limit 1,000 rows, sampled 0.25 by uid"
    for name in ("README.md", "report.html", "croissant.json", "stats.json"):
        assert told in (run / "release" / name).read_text(encoding="utf-8"), name
    shown = _funnel(run)
    assert f"source   ({told})" in shown
    again = tmp_path / "whole"
    run_inline(part(mapping, limit=1000, sample=1) | {"source": table_recipe(tmp_path / "*.csv")["source"]}, again)
    for name in ("README.md", "report.html", "croissant.json", "stats.json"):
        said = (again / "release" / name).read_text(encoding="utf-8")
        assert not any(words in said for words in ("of a part", "a part of that source", "part_of_source")), name
    assert "source" not in _funnel(again)


def _funnel(run: Path) -> str:
    from rich.console import Console

    out = io.StringIO()
    print_funnel(run, Console(file=out, width=120))
    return out.getvalue()


def test_a_run_that_is_decided_again_is_still_of_its_part(tmp_path: Path) -> None:
    whole = table_recipe(_as_csv(tmp_path))
    run_inline(part(whole, limit=50), tmp_path / "run")
    progress = Progress(io.StringIO(), live=False)
    other = whole | {"rules": {"none": "zh_chars > 100"}}
    run_inline(part(whole, limit=50) | {"measures": ["zh_chars"]}, tmp_path / "run")
    made = release_again(tmp_path / "run", other, "recipe other", str(tmp_path / "out"), True, InlinePool, progress)
    assert made.stats["part_of_source"] == "limit 50 rows"
    with pytest.raises(UsageError, match="is not the source of"):
        release_again(tmp_path / "run", part(other, limit=60), "other", str(tmp_path / "b"), True, InlinePool, progress)


def test_a_plan_tells_the_part(tmp_path: Path, table: dict[str, Any]) -> None:
    told = describe_plan(checked_plan(part(table, limit=40, sample=0.5), "recipe test"))
    assert "recipe test: source table, limit 40 rows, sampled 0.5 by uid\n" in told


def archive_recipe(source: dict[str, Any], *servers: Server) -> dict[str, Any]:
    mapping = table_recipe(Path("none"), network={"allow_private": [server.address for server in servers]})
    return mapping | {"source": {"kind": "warc", **source}, "release": {"shard_size": 4, "caption": ["alt"]}}


@pytest.mark.parametrize("by_index", [False, True])
def test_of_archives_no_more_is_read_than_a_limit_takes(tmp_path: Path, images: Server, by_index: bool) -> None:
    found = []
    for file in range(3):
        pages = [
            Page(f"http://h{n}.test/", f'<img src="{images.url(f"/{n % 8}.png")}" alt="第{n}张图">')
            for n in range(4 * file, 4 * file + 4)
        ]
        found += write_warc(tmp_path, f"cc/CC-{file}.warc.gz", pages)
    index = {"paths": [str(write_parquet(tmp_path / "i.parquet", found))], "part_records": 4}
    source = {"prefix": str(tmp_path), "index": index} if by_index else {"paths": [str(tmp_path / "cc/*.warc.gz")]}
    if not by_index:
        (tmp_path / "cc/CC-2.warc.gz").write_bytes(b"no archive")
    mapping = archive_recipe(source, images)
    pool = InlinePool(slots=3)
    run_inline(part(mapping, limit=6), tmp_path / "run", pool)
    assert texts(tmp_path / "run") == [f"第{n}张图" for n in range(6)]
    assert pool.steps().count("collect") == 2
    run_inline(part(mapping, limit=6, sample=0.5), tmp_path / "both")
    assert rows(tmp_path / "both", _OF_IMAGES) == half_of(tmp_path / "run")


def test_of_tars_no_more_is_read_than_a_limit_takes(tmp_path: Path) -> None:
    for tar in range(3):
        members = [
            member
            for n in range(3)
            for member in ((f"{n}.png", photograph(3 * tar + n, 64, 64)), (f"{n}.txt", f"图{3 * tar + n}".encode()))
        ]
        write_tar(tmp_path / f"{tar}.tar", members)
    (tmp_path / "2.tar").write_bytes(b"no tar")
    mapping = table_recipe(Path("none")) | {"source": {"kind": "shards", "paths": [str(tmp_path / "*.tar")]}}
    stats = run_inline(part(mapping, limit=4), tmp_path / "run").stats
    assert texts(tmp_path / "run") == ["图0", "图1", "图2", "图3"]
    assert stats["kept"] == 4


def test_a_search_puts_no_query_whose_results_a_limit_does_not_take(tmp_path: Path) -> None:
    engine = SearchEngine(num_results=5, page_size=2)
    for rank in range(1, 6):
        engine.server.pages[f"/{rank}.png"] = serve(photograph(rank), Content_Type="image/png")
    queries = tmp_path / "queries.tsv"
    queries.write_text("湖\n塔\n山\n", encoding="utf-8")
    source = {"kind": "search", "queries": str(queries), "endpoint": engine.describe(), "query_as_text": False}
    mapping = table_recipe(Path("none"), network={"allow_private": [engine.server.address]}) | {"source": source}
    mapping["release"] = {"shard_size": 4, "caption": ["title"]}
    try:
        run_inline(part(mapping, limit=3), tmp_path / "few")
        assert engine.asked == [("湖", 1), ("湖", 2)]
        run_inline(part(mapping, limit=14), tmp_path / "more")  # a query gives ten rows
        assert {query for query, _ in engine.asked[2:]} == {"湖", "塔"}
    finally:
        engine.close()
    origins = "SELECT origin, kind FROM candidates ORDER BY origin, kind"
    assert rows(tmp_path / "few", origins) == [
        ("queries.tsv:1:1", "description"),
        ("queries.tsv:1:1", "title"),
        ("queries.tsv:1:2", "title"),
    ]
    assert len(rows(tmp_path / "more", origins)) == 14


def test_a_crawl_visits_no_more_pages_than_a_limit_says(tmp_path: Path) -> None:
    server = Server()
    for number in range(6):
        links = "".join(f'<a href="/{n}.html">{n}</a>' for n in range(6))
        body = f'<html lang="zh"><body>{links}<img src="/{number}.png" alt="第{number}张照片"></body></html>'
        server.pages[f"/{number}.html"] = serve(body.encode(), Content_Type="text/html; charset=utf-8")
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
    mapping = table_recipe(Path("none"), network={"allow_private": [server.address]})
    seeds = [server.url(f"/{number}.html") for number in (3, 1, 2)]
    mapping |= {"source": {"kind": "crawl", "seeds": seeds, "sitemaps": False, "rounds": 3}}
    mapping["release"] = {"shard_size": 4, "caption": ["alt"]}
    pages = "SELECT url FROM pages ORDER BY url"
    try:
        run_inline(part(mapping, limit=2), tmp_path / "seeds")
        assert [url for (url,) in rows(tmp_path / "seeds", pages)] == sorted(seeds[:2])
        stats = run_inline(part(mapping, limit=5, sample=0.5), tmp_path / "more").stats
        assert len(rows(tmp_path / "more", pages)) == 5, "all pages are visited, and of their images a share is taken"
        run_inline(part(mapping, limit=5), tmp_path / "unsampled")
        assert rows(tmp_path / "more", _OF_IMAGES) == half_of(tmp_path / "unsampled")
        assert stats["part_of_source"] == "limit 5 pages, sampled 0.5 by uid"
    finally:
        server.close()


def test_on_a_store_a_part_is_the_same_and_is_known_elsewhere(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_SCRATCH", str(tmp_path / "scratch"))
    mapping = table_recipe(_as_csv(tmp_path))
    local = run_inline(part(mapping, limit=30, sample=0.5), tmp_path / "run").stats
    assert run_on_store(part(mapping, limit=30, sample=0.5), bucket).stats == local
    shutil.rmtree(tmp_path / "scratch")
    assert "limit 30 rows" in refused(part(mapping, limit=31, sample=0.5), bucket.url("runs/run"))
    pool = InlinePool()
    run_on_store(part(mapping, limit=30, sample=0.5), bucket, pool)
    assert pool.calls == []


@pytest.mark.parametrize(
    "option",
    [
        *(["--limit", text] for text in ("0", "-1", "1.5", "nan", "many", "", "1e3", "٣", "9" * 30)),
        *(["--sample", text] for text in ("0", "-0.1", "1.01", "2", "nan", "inf", "half", "", "1%")),
    ],
)
def test_what_can_be_no_part_is_refused_in_one_line(tmp_path: Path, option: list[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(table_recipe(_as_csv(tmp_path))), encoding="utf-8")
    ended = CliRunner().invoke(app, ["run", str(recipe), "--out", str(tmp_path / "run"), *option])
    assert ended.exit_code == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(f"curate: {option[0]} {option[1]}: expected")
    assert not (tmp_path / "run").exists()


def test_options_go_where_the_recipe_would_say_it() -> None:
    mapping = RecipeMapping({"source": {"kind": "table", "limit": 5}, "name": "x"}, {"source.limit": "line 3"})
    made = with_part(mapping, "7", "0.5")
    assert made["source"] == {"kind": "table", "limit": 7, "sample": 0.5}
    assert made.said_at == {"source.limit": "--limit", "source.sample": "--sample"}
    assert mapping["source"] == {"kind": "table", "limit": 5}
    assert with_part(RecipeMapping({}, {}), "7", None) == {}
