"""`reuse: [{run: …, recheck: true}]`: servers are asked again, conditionally, and what has changed or gone falls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from shards.catalog import committed_files
from tests.pipelines.photo_shop import NUM_PHOTOS, PhotoShop, fetch, open_shop, run


@pytest.fixture
def shop() -> Iterator[PhotoShop]:
    with open_shop() as opened:
        yield opened


def rechecking(recipe: dict[str, Any], run_folder: Path) -> dict[str, Any]:
    return recipe | {"reuse": [{"run": str(run_folder), "recheck": True}]}


def fates(folder: Path, shop: PhotoShop) -> dict[int, tuple[Any, ...]]:
    """By photograph: drop reason, status, and whether a copy is stored."""
    paths = [str(path) for path in committed_files(folder, "fetch", "rows")]
    urls = {shop.url(number): number for number in range(NUM_PHOTOS)}
    query = "SELECT final_url, drop_reason, http_status, tar_bytes IS NOT NULL FROM read_parquet(?)"
    return {urls[url]: tuple(fate) for url, *fate in duckdb.execute(query, [paths]).fetchall()}


def test_what_has_not_changed_is_not_sent_again(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    since = shop.mark()
    fetch(rechecking(recipe, tmp_path / "old"), tmp_path / "new")
    assert shop.asked(since) == [f"/{number}.png" for number in range(NUM_PHOTOS)]
    assert fates(tmp_path / "new", shop) == dict.fromkeys(range(NUM_PHOTOS), (None, 304, True))


def test_what_has_changed_or_is_gone_falls(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    shop.change(1)
    shop.take_away(2)
    fetch(rechecking(recipe, tmp_path / "old"), tmp_path / "new")
    assert fates(tmp_path / "new", shop) == {
        0: (None, 304, True),
        1: ("hash_mismatch", 200, False),
        2: ("http_status", 404, False),
        3: (None, 304, True),
    }


@pytest.mark.slow
def test_equal_bytes_without_validators_keep_the_copy(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    run(recipe, tmp_path / "old")
    since = shop.mark()
    again = rechecking(recipe, tmp_path / "old" / "release")  # a release has no ETags
    fetch(again, tmp_path / "new")
    assert len(shop.asked(since)) == NUM_PHOTOS
    assert fates(tmp_path / "new", shop) == dict.fromkeys(range(NUM_PHOTOS), (None, 200, True))


@pytest.mark.slow
def test_a_recheck_under_other_image_settings_compares_what_came(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    shop.change(1)
    again = rechecking(recipe, tmp_path / "old") | {"image": {"max_side_px": 128}}
    fetch(again, tmp_path / "new")
    expected = dict.fromkeys(range(NUM_PHOTOS), (None, 200, True)) | {1: ("hash_mismatch", 200, False)}
    assert fates(tmp_path / "new", shop) == expected


@pytest.mark.slow
def test_what_failed_before_is_fetched_like_new(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(3)
    fetch(recipe, tmp_path / "old")
    shop.put_back(3)
    fetch(rechecking(recipe, tmp_path / "old"), tmp_path / "new")
    assert fates(tmp_path / "new", shop)[3] == (None, 200, True)


@pytest.mark.slow
def test_a_recheck_is_done_once(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    fetch(rechecking(recipe, tmp_path / "old"), tmp_path / "new")
    since = shop.mark()
    fetch(rechecking(recipe, tmp_path / "old"), tmp_path / "new")
    fetch(recipe, tmp_path / "new")  # what was checked again is as good as what was not
    assert shop.asked(since) == []


@pytest.mark.slow
def test_a_run_that_took_copies_unasked_asks_when_it_is_told_to(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    fetch(recipe | {"reuse": [str(tmp_path / "old")]}, tmp_path / "new")
    since = shop.mark()
    fetch(rechecking(recipe, tmp_path / "old"), tmp_path / "new")
    assert len(shop.asked(since)) == NUM_PHOTOS
