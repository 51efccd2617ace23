"""Takedowns of a run on an object store: honoured from its beginning; new ones are refused before anything is done."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.tasks import Task
from shards.errors import UsageError
from shards.schema import uid_of
from shards.storage import reading_whole
from shards.stores.object_store import ObjectStore
from shards.tombstones import Tombstone, Tombstones, uid_tombstones, write_tombstones
from tests.crawler.conftest import Server
from tests.object_server import Bucket
from tests.pipelines.conftest import NUM_PHOTOS, InlinePool, run_inline, table_recipe, write_csv
from tests.pipelines.on_store import RUN, Death, kept_in, run_on_store, run_until_death, stored
from tests.pipelines.remove.removing import rows_of


@dataclass(frozen=True)
class Asked:
    """A recipe, and one that honours a list: an image at its URL, and another by the digest of its bytes."""

    recipe: dict[str, Any]
    gone: str
    downloaded: str
    folder: Path
    site: Server

    @property
    def honouring(self) -> dict[str, Any]:
        return self.recipe | {"tombstones": [str(self.folder)]}


@pytest.fixture
def asked(tmp_path: Path, site: Server, finished: Any) -> Asked:
    rows = [(site.url(f"/{number}.png"), f"第{number}张照片") for number in range(NUM_PHOTOS)]
    recipe = table_recipe(write_csv(tmp_path / "t.csv", rows), network={"allow_private": [site.address]})
    folder = tmp_path / "earlier"
    folder.mkdir()
    known = {row["url"]: row for row in rows_of(finished.folder / "release").values()}
    gone, downloaded = site.url("/1.png"), site.url("/2.png")
    by_digest = Tombstone("sha256", known[downloaded]["sha256"])
    write_tombstones(folder, uid_tombstones([uid_of(gone)]) | Tombstones(frozenset({by_digest})))
    return Asked(recipe, gone, downloaded, folder, site)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CURATE_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def released(files: dict[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in files.items() if name.startswith("release/")}


def test_a_list_that_a_run_begins_with_is_honoured_on_every_node(
    asked: Asked, bucket: Bucket, tmp_path: Path, scratch: Path
) -> None:
    run_inline(asked.honouring, tmp_path / "local")
    expected = kept_in(tmp_path / "local")
    reasons = [row["drop_reason"] for row in rows_of(tmp_path / "local" / "release").values()]
    assert reasons.count("removed") == len([reason for reason in reasons if reason]) == 2

    assert not run_until_death(asked.honouring, bucket, scratch / "first", Death(60, "after"))
    num_asked = len(asked.site.log)
    run_on_store(asked.honouring, bucket)
    assert asked.site.url("/1.png") not in [asked.site.url(line.path) for line in asked.site.log[num_asked:]]
    found = stored(bucket)
    assert released(found) == released(expected)
    assert found.keys() == expected.keys()
    assert found["tombstones.jsonl"] == expected["tombstones.jsonl"]

    shutil.rmtree(scratch)
    pool = InlinePool()
    run_on_store(asked.honouring, bucket, pool)
    assert pool.calls == [], "they are not new to it"


def test_new_takedowns_are_refused_before_the_run_starts(asked: Asked, bucket: Bucket) -> None:
    run_on_store(asked.recipe, bucket)
    before = stored(bucket)
    pool = InlinePool()
    with pytest.raises(UsageError, match=rf"--out s3://.*/{RUN}: `tombstones:` name 2 that are new .*aws s3 sync"):
        run_on_store(asked.honouring, bucket, pool)
    assert stored(bucket) == before
    assert pool.calls == []


@pytest.mark.parametrize("inner", ["", "/release", "/release/"])
def test_the_command_says_how_it_is_done(bucket: Bucket, inner: str) -> None:
    run = bucket.url(RUN)
    bucket.server.forget()
    ended = CliRunner().invoke(app, ["remove", run + inner, "--url", "https://example.cn/a.jpg"])
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"curate: {run}{inner}: nothing is taken down in place on an object store")
    for said in (f"aws s3 sync {run} FOLDER)", "curate remove FOLDER", f"aws s3 sync --delete FOLDER {run})"):
        assert said in ended.stderr
    assert not bucket.server.log(), "nothing was asked"


def test_a_removal_that_was_not_finished_is_refused_there(asked: Asked, bucket: Bucket) -> None:
    run_on_store(asked.recipe, bucket)
    ObjectStore(bucket.name).put(f"{RUN}/.removing.json", b"[]")
    with pytest.raises(UsageError, match="a removal was not finished there"):
        run_on_store(asked.recipe, bucket)


def test_a_run_that_died_before_it_planned_anything_takes_new_lists(
    asked: Asked, bucket: Bucket, scratch: Path, tmp_path: Path
) -> None:
    def die(task: Task, rows: object) -> None:
        raise KeyboardInterrupt

    run_inline(asked.honouring, tmp_path / "local")
    store = ObjectStore(bucket.name)
    with pytest.raises(KeyboardInterrupt):
        run_on_store(asked.recipe, bucket, InlinePool(slots=1, fault=die))
    store.delete(f"{RUN}/parts.json")
    run_on_store(asked.honouring, bucket)
    assert released(stored(bucket)) == released(kept_in(tmp_path / "local"))


def test_the_way_that_is_told_works(asked: Asked, bucket: Bucket, tmp_path: Path, scratch: Path) -> None:
    """Copied to a folder, taken down there, and copied back with what is gone deleted: the run goes on by it."""
    run_on_store(asked.recipe, bucket)
    local = tmp_path / "run"
    with reading_whole(bucket.url(RUN)) as copy:
        shutil.copytree(copy, local)
    run_inline(asked.honouring, local)
    store = ObjectStore(bucket.name)
    for key, _ in list(store.list(f"{RUN}/")):
        store.delete(key)
    for path in sorted(local.rglob("*")):
        if path.is_file():
            store.put(f"{RUN}/{path.relative_to(local)}", path)
    pool = InlinePool()
    run_on_store(asked.honouring, bucket, pool)
    assert pool.calls == []
    assert released(stored(bucket)) == released(kept_in(local))


def test_a_list_on_a_store_is_refused_by_name(asked: Asked, bucket: Bucket) -> None:
    place = bucket.url("lists/march.jsonl")
    bucket.server.forget()
    with pytest.raises(UsageError, match=r"tombstones\.0: s3://.*march\.jsonl: only local files .*; copy the list"):
        run_on_store(asked.recipe | {"tombstones": [place]}, bucket)
    assert not bucket.server.log(), "nothing was asked"
