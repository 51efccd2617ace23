"""`--retry`: what ended in a reason is asked for again, and the release is as if all had gone well at once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.flow import stored
from pipelines.retries import RETRIED_REASONS, Retry, begin_retry, parse_reasons, read_retries, retried_reasons
from pipelines.tasks import RowFilter, Task
from shards.catalog import open_catalog
from shards.errors import BrokenRunError, UsageError
from shards.images import decode_stored
from shards.parts import StepFolder
from shards.schema import REASONS
from tests.pipelines.conftest import InlinePool
from tests.pipelines.photo_shop import NUM_PHOTOS, PhotoShop, fetch, num_stored, open_shop, run
from tests.pipelines.test_launch import release_bytes


@pytest.fixture
def shop() -> Iterator[PhotoShop]:
    with open_shop() as opened:
        yield opened


def test_a_retry_asks_only_for_what_failed_and_releases_as_if_it_had_not(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    run(recipe, tmp_path / "well")
    shop.take_away(2, 3)
    assert run(recipe, tmp_path / "run").stats["kept"] == 2
    shop.put_back(2, 3)
    since = shop.mark()
    assert run(recipe, tmp_path / "run").stats["kept"] == 2
    assert shop.asked(since) == []
    assert run(recipe, tmp_path / "run", "http_status").stats["kept"] == NUM_PHOTOS
    assert shop.asked(since) == ["/2.png", "/3.png"]
    assert release_bytes(tmp_path / "run") == release_bytes(tmp_path / "well")


def test_a_plain_run_after_a_retry_keeps_what_it_brought(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(3)
    run(recipe, tmp_path / "run")
    shop.put_back(3)
    run(recipe, tmp_path / "run", "http_status")
    since, before = shop.mark(), release_bytes(tmp_path / "run")
    pool = InlinePool()
    assert run(recipe, tmp_path / "run", pool=pool).stats["kept"] == NUM_PHOTOS
    assert pool.steps() == []
    assert (shop.asked(since), release_bytes(tmp_path / "run")) == ([], before)


@pytest.mark.slow
def test_what_fails_again_is_retried_again(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(2, 3)
    fetch(recipe, tmp_path / "run")
    shop.put_back(2)
    fetch(recipe, tmp_path / "run", "http_status")
    assert sum(num_stored(tmp_path / "run").values()) == 3
    shop.put_back(3)
    since = shop.mark()
    fetch(recipe, tmp_path / "run", "http_status")
    assert sum(num_stored(tmp_path / "run").values()) == NUM_PHOTOS
    assert shop.asked(since) == ["/3.png"]
    assert len(read_retries(tmp_path / "run")) == 2


@pytest.mark.slow
def test_the_very_same_part_can_fail_twice_and_then_come(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(*range(NUM_PHOTOS))
    for retry in ((), ("http_status",), ("http_status", "timeout")):
        fetch(recipe, tmp_path / "run", *retry)
        assert sum(num_stored(tmp_path / "run").values()) == 0
    shop.put_back(*range(NUM_PHOTOS))
    fetch(recipe, tmp_path / "run", "http_status")
    assert sum(num_stored(tmp_path / "run").values()) == NUM_PHOTOS


def test_the_images_view_shows_the_last_attempt_at_each(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(2)
    fetch(recipe, tmp_path / "run")
    shop.put_back(2)
    fetch(recipe, tmp_path / "run", "http_status")
    rows = open_catalog(tmp_path / "run").sql("SELECT uid, drop_reason FROM images").fetchall()
    assert len({uid for uid, _ in rows}) == len(rows) == NUM_PHOTOS
    assert {reason for _, reason in rows} == {None}


def test_other_reasons_stay_as_they_are(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(2)
    fetch(recipe, tmp_path / "run")
    shop.put_back(2)
    since = shop.mark()
    fetch(recipe, tmp_path / "run", "timeout")
    assert sum(num_stored(tmp_path / "run").values()) == 3
    assert shop.asked(since) == []
    assert read_retries(tmp_path / "run") == ()


@pytest.mark.slow
def test_a_retry_that_is_killed_goes_on(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path, fetch={"retries": 0, "backoff_s": 0, "part_rows": 1})
    shop.take_away(2, 3)
    fetch(recipe, tmp_path / "run")
    shop.put_back(2, 3)
    num_fetched = 0

    def fault(task: Task, rows: RowFilter) -> None:
        nonlocal num_fetched
        num_fetched += task.step == "fetch"
        if num_fetched == 2:
            raise KeyboardInterrupt

    since = shop.mark()
    with pytest.raises(KeyboardInterrupt):
        fetch(recipe, tmp_path / "run", "http_status", pool=InlinePool(slots=1, fault=fault))
    assert len(shop.asked(since)) == 1
    fetch(recipe, tmp_path / "run")
    assert shop.asked(since) == ["/2.png", "/3.png"]
    assert sum(num_stored(tmp_path / "run").values()) == NUM_PHOTOS


def test_a_retry_measures_only_what_is_new(tmp_path: Path, shop: PhotoShop, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = shop.recipe(tmp_path, measures=["sharpness"])
    shop.take_away(3)
    run(recipe, tmp_path / "run")
    shop.put_back(3)
    decoded: list[int] = []

    def counted(data: bytes) -> npt.NDArray[np.uint8]:
        decoded.append(len(data))
        return decode_stored(data)

    monkeypatch.setattr(stored, "decode_stored", counted)
    run(recipe, tmp_path / "run", "http_status")
    assert len(decoded) == 1


def test_hosts_get_a_fresh_chance(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(3)
    fetch(recipe, tmp_path / "run")
    memory = tmp_path / "run" / "fetch" / ".lane-00000.jsonl"
    memory.write_text("{}")
    begin_retry(tmp_path / "run", ("http_status",))
    assert not memory.exists()


@pytest.mark.slow
def test_a_retry_that_was_begun_and_did_nothing_is_not_begun_twice(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(2, 3)
    fetch(recipe, tmp_path / "run")
    assert [begin_retry(tmp_path / "run", ("http_status",)) for _ in range(2)] == [2, 2]
    first_free = max(record.index for record in StepFolder(tmp_path / "run", "fetch").records()) + 1
    assert read_retries(tmp_path / "run") == (Retry(("http_status",), first_free),)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ()),
        (["timeout"], ("timeout",)),
        (["timeout, dns_error", "timeout"], ("dns_error", "timeout")),
    ],
)
def test_reasons_are_listed_once(given: list[str], expected: tuple[str, ...]) -> None:
    assert parse_reasons(given) == expected


@pytest.mark.parametrize("given", ["timeouts", "too_small", "bad_url", "timeout,404", "", ","])
def test_an_unknown_reason_is_refused_with_those_that_are_known(given: str) -> None:
    result = CliRunner().invoke(cli.app, ["run", "demo", "--out", "nowhere", "--retry", given])
    assert result.exit_code == 2
    assert "known: blocked_scheme, blocked_address, blocklisted, dns_error" in result.stderr
    with pytest.raises(UsageError):
        parse_reasons([given])


def test_every_reason_of_a_download_can_be_retried() -> None:
    assert set(RETRIED_REASONS) < set(REASONS)
    assert {"not_attempted", "hash_mismatch", "worker_oom", "robots_unreachable"} <= set(RETRIED_REASONS)


@pytest.mark.parametrize(("index", "expected"), [(0, ["a", "b"]), (2, ["b"]), (3, [])])
def test_a_retry_ends_where_its_own_parts_begin(index: int, expected: list[str]) -> None:
    assert retried_reasons([Retry(("a",), 2), Retry(("b",), 3)], index) == expected


def test_a_torn_list_of_retries_is_named(tmp_path: Path) -> None:
    (tmp_path / "retries.json").write_text('[{"reasons": 7}]')
    with pytest.raises(BrokenRunError, match=r"retries\.json"):
        read_retries(tmp_path)
