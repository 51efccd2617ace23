"""`fetch.verify_sha256`: an image is kept only if its bytes are those that the list promises."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.why import tell_story
from shards.parts import StepFolder
from tests.pipelines.conftest import write_csv
from tests.pipelines.photo_shop import NUM_PHOTOS, PhotoShop, fetch, num_stored, open_shop, run

ODD = "0" * 64


@pytest.fixture
def shop() -> Iterator[PhotoShop]:
    with open_shop() as opened:
        yield opened


def sha256_of(shop: PhotoShop, number: int) -> str:
    return hashlib.sha256(shop.body(number)).hexdigest()


def recipe_of(
    folder: Path, shop: PhotoShop, rows: Sequence[tuple[int, str]], verify: bool = True, **sections: Any
) -> dict[str, Any]:
    """A list of (photograph, sha256)."""
    path = write_csv(
        folder / "h.csv", [(shop.url(n), f"照片{n}", sha) for n, sha in rows], ("url", "caption", "sha256")
    )
    columns = {"url": "url", "text": "caption", "sha256": "sha256"}
    recipe = shop.recipe(folder, **sections) | {"source": {"kind": "table", "paths": [str(path)], "columns": columns}}
    return recipe | {"fetch": recipe["fetch"] | {"verify_sha256": verify}}


def test_other_bytes_are_a_mismatch_and_no_promise_is_none_broken(tmp_path: Path, shop: PhotoShop) -> None:
    rows = [(0, sha256_of(shop, 0).upper()), (1, ODD), (2, ""), (3, "d41d8cd98f00b204e9800998ecf8427e")]
    result = run(recipe_of(tmp_path, shop, rows), tmp_path / "run")
    assert result.stats["drops"] == [{"stage": "fetch", "reason": "hash_mismatch", "samples": 1}]
    assert sha256_of(shop, 1) in tell_story(tmp_path / "run", shop.url(1))


@pytest.mark.slow
def test_without_verify_a_promise_is_not_looked_at(tmp_path: Path, shop: PhotoShop) -> None:
    rows = [(number, ODD) for number in range(NUM_PHOTOS)]
    fetch(recipe_of(tmp_path, shop, rows, verify=False), tmp_path / "run")
    assert sum(num_stored(tmp_path / "run").values()) == NUM_PHOTOS


@pytest.mark.parametrize("is_reversed", [False, True])
def test_of_several_promises_the_smallest_counts_whatever_their_order(
    tmp_path: Path, shop: PhotoShop, is_reversed: bool
) -> None:
    rows = [(0, sha256_of(shop, 0)), (0, "f" * 64), (0, ""), (1, sha256_of(shop, 1)), (1, ODD), (2, ""), (2, "")]
    recipe = recipe_of(tmp_path, shop, rows[::-1] if is_reversed else rows)
    result = run(recipe, tmp_path / "run")
    assert result.stats["kept"] == 2
    assert "hash_mismatch" in tell_story(tmp_path / "run", shop.url(1))
    (record,) = StepFolder(tmp_path / "run", "admit").records()
    assert record.meta["sha256_conflicts"] == 2


def test_turning_verify_on_asks_only_for_what_breaks_its_promise(tmp_path: Path, shop: PhotoShop) -> None:
    rows = [(number, sha256_of(shop, number)) for number in (0, 1, 2)] + [(3, ODD)]
    fetch(recipe_of(tmp_path, shop, rows, verify=False), tmp_path / "run")
    since = shop.mark()
    strict = recipe_of(tmp_path, shop, rows)
    assert run(strict, tmp_path / "run").stats["kept"] == 3
    assert shop.asked(since) == ["/3.png"]
    since = shop.mark()
    fetch(strict, tmp_path / "run")
    assert shop.asked(since) == []


@pytest.mark.slow
def test_turning_verify_off_asks_for_what_had_broken_its_promise(tmp_path: Path, shop: PhotoShop) -> None:
    rows = [(number, sha256_of(shop, number)) for number in (0, 1, 2)] + [(3, ODD)]
    fetch(recipe_of(tmp_path, shop, rows), tmp_path / "run")
    since = shop.mark()
    fetch(recipe_of(tmp_path, shop, rows, verify=False), tmp_path / "run")
    assert sum(num_stored(tmp_path / "run").values()) == NUM_PHOTOS
    assert shop.asked(since) == ["/3.png"]


@pytest.mark.slow
def test_a_reused_copy_keeps_the_list_s_promise_too(tmp_path: Path, shop: PhotoShop) -> None:
    rows = [(number, sha256_of(shop, number)) for number in range(NUM_PHOTOS)]
    fetch(recipe_of(tmp_path, shop, rows, verify=False), tmp_path / "old")
    shop.change(1)
    now = [(number, sha256_of(shop, number)) for number in range(NUM_PHOTOS)]
    since = shop.mark()
    recipe = recipe_of(tmp_path, shop, now, reuse=[str(tmp_path / "old")])
    fetch(recipe, tmp_path / "new")
    assert sum(num_stored(tmp_path / "new").values()) == NUM_PHOTOS
    assert shop.asked(since) == ["/1.png"]
