"""A run over a search: from queries to a release, resumed without asking again, and killed at the worst moment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from pipelines.checks import checked_plan
from pipelines.outlook import describe_plan
from shards.catalog import open_catalog
from shards.errors import TryAgainError, UsageError
from tests.crawler.conftest import Request, serve
from tests.crawler.search.search_engine import SearchEngine
from tests.pipelines.conftest import AGENT, InlinePool, photograph, run_inline
from tests.pipelines.test_launch import release_bytes

KEY = "s3cret-key"


@pytest.fixture
def engine() -> Iterator[SearchEngine]:
    started = SearchEngine(num_results=5, page_size=2)
    for rank in range(1, 6):
        started.server.pages[f"/{rank}.png"] = serve(photograph(rank), Content_Type="image/png")
    yield started
    started.close()


def recipe(folder: Path, engine: SearchEngine, queries: list[str], **source: Any) -> dict[str, Any]:
    path = folder / "queries.tsv"
    path.write_text("query\tfrequency\n" + "".join(f"{query}\t1\n" for query in queries), encoding="utf-8")
    return {
        "name": "search",
        "source": {"kind": "search", "queries": str(path), "endpoint": engine.describe(), "part_queries": 2} | source,
        "crawler": {"user_agent": AGENT, "per_host": {"concurrency": 8, "delay_s": 0}, "lanes": 2},
        "network": {"allow_private": [engine.server.address]},
        "fetch": {"retries": 0, "total_timeout_s": 5, "backoff_s": 0},
        "release": {"shard_size": 2, "caption": ["title"]},
        "rules": {"best": "query_rank <= 4", "named": "contains(text, query)"},
    }


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(run) as catalog:
        answer = catalog.sql(query)
        assert answer is not None
        return answer.fetchall()


def test_queries_become_a_release(tmp_path: Path, engine: SearchEngine) -> None:
    engine.answers = {
        ("塔", 1): {"results": [engine.result("塔", 3), {"title": "no image"}, engine.result("塔", 5)]},
        ("塔", 2): lambda request: request.answer(b"", "500 Oops"),
        ("空", 1): {"results": []},
    }
    result = run_inline(recipe(tmp_path, engine, ["湖", "塔", "空"]), tmp_path / "run")
    run = tmp_path / "run"
    ends = rows(run, "SELECT line, query, num_pages, num_results, drop_reason FROM queries ORDER BY line")
    assert ends == [(2, "湖", 4, 5, None), (3, "塔", 2, 3, "http_status"), (4, "空", 1, 0, None)]
    kept = rows(run, "SELECT url, query, query_rank, text, text_kind, license FROM manifest WHERE status = 'kept'")
    assert sorted(kept) == [
        (
            engine.server.url(f"/{number}.png"),
            query,
            rank,
            f"{query}的第{number}张",
            "title",
            "https://creativecommons.org/publicdomain/zero/1.0/",
        )
        for number, query, rank in [(1, "湖", 1), (2, "湖", 2), (3, "塔", 1), (4, "湖", 4), (5, "塔", 3)]
    ]
    dropped = rows(run, "SELECT drop_reason, detail, query, query_rank FROM manifest WHERE status = 'dropped'")
    assert sorted(dropped) == [("bad_row", "no url", "塔", 2), ("http_status", "500", "塔", None)]
    assert result.stats["kept"] == 5
    origins = {origin for (origin,) in rows(run, "SELECT origin FROM candidates WHERE query = '塔'")}
    assert origins == {"queries.tsv:3:1", "queries.tsv:3:2", "queries.tsv:3:3", "queries.tsv:3:page 2"}
    kinds = {kind for (kind,) in rows(run, "SELECT DISTINCT kind FROM candidates WHERE kind IS NOT NULL")}
    assert kinds == {"title", "description", "query"}


def test_a_finished_search_asks_for_nothing_again(tmp_path: Path, engine: SearchEngine) -> None:
    given = recipe(tmp_path, engine, ["湖", "塔", "桥"])
    run_inline(given, tmp_path / "run")
    released, asked = release_bytes(tmp_path / "run"), len(engine.server.log)
    pool = InlinePool()
    run_inline(given, tmp_path / "run", pool)
    assert "search" not in pool.steps()
    run_inline(given | {"rules": {"first": "query_rank = 1"}}, tmp_path / "run")
    assert len(engine.server.log) == asked
    run_inline(given, tmp_path / "run")
    assert release_bytes(tmp_path / "run") == released


def test_longer_lists_ask_for_what_is_new(tmp_path: Path, engine: SearchEngine) -> None:
    run_inline(recipe(tmp_path, engine, ["湖", "塔"]), tmp_path / "run")
    asked = len(engine.asked)
    run_inline(recipe(tmp_path, engine, ["湖", "塔", "桥"]), tmp_path / "run")
    assert {query for query, _ in engine.asked[asked:]} == {"桥"}


def test_a_quota_that_is_used_up_leaves_a_run_to_go_on_with(tmp_path: Path, engine: SearchEngine) -> None:
    given = recipe(tmp_path, engine, ["湖", "塔", "桥", "山"])
    run_inline(given, tmp_path / "whole")
    mark = len(engine.asked)
    engine.answers = {("桥", 2): lambda request: request.answer(b"", "429 No", {"Retry-After": "86400"})}
    with pytest.raises(TryAgainError, match="run the same command again later"):
        run_inline(given, tmp_path / "run")
    engine.answers = {}
    run_inline(given, tmp_path / "run")
    again = [pair for pair, count in Counter(engine.asked[mark:]).items() if count > 1]
    assert again == [("桥", 2)]
    assert release_bytes(tmp_path / "run") == release_bytes(tmp_path / "whole")


def test_a_key_is_in_no_file_of_the_run(tmp_path: Path, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    key = {"env": "SEARCH_KEY", "parameter": "key"}
    given = recipe(tmp_path, engine, ["湖"], endpoint=engine.describe(key=key))
    monkeypatch.delenv("SEARCH_KEY", raising=False)
    with pytest.raises(UsageError, match="set the environment variable SEARCH_KEY"):
        run_inline(given, tmp_path / "run")
    monkeypatch.setenv("SEARCH_KEY", KEY)
    run_inline(given, tmp_path / "run")
    assert all(KEY in request.path for request in engine.server.log if "/api" in request.path)
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert holding == []
    assert "SEARCH_KEY" in (tmp_path / "run" / "recipe.yaml").read_text()


def test_the_plan_tells_requests_and_hours(tmp_path: Path, engine: SearchEngine) -> None:
    given = recipe(tmp_path, engine, ["湖", "塔", "桥"], endpoint="openverse", per_query=1000)
    told = describe_plan(checked_plan(given, "recipe"))
    assert "search   puts each query to the endpoint" in told
    assert "parts    search 2, collect 2" in told
    assert "3 queries to api.openverse.org, at most 60 requests in 0.1 h (3 s apart); at most 1,200 results" in told
    assert "crawl " not in told


@pytest.mark.slow
def test_a_kill_repeats_no_more_than_the_request_in_flight(tmp_path: Path, engine: SearchEngine) -> None:
    """Three kills in the middle of a part, by the server's log."""

    def slow(request: Request) -> None:
        time.sleep(0.05)
        engine._answer(request)

    engine.server.pages["/api"] = slow
    given = recipe(tmp_path, engine, [f"词{number}" for number in range(12)], part_queries=12)
    run_inline(given, tmp_path / "whole")
    whole = list(engine.asked)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    command = [sys.executable, "-m", "pipelines.cli", "run", str(tmp_path / "recipe.yaml"), "--out"]
    command += [str(tmp_path / "run"), "--workers", "1"]
    for upto in (7, 18, 31):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            ends = time.monotonic() + 120
            while len(engine.asked) - len(whole) < upto:
                assert process.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.002)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        time.sleep(3)  # the workers of a killed driver live on for two seconds
    run_inline(given, tmp_path / "run")
    asked = engine.asked[len(whole) :]
    assert Counter(asked).keys() == Counter(whole).keys()
    assert len(asked) - len(whole) <= 3
    assert release_bytes(tmp_path / "run") == release_bytes(tmp_path / "whole")


def test_answers_are_plain_lines_that_anyone_can_read(tmp_path: Path, engine: SearchEngine) -> None:
    run_inline(recipe(tmp_path, engine, ["湖"]), tmp_path / "run")
    (path,) = (tmp_path / "run" / "search").glob("*.jsonl.gz")
    answers = duckdb.sql(f"SELECT query, page, status, body FROM read_json('{path}') ORDER BY page")
    assert answers is not None
    found = answers.fetchall()
    assert [(query, page, status) for query, page, status, _ in found] == [("湖", page, 200) for page in range(4)]
    assert json.loads(found[0][3])["results"][0]["title"] == "湖的第1张"
