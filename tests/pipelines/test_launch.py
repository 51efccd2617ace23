"""One call of `curate run`: which folders it takes, what it writes down, and that an interrupted one goes on."""

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.launch import run_recipe
from pipelines.progress import Progress
from shards.errors import CurateError, OutputInUseError, UsageError
from shards.lease import Lease
from tests.crawler.conftest import Server
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline, table_recipe, write_csv


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    """Two rows that never reach the network."""
    path = write_csv(tmp_path / "t.csv", [("ftp://a.cn/1.jpg", "一"), ("no url", "二")])
    return table_recipe(path, {"few": "zh_chars >= 1"})


@pytest.fixture
def site_recipe(tmp_path: Path, site: Server) -> dict[str, Any]:
    """Two photographs and a dead link."""
    rows = [(site.url(f"/{name}.png"), f"照片{name}") for name in ("0", "1", "gone")]
    path = write_csv(tmp_path / "t.csv", rows)
    return table_recipe(path, {"few": "zh_chars >= 1"}, network={"allow_private": [site.address]})


def refused(mapping: dict[str, Any], out: str) -> CurateError:
    """The error of a run that is refused before a pool is opened."""

    def never() -> InlinePool:
        raise AssertionError("a pool was opened")

    with pytest.raises(CurateError) as caught:
        run_recipe(mapping, "recipe test", out, never, Progress(io.StringIO(), live=False))
    return caught.value


def release_bytes(run: Path) -> dict[str, str]:
    """Digest of every released file."""
    files = (path for path in (run / "release").rglob("*") if path.is_file() and "_done" not in path.parts)
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name", ["file", "file/run", "x" * 300])
def test_an_output_path_that_can_be_no_folder_is_a_usage_error(
    tmp_path: Path, recipe: dict[str, Any], name: str
) -> None:
    (tmp_path / "file").write_text("mine")
    error = refused(recipe, str(tmp_path / name))
    assert isinstance(error, UsageError)
    assert "--out" in str(error)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thesis.txt", "mine"),
        ("recipe.yaml", "flour: 500 g\n"),
        ("recipe.yaml", "- a list\n"),
        ("recipe.yaml", "a: [\n"),
        (".hidden", ""),
    ],
)
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, recipe: dict[str, Any], name: str, text: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text(text)
    error = refused(recipe, str(folder))
    assert isinstance(error, UsageError)
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == text


def test_an_object_store_is_refused_plainly(recipe: dict[str, Any]) -> None:
    assert "a local folder or at an s3:// URL" in str(refused(recipe, "gs://bucket/run"))


def test_an_empty_folder_is_taken(tmp_path: Path, recipe: dict[str, Any]) -> None:
    (tmp_path / "run").mkdir()
    assert run_inline(recipe, tmp_path / "run").stats["samples"] == 2


def test_what_a_run_killed_at_its_very_start_leaves_is_taken(tmp_path: Path, recipe: dict[str, Any]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    holder = {"token": "dead", "pid": 1, "host": "another-host", "expires": time.time() - 1}
    (run / "lease.json").write_text(json.dumps(holder))
    (run / ".lease.json.0a.tmp").touch()
    (run / ".recipe.yaml.0a.tmp").touch()
    assert run_inline(recipe, run).stats["samples"] == 2


def test_another_run_s_folder_is_in_use(tmp_path: Path, recipe: dict[str, Any]) -> None:
    run_inline(recipe, tmp_path / "run")
    with Lease.take(tmp_path / "run"):
        error = refused(recipe, str(tmp_path / "run"))
    assert isinstance(error, OutputInUseError)
    assert error.exit_code == 73
    assert str(os.getpid()) in str(error)


def test_a_changed_source_is_refused_and_a_changed_rule_is_not(tmp_path: Path, recipe: dict[str, Any]) -> None:
    run_inline(recipe, tmp_path / "run")
    before = (tmp_path / "run" / "recipe.yaml").read_bytes()
    other = recipe | {"source": recipe["source"] | {"strength": "strong"}}
    error = refused(other, str(tmp_path / "run"))
    assert isinstance(error, UsageError)
    assert "another source" in str(error)
    assert (tmp_path / "run" / "recipe.yaml").read_bytes() == before
    again = run_inline(recipe | {"rules": {"few": "zh_chars >= 2"}}, tmp_path / "run")
    assert again.stats["samples"] == 2


def test_a_run_writes_its_recipe_with_every_default_and_its_clocks_apart(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    run_inline(recipe, tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text(encoding="utf-8"))
    assert written["image"]["quality"] == 92
    assert written["rules"] == recipe["rules"]
    facts = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert facts["started"] <= facts["finished"] <= time.time()
    assert facts["recipe_sha256"] == hashlib.sha256((tmp_path / "run" / "recipe.yaml").read_bytes()).hexdigest()
    assert facts["command"] == sys.argv
    assert facts["versions"].keys() >= {"curate", "duckdb", "pyarrow", "pillow", "numpy", "ray", "scrapy", "aiohttp"}
    assert not (tmp_path / "run" / "lease.json").exists()


def test_the_same_run_in_another_folder_and_order_releases_the_same_bytes(
    tmp_path: Path, finished: FinishedRun
) -> None:
    run_inline(finished.recipe, tmp_path / "deep" / "run", InlinePool(slots=5))
    first, second = release_bytes(finished.folder), release_bytes(tmp_path / "deep" / "run")
    assert first == second
    assert {"release/SHA256SUMS", "release/shards/000000.tar", "release/manifest/kept-000000.parquet"} <= set(first)


class InterruptedPool(InlinePool):
    """Ctrl-C while the first download is waited for."""

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        if self.steps()[-1:] == ["fetch"] and not self.was_interrupted:
            self.was_interrupted = True
            raise KeyboardInterrupt
        return super().wait(handles, timeout_s)

    was_interrupted = False


def test_an_interrupted_run_commits_what_is_in_flight_and_goes_on(
    tmp_path: Path, site: Server, site_recipe: dict[str, Any]
) -> None:
    pool = InterruptedPool()
    with pytest.raises(KeyboardInterrupt):
        run_inline(site_recipe, tmp_path / "run", pool)
    assert pool.is_closed
    assert not (tmp_path / "run" / "lease.json").exists()
    num_requests = len(site.log)
    again = InlinePool()
    assert run_inline(site_recipe, tmp_path / "run", again).stats["kept"] == 2
    assert "fetch" not in again.steps()
    assert len(site.log) == num_requests


def test_a_new_measure_reads_stored_copies_and_asks_the_site_nothing(tmp_path: Path, finished: FinishedRun) -> None:
    num_requests = len(finished.site.log)
    pool = InlinePool()
    rules = finished.recipe["rules"] | {"none": "sharpness > 1e9"}
    more = finished.recipe | {"measures": ["colorfulness"], "rules": rules}
    assert run_inline(more, finished.copy(tmp_path), pool).stats["kept"] == 0
    assert len(finished.site.log) == num_requests
    assert "fetch" not in pool.steps()


def test_a_new_row_under_the_same_path_is_all_that_is_fetched(
    tmp_path: Path, site: Server, site_recipe: dict[str, Any]
) -> None:
    run_inline(site_recipe, tmp_path / "run")
    num_requests = len(site.log)
    with (tmp_path / "t.csv").open("a", encoding="utf-8") as file:
        file.write(f"{site.url('/4.png')},又一张照片\n")
    assert run_inline(site_recipe, tmp_path / "run").stats["kept"] == 3
    assert {request.path for request in site.log[num_requests:]} <= {
        "/4.png",
        "/robots.txt",
        "/ai.txt",
        "/.well-known/tdmrep.json",
    }


def test_what_a_kill_left_half_written_is_cleared(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path, "release")
    leavings = [run / ".parts.json.0123abcd.tmp", run / "collect" / "_done" / ".000000-0123abcd.json.4567cdef.tmp"]
    for path in leavings:
        path.write_bytes(b"half")
    run_inline(finished.recipe, run)
    assert not any(path.exists() for path in leavings)
