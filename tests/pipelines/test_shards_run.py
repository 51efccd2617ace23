"""Runs over WebDataset tars: img2dataset's, hostile ones, and a release of our own, without a request."""

import io
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks import checked_plan
from pipelines.outlook import describe_plan
from shards.catalog import open_catalog
from shards.errors import UsageError
from shards.schema import uid_of
from tests.crawler.lists.shard_files import as_json, write_tar
from tests.pipelines.conftest import FinishedRun, photograph, run_inline
from tests.pipelines.test_launch import release_bytes


def recipe(*paths: Path, **sections: Any) -> dict[str, Any]:
    return {
        "name": "shards",
        "source": {"kind": "shards", "paths": [str(path) for path in paths]},
        "release": {"shard_size": 2, "caption": ["caption"]},
    } | sections


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(run) as catalog:
        answer = catalog.sql(query)
        assert answer is not None
        return sorted(answer.fetchall())


def webp() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(photograph(3))).save(buffer, "WEBP")
    return buffer.getvalue()


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Two tars with every way that an image can go."""
    folder = tmp_path / "tars"
    folder.mkdir()
    write_tar(
        folder / "00000.tar",
        [
            ("0.png", photograph(1)),
            ("0.txt", "湖畔".encode()),
            ("0.json", as_json({"url": "https://img.cn/0.png#x"})),
            ("1.webp", webp()),
            ("1.txt", "古塔".encode()),
            ("2.jpg", b"<html>no image</html>"),
            ("2.txt", b"two"),
            ("3.jpg", photograph(2)[:2000]),
            ("3.txt", b"three"),
            ("4.jpg", b""),
            ("4.txt", b"four"),
            ("../5.jpg", photograph(1)),
            ("6.txt", b"alone"),
        ],
    )
    second = write_tar(
        folder / "00001.tar", [("0.jpg", photograph(4)), ("0.txt", "雪山".encode()), ("1.jpg", b"x" * 9999)]
    )
    second.write_bytes(second.read_bytes()[:-9000])
    return folder


def test_tars_become_a_release_and_everything_else_has_its_reason(tmp_path: Path, tars: Path) -> None:
    result = run_inline(recipe(tars / "*.tar"), tmp_path / "run")
    kept = rows(tmp_path / "run", "SELECT url, text, uid, format FROM manifest WHERE status = 'kept'")
    assert kept == [
        ("https://img.cn/0.png#x", "湖畔", uid_of("https://img.cn/0.png"), "png"),
        ("shard:00000.tar/1", "古塔", uid_of("shard:00000.tar/1"), "webp"),
        ("shard:00001.tar/0", "雪山", uid_of("shard:00001.tar/0"), "png"),
    ]
    dropped = rows(tmp_path / "run", "SELECT drop_reason, url FROM manifest WHERE status = 'dropped'")
    reasons = [reason for reason, _ in dropped]
    assert reasons == ["bad_row", "bad_row", "bad_row", "decode_error", "empty_body", "not_an_image"]
    assert result.stats["kept"] == 3
    asked = rows(tmp_path / "run", "SELECT DISTINCT http_status, robots, final_url FROM images")
    assert asked == [(None, None, None)]


def test_a_run_gives_the_same_bytes_wherever_the_tars_lie_and_however_many_lanes(tmp_path: Path, tars: Path) -> None:
    run_inline(recipe(tars / "*.tar"), tmp_path / "run")
    moved = tars.rename(tmp_path / "elsewhere")
    run_inline(
        recipe(moved, crawler={"lanes": 2}, fetch={"part_rows": 1})
        | {"source": {"kind": "shards", "paths": [str(moved / "*.tar")]}},
        tmp_path / "other",
    )
    first, second = release_bytes(tmp_path / "run"), release_bytes(tmp_path / "other")
    names = {name for name in first if name.startswith(("release/shards/", "release/uids"))}
    assert names
    assert {name: first[name] for name in names} == {name: second[name] for name in names}


def test_what_is_too_large_is_not_read(tmp_path: Path, tars: Path) -> None:
    run_inline(recipe(tars / "00000.tar", fetch={"max_bytes": 4000}), tmp_path / "run")
    found = rows(tmp_path / "run", "SELECT drop_reason, detail FROM images WHERE drop_reason = 'too_large'")
    assert len(found) == 2
    assert all(detail.endswith("bytes in the tar") for _, detail in found)


def test_a_blocklist_holds_for_shards_too(tmp_path: Path, tars: Path) -> None:
    (tmp_path / "hosts.txt").write_text("img.cn\n", encoding="utf-8")
    run_inline(recipe(tars / "*.tar", crawler={"blocklist": [str(tmp_path / "hosts.txt")]}), tmp_path / "run")
    assert rows(tmp_path / "run", "SELECT detail FROM images WHERE drop_reason = 'blocklisted'") == [("img.cn",)]


def test_only_what_passes_is_stored_where_the_recipe_says_so(tmp_path: Path, tars: Path) -> None:
    sections: dict[str, Any] = {"image": {"store": "passing"}, "rules": {"wide": "min_side > 1000"}}
    run_inline(recipe(tars / "*.tar", **sections), tmp_path / "run")
    assert rows(tmp_path / "run", "SELECT count(tar_bytes) FROM images") == [(0,)]


def test_a_release_of_ours_can_be_read_as_a_source(tmp_path: Path, finished: FinishedRun) -> None:
    shards = finished.folder / "release" / "shards"
    num_asked = len(finished.site.log)
    result = run_inline(recipe(shards / "*.tar", image={"keep": "original"}), tmp_path / "run")
    assert result.stats["kept"] == finished.kept
    query = "SELECT uid, url, text, stored_sha256 FROM manifest WHERE status = 'kept'"
    assert rows(tmp_path / "run", query) == rows(finished.folder, query)
    assert len(finished.site.log) == num_asked


def test_a_recipe_over_shards_needs_no_bot_and_asks_no_server_again(tmp_path: Path, tars: Path) -> None:
    told = describe_plan(checked_plan(recipe(tars / "*.tar"), "recipe"))
    assert "GB of tars to read" in told
    assert "polite" not in told
    again = recipe(tars / "*.tar", reuse=[{"run": str(tars), "recheck": True}])
    with pytest.raises(UsageError, match="a shards source asks none"):
        checked_plan(again, "recipe")
