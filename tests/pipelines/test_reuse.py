"""`reuse:`: stored copies come from earlier runs and releases by uid; the release is as if they had been fetched."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from pipelines import cli
from pipelines.flow.reuse import IMAGE_SETTINGS, read_index
from shards.errors import UsageError
from shards.parts import StepFolder
from tests.pipelines.conftest import InlinePool, table_recipe, write_csv
from tests.pipelines.photo_shop import NUM_PHOTOS, PhotoShop, fetch, num_stored, open_shop, run
from tests.pipelines.test_launch import release_bytes


@pytest.fixture
def shop() -> Iterator[PhotoShop]:
    with open_shop() as opened:
        yield opened


def fetch_tar(folder: Path) -> Path:
    (record,) = StepFolder(folder, "fetch").records()
    return StepFolder(folder, "fetch").file(record, "tar")


def test_a_run_takes_stored_copies_and_releases_the_same_bytes(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    run(recipe, tmp_path / "old")
    expected = release_bytes(tmp_path / "old")
    since = shop.mark()
    again = recipe | {"reuse": [str(tmp_path / "old")]}
    assert run(again, tmp_path / "new").stats["kept"] == NUM_PHOTOS
    assert len(shop.server.log) == since
    assert num_stored(tmp_path / "new") == {str(tmp_path / "old"): NUM_PHOTOS}
    shutil.rmtree(tmp_path / "old")
    before = release_bytes(tmp_path / "new")
    shutil.rmtree(tmp_path / "new" / "release")
    with pytest.raises(UsageError, match="no such folder"):
        run(again, tmp_path / "new")
    run(recipe, tmp_path / "new")  # it needs the earlier run no more
    assert release_bytes(tmp_path / "new") == before == expected


def test_only_what_is_missing_is_fetched_and_the_tar_is_as_of_one_fetch(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    shop.take_away(1, 3)
    fetch(recipe, tmp_path / "old")
    shop.put_back(1, 3)
    since = shop.mark()
    fetch(recipe | {"reuse": [str(tmp_path / "old")]}, tmp_path / "new")
    assert shop.asked(since) == ["/1.png", "/3.png"]
    assert num_stored(tmp_path / "new") == {str(tmp_path / "old"): 2, None: 2}
    fetch(recipe, tmp_path / "fresh")
    assert fetch_tar(tmp_path / "new").read_bytes() == fetch_tar(tmp_path / "fresh").read_bytes()
    leavings = [path.name for path in (tmp_path / "new" / "fetch").iterdir() if path.name.endswith((".side", ".json"))]
    assert leavings == []


@pytest.mark.slow
def test_the_run_that_is_listed_first_is_asked_first(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    for name, gone in (("a", 0), ("b", 1)):
        shop.take_away(gone)
        fetch(recipe, tmp_path / name)
        shop.put_back(gone)
    names = [str(tmp_path / name) for name in ("b", "a")]
    fetch(recipe | {"reuse": names}, tmp_path / "new")
    assert num_stored(tmp_path / "new") == {names[0]: NUM_PHOTOS - 1, names[1]: 1}


def test_a_copy_of_other_image_settings_is_fetched_again_and_it_says_so(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    since = shop.mark()
    other = recipe | {"image": {"max_side_px": 128}, "reuse": [str(tmp_path / "old")]}
    told = fetch(other, tmp_path / "new")
    assert (
        "0 stored copies are taken by uid; 4 were made under other image settings (max_side_px 512 there, 128" in told
    )
    assert len(shop.asked(since)) == NUM_PHOTOS
    assert num_stored(tmp_path / "new") == {None: NUM_PHOTOS}


@pytest.mark.parametrize(
    "damage", ["flip", pytest.param("cut", marks=pytest.mark.slow), pytest.param("gone", marks=pytest.mark.slow)]
)
def test_a_damaged_copy_is_fetched_instead(tmp_path: Path, shop: PhotoShop, damage: str) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    tar = fetch_tar(tmp_path / "old")
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    since = shop.mark()
    if damage == "gone":
        tar.unlink()
    else:
        tar.write_bytes(data if damage == "flip" else data[: len(data) // 2].ljust(len(data), b"\0"))
    expected = bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
    fetch(recipe | {"reuse": [str(tmp_path / "old")]}, tmp_path / "new")
    assert 1 <= len(shop.asked(since)) <= NUM_PHOTOS
    assert len(shop.asked(since)) == {"flip": 1, "gone": NUM_PHOTOS}.get(damage, len(shop.asked(since)))
    assert fetch_tar(tmp_path / "new").read_bytes() == expected


def test_a_release_can_be_reused_where_it_lies(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    run(recipe, tmp_path / "old")
    since = shop.mark()
    release = tmp_path / "old" / "release"
    run(recipe | {"reuse": [str(release)]}, tmp_path / "new")
    assert shop.asked(since) == []
    assert num_stored(tmp_path / "new") == {str(release): NUM_PHOTOS}
    assert release_bytes(tmp_path / "new") == release_bytes(tmp_path / "old")


@pytest.mark.slow
@pytest.mark.parametrize(("said", "num_asked"), [(None, NUM_PHOTOS), (90, NUM_PHOTOS), (92, 0), ("bad", NUM_PHOTOS)])
def test_a_release_by_itself_must_say_how_its_copies_were_made(
    tmp_path: Path, shop: PhotoShop, said: int | str | None, num_asked: int
) -> None:
    recipe = shop.recipe(tmp_path)
    run(recipe, tmp_path / "old")
    release = shutil.copytree(tmp_path / "old" / "release", tmp_path / "release")
    for path in (release / "manifest").glob("kept-*.parquet"):
        table = pq.read_table(path)
        metadata = {} if said is None else {IMAGE_SETTINGS: json.dumps({"quality": said}).encode()}
        pq.write_table(table.replace_schema_metadata(metadata), path)
    since = shop.mark()
    fetch(recipe | {"reuse": [str(release)]}, tmp_path / "new")
    assert len(shop.asked(since)) == num_asked
    assert sum(num_stored(tmp_path / "new").values()) == NUM_PHOTOS


@pytest.mark.slow
def test_what_an_earlier_run_did_not_store_is_fetched(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    strict = recipe | {"image": {"store": "passing"}, "rules": {"wide": "min_side > 1000"}}
    fetch(strict, tmp_path / "old")
    assert num_stored(tmp_path / "old") == {}
    since = shop.mark()
    fetch(recipe | {"reuse": [str(tmp_path / "old")]}, tmp_path / "new")
    assert len(shop.asked(since)) == NUM_PHOTOS


@pytest.mark.slow
def test_copies_that_do_not_pass_are_not_stored_again(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    since = shop.mark()
    strict = recipe | {"image": {"store": "passing"}, "rules": {"wide": "min_side > 1000"}}
    fetch(strict | {"reuse": [str(tmp_path / "old")]}, tmp_path / "new")
    assert shop.asked(since) == []
    fetch(strict, tmp_path / "fresh")
    assert fetch_tar(tmp_path / "new").read_bytes() == fetch_tar(tmp_path / "fresh").read_bytes()


@pytest.mark.slow
def test_a_host_that_is_blocked_now_is_not_reused(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    (tmp_path / "bad.txt").write_text("127.0.0.1\n")
    crawler = recipe["crawler"] | {"blocklist": [str(tmp_path / "bad.txt")]}
    result = run(recipe | {"crawler": crawler, "reuse": [str(tmp_path / "old")]}, tmp_path / "new")
    assert result.stats["drops"] == [{"stage": "fetch", "reason": "blocklisted", "samples": NUM_PHOTOS}]


@pytest.mark.slow
def test_a_retry_fills_up_from_an_earlier_run(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "old")
    shop.take_away(*range(NUM_PHOTOS))
    fetch(recipe, tmp_path / "new")
    again = recipe | {"reuse": [str(tmp_path / "old")]}
    fetch(again, tmp_path / "new")
    assert num_stored(tmp_path / "new") == {}
    fetch(again, tmp_path / "new", "http_status")
    assert num_stored(tmp_path / "new") == {str(tmp_path / "old"): NUM_PHOTOS}


@pytest.mark.slow
def test_reuse_needs_no_pool_of_lanes_and_no_network(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path) | {"fetch": {"part_rows": 1}}
    fetch(recipe, tmp_path / "old")
    shop.server.close()
    pool = InlinePool(slots=3)
    fetch(recipe | {"reuse": [str(tmp_path / "old")]}, tmp_path / "new", pool=pool)
    assert pool.steps().count("fetch") == NUM_PHOTOS
    assert len(read_index(tmp_path / "new")) == NUM_PHOTOS


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "none",
            "reuse.0: none: no such folder; expected the folder of an earlier `curate run`, or its release folder",
        ),
        ("empty", "reuse.0: empty: is neither a run nor a release"),
        ("s3://bucket/run", "reuse.0: s3://bucket/run: only local folders"),
        ({"run": "none", "recheck": True}, "reuse.0: none: no such folder"),
        ({"run": "empty", "rechek": True}, "reuse.0.rechek: unknown key"),
        ({"recheck": True}, "reuse.0.run: is required"),
        (7, "reuse.0: expected a text"),
    ],
)
def test_what_cannot_be_reused_is_a_problem_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Any, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    recipe = table_recipe(write_csv(tmp_path / "t.csv", [("ftp://a.cn/1", "一")])) | {"reuse": [entry]}
    Path("r.yaml").write_text(json.dumps(recipe))
    result = CliRunner().invoke(cli.app, ["run", "r.yaml", "--out", "run"])
    assert result.exit_code == 2
    assert expected in result.stderr
    assert not Path("run").exists()


def test_a_run_takes_nothing_from_itself(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    fetch(recipe, tmp_path / "run")
    for name in ("run", "run/../run"):
        with pytest.raises(UsageError, match="takes nothing from itself"):
            run(recipe | {"reuse": [str(tmp_path / name)]}, tmp_path / "run")


def test_plan_says_how_many_are_taken(tmp_path: Path, shop: PhotoShop) -> None:
    recipe = shop.recipe(tmp_path)
    run(recipe, tmp_path / "old")
    entries = [str(tmp_path / "old"), {"run": str(tmp_path / "old" / "release"), "recheck": True}]
    (tmp_path / "r.yaml").write_text(json.dumps(recipe | {"reuse": entries}))
    lines = CliRunner().invoke(cli.app, ["plan", str(tmp_path / "r.yaml")]).stdout.splitlines()
    assert lines[-2:] == [
        f"reuse    {tmp_path}/old: 4 stored copies are taken by uid",
        f"reuse    {tmp_path}/old/release: 4 stored copies are asked for again, conditionally",
    ]
