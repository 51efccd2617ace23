"""A run on an object store: the bytes of a local run, whatever the store does, and no download made twice."""

import json
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from shards.errors import DiskError, OutputInUseError, UsageError
from shards.lease import Lease, holder_of, holds
from shards.storage import open_run_folder
from shards.stores.object_store import ObjectStore
from shards.stores.patience import StoreAwayError
from tests.crawler.conftest import Server
from tests.object_server import Bucket, Trouble
from tests.pipelines.conftest import NUM_PHOTOS, InlinePool, run_inline, table_recipe, write_csv
from tests.pipelines.on_store import RUN, Death, kept_in, run_on_store, run_until_death, stored

_CLOCKS = {"run.json", "health.html"}
"""Files with clocks in them; records and fetch rows have some too."""


@dataclass(frozen=True)
class Small:
    """A small recipe, and what a local run of it leaves."""

    recipe: dict[str, Any]
    site: Server
    local: dict[str, str]

    @property
    def released(self) -> dict[str, str]:
        return {name: digest for name, digest in self.local.items() if name.startswith("release/")}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, site: Server) -> Small:
    home = tmp_path_factory.mktemp("small")
    rows = [(site.url(f"/{number}.png"), f"第{number}张照片") for number in range(NUM_PHOTOS)]
    rows += [
        (site.url("/0-copy.png"), "同一张照片"),
        (site.url("/gone.png"), "不在了"),
        (site.url("/english.png"), "english"),
    ]
    rules = {"no_chinese": "zh_chars >= 1", "near_duplicate": "dup_rank = 1"}
    recipe = table_recipe(write_csv(home / "t.csv", rows), rules, network={"allow_private": [site.address]})
    run_inline(recipe, home / "run")
    return Small(recipe, site, kept_in(home / "run"))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CURATE_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "8")
    return tmp_path / "scratch"


def elsewhere(scratch: Path) -> None:
    """What this node has of the run is gone, as on a node that never had it."""
    shutil.rmtree(scratch)


def released(bucket: Bucket) -> dict[str, str]:
    return {name: digest for name, digest in stored(bucket).items() if name.startswith("release/")}


def test_a_run_on_a_store_leaves_what_a_local_run_leaves(small: Small, bucket: Bucket) -> None:
    result = run_on_store(small.recipe, bucket)
    assert result.stats["kept"] == NUM_PHOTOS
    found = stored(bucket)
    assert found.keys() == small.local.keys()
    different = {name for name in found if found[name] != small.local[name]} - _CLOCKS
    assert {name.split("/")[0] for name in different} <= {step.split("/")[0] for step in different if "/" in step}
    assert {name: digest for name, digest in found.items() if name.startswith("release/")} == small.released


def test_a_finished_run_goes_on_elsewhere_without_work_and_without_a_request_a_part(
    small: Small, bucket: Bucket, scratch: Path
) -> None:
    run_on_store(small.recipe, bucket)
    elsewhere(scratch)
    bucket.server.forget()
    pool, asked = InlinePool(), len(small.site.log)
    run_on_store(small.recipe, bucket, pool)
    assert pool.calls == []
    assert len(small.site.log) == asked
    assert not bucket.server.log("HEAD ")
    assert not bucket.server.log(r"GET .*part-\d+.*\.tar")
    before = released(bucket)
    assert before == small.released


@pytest.mark.slow
@pytest.mark.parametrize(
    "troubles",
    [
        [Trouble("500", every=3)],
        [Trouble("503", every=4), Trouble("drop-before", every=5)],
        [Trouble("drop-after", "(PUT|DELETE)", every=2)],
    ],
    ids=["500", "503 and lost requests", "lost answers"],
)
def test_a_store_with_faults_changes_no_byte(small: Small, bucket: Bucket, troubles: list[Trouble]) -> None:
    bucket.server.trouble(*troubles)
    run_on_store(small.recipe, bucket)
    bucket.server.trouble()
    assert stored(bucket).keys() == small.local.keys()
    assert released(bucket) == small.released


def test_a_store_that_goes_away_ends_the_run_and_it_resumes(
    small: Small, bucket: Bucket, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shards.stores.client import usual_patience

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    usual_patience.cache_clear()
    bucket.server.trouble(Trouble("500", "PUT .*/measure/part-"))
    with pytest.raises(
        StoreAwayError, match=r"writing s3://.*/measure/part-000000.*parquet \([\d,]+ bytes\)"
    ) as caught:
        run_on_store(small.recipe, bucket)
    assert caught.value.exit_code == 75
    bucket.server.trouble()
    asked = len(small.site.log)
    elsewhere(scratch)
    run_on_store(small.recipe, bucket)
    assert len(small.site.log) == asked, "what was fetched is not fetched again"
    assert released(bucket) == small.released


def test_a_store_that_went_away_is_not_waited_for_again_to_end_the_lease(bucket: Bucket) -> None:
    run = open_run_folder(bucket.url(RUN))

    def go_away(*troubles: Trouble) -> None:
        with Lease.take(run):
            bucket.server.trouble(*troubles)
            bucket.server.forget()
            raise StoreAwayError("gone")

    with pytest.raises(StoreAwayError, match="gone"):
        go_away(Trouble("500", "lease"))
    assert len(bucket.server.log("lease")) == 1
    bucket.server.trouble()
    with pytest.raises(OutputInUseError, match="in use by process"):
        Lease.take(run)
    ObjectStore(bucket.name).delete(f"{RUN}/lease.json")
    with pytest.raises(StoreAwayError, match="gone"):
        go_away()
    assert holder_of(run) is None, "it was back in time"


def test_a_store_that_refuses_a_write_ends_the_run(small: Small, bucket: Bucket) -> None:
    bucket.server.trouble(Trouble("403", "PUT .*/collect/part-"))
    with pytest.raises(DiskError, match="the object store refuses") as caught:
        run_on_store(small.recipe, bucket)
    assert caught.value.exit_code == 74
    assert stored(bucket).keys() == {"recipe.yaml", "run.json", "parts.json"}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_at_any_request_ends_elsewhere_in_the_same_bytes(
    small: Small, bucket: Bucket, tmp_path: Path, when: str
) -> None:
    assert when in ("before", "after")
    killed_and_resumed(small, bucket, tmp_path, "before" if when == "before" else "after", first=20, step=37)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize("when", ["before", "after"])
def test_every_request_may_be_the_last_of_its_process(
    small: Small, bucket: Bucket, tmp_path: Path, when: str, first: int
) -> None:
    killed_and_resumed(small, bucket, tmp_path, "before" if when == "before" else "after", first, step=14)


def killed_and_resumed(small: Small, bucket: Bucket, tmp_path: Path, when: Any, first: int, step: int) -> None:
    """Runs on nodes that each die at a later request than the one before, until one comes to its end."""
    store = ObjectStore(bucket.name)
    number, node, is_done = first, 0, False
    while not is_done:
        fetched = [key for key, _ in store.list(f"{RUN}/fetch/_done/")]
        asked = len(small.site.log)
        is_done = run_until_death(small.recipe, bucket, tmp_path / f"node-{node}", Death(number, when))
        if len(fetched) == 2:  # both lanes are committed
            assert len(small.site.log) == asked
        number, node = number + step, node + 1
        store.delete(f"{RUN}/lease.json")  # as if its time had run out
    assert node > 2
    assert stored(bucket).keys() == small.local.keys()
    assert released(bucket) == small.released


def test_a_second_run_is_told_who_holds_the_url(small: Small, bucket: Bucket) -> None:
    run = open_run_folder(bucket.url(RUN))
    with (
        Lease.take(run),
        pytest.raises(OutputInUseError, match=rf"{bucket.url(RUN)} is in use by process {os.getpid()} on"),
    ):
        run_on_store(small.recipe, bucket)
    assert stored(bucket) == {}


def put_lease(bucket: Bucket, pid: int, host: str) -> None:
    data = json.dumps({"token": "other", "pid": pid, "host": host, "expires": 0.0}).encode()
    ObjectStore(bucket.name).put(f"{RUN}/lease.json", data)


def test_a_lease_on_a_store_counts_by_the_store_s_clock_and_is_taken_from_the_dead(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run_folder(bucket.url(RUN))
    put_lease(bucket, 1, "another-host")  # run out by its holder's clock, and renewed just now
    assert holder_of(run) is not None
    with pytest.raises(OutputInUseError, match="process 1 on another-host"):
        Lease.take(run)
    monkeypatch.setattr("shards.lease._Stored.ttl_s", -1.0)
    with Lease.take(run) as lease:
        assert holds(run, lease.token)
    assert stored(bucket) == {}


def test_of_many_who_take_a_dead_lease_one_gets_it(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.lease._Stored.ttl_s", -1.0)
    run = open_run_folder(bucket.url(RUN))
    put_lease(bucket, 1, "another-host")
    won: list[Lease] = []
    begin = threading.Barrier(6)
    seen = threading.Barrier(6)
    look = ObjectStore.read

    def looked(self: ObjectStore, key: str) -> Any:
        found = look(self, key)
        if json.loads(found.data)["token"] == "other":
            seen.wait()  # all have seen the same dead lease before one replaces it
        return found

    monkeypatch.setattr(ObjectStore, "read", looked)

    def take() -> None:
        begin.wait()
        with suppress(OutputInUseError):
            won.append(Lease.take(run))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert holds(run, won[0].token)


def test_a_run_whose_lease_was_stolen_commits_nothing_more(small: Small, bucket: Bucket) -> None:
    stolen = InlinePool(fault=lambda task, rows: put_lease(bucket, 1, "thief") if task.step == "measure" else None)
    with pytest.raises(Exception, match="another run took over"):
        run_on_store(small.recipe, bucket, stolen)
    assert not [name for name in stored(bucket) if name.startswith("measure/_done")]
    assert holds(open_run_folder(bucket.url(RUN)), "other"), "the thief's lease is left alone"


@pytest.mark.parametrize(
    ("kind", "told"),
    [("ignore-conditions", "puts over an object all the same"), ("403", "the object store refuses")],
)
def test_a_store_that_will_not_do_is_refused_before_anything_is_fetched(
    small: Small, bucket: Bucket, kind: Any, told: str
) -> None:
    asked = len(small.site.log)
    bucket.server.trouble(Trouble(kind, "PUT"))
    with pytest.raises((UsageError, DiskError), match=told):
        run_on_store(small.recipe, bucket)
    bucket.server.trouble()
    assert stored(bucket) == {}
    assert len(small.site.log) == asked


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("s3://no-such-bucket-anywhere/run", "no such bucket"),
        ("s3:///run", "expected s3://BUCKET"),
        ("gs://bucket/run", "a local folder or at an s3:// URL"),
        ("s3://bucket/a/../b", "without . and .."),
    ],
)
def test_a_url_that_cannot_hold_a_run_is_a_usage_error(small: Small, bucket: Bucket, out: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_run_folder(out)


def test_what_lies_under_the_prefix_and_is_no_run_is_left_alone(small: Small, bucket: Bucket) -> None:
    ObjectStore(bucket.name).put(f"{RUN}/photos/holiday.jpg", b"x")
    with pytest.raises(UsageError, match="neither empty nor a run"):
        run_on_store(small.recipe, bucket)
    assert stored(bucket).keys() == {"photos/holiday.jpg"}


@pytest.fixture
def finished_url(small: Small, bucket: Bucket, scratch: Path) -> str:
    """The URL of a finished run that this node has nothing of."""
    run_on_store(small.recipe, bucket)
    elsewhere(scratch)
    return bucket.url(RUN)


def curate(*arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, arguments)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.output


def test_readers_take_a_url(finished_url: str, small: Small, bucket: Bucket) -> None:
    code, told = curate("why", finished_url, small.site.url("/1.png"))
    assert (code, "kept        in shard" in told) == (0, True)
    code, told = curate("sql", finished_url, "SELECT count(*) AS n FROM images", "-f", "csv")
    assert (code, told) == (0, "n\n8\n")
    code, told = curate("status", finished_url, "-f", "json")
    assert (code, json.loads(told)["state"]) == (0, "done")
    code, told = curate("report", finished_url)
    assert (code, told.strip()) == (0, f"{finished_url}/report.html")
    assert "report.html" in stored(bucket)
    code, told = curate("verify", finished_url)
    assert (code, told.endswith("no fault\n")) == (0, True), told


def test_sql_brings_only_the_files_of_views_that_it_names(finished_url: str, bucket: Bucket) -> None:
    bucket.server.forget()
    assert curate("sql", finished_url, "SELECT count(*) FROM candidates")[0] == 0
    brought = {asked.line.split("/")[4] for asked in bucket.server.log(r"GET .*/part-.*parquet")}
    assert brought == {"collect"}


def test_verify_reads_the_store_and_not_this_node_s_copies(small: Small, bucket: Bucket) -> None:
    run_on_store(small.recipe, bucket)
    store = ObjectStore(bucket.name)
    key = f"{RUN}/release/shards/000000.tar"
    data = store.read(key).data
    store.put(key, data[:600] + bytes([data[600] ^ 1]) + data[601:])
    code, told = curate("verify", bucket.url(RUN))
    assert (code, "shards/000000.tar" in told) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("explore",),
        ("export", "--layout", "wukong", "--out", "somewhere"),
        ("sample", "-o", "somewhere", "--size", "1"),
        ("release", "--out", "somewhere"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_that_need_a_local_folder_say_so(bucket: Bucket, arguments: tuple[str, ...]) -> None:
    code, told = curate(arguments[0], bucket.url(RUN), *arguments[1:])
    assert (code, f"{bucket.url(RUN)}: this command works on local folders" in told) == (2, True)
