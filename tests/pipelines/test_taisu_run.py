"""A run over TaiSu's files: images in tars and captions in a list become pairs, and what has no partner says so."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from crawler.lists.taisu import caption_slices
from pipelines.checks import checked_plan
from pipelines.flow import admit, collect
from pipelines.flow.captioned import NO_IMAGE, NO_LINE
from pipelines.outlook import describe_plan
from pipelines.tasks import RowFilter, Task, buckets_for
from pipelines.why import tell_story
from shards.catalog import open_catalog
from shards.errors import BadInputError
from shards.schema import uid_of
from shards.stores.object_store import ObjectStore
from tests.crawler.lists.shard_files import write_tar
from tests.object_server import Bucket
from tests.pipelines.conftest import InlinePool, photograph, run_inline
from tests.pipelines.on_store import run_on_store
from tests.pipelines.remove.removing import places_of, removed
from tests.pipelines.test_launch import release_bytes
from tests.pipelines.verifying import faults_of

SEVEN = "img1baiducomitu1848496827104259151"
LINES = (
    f"{SEVEN}*****湖畔的古塔*****湖边有一座塔",
    "b2*****雪山*****None",
    "c3*****None*****一片海",
    "d4*****None*****None",
    "e5*****不在了的图*****一张图",
    "broken line",
    "f6*****不是图*****None",
    "g7*****IMG_0007.jpg*****一只猫坐在椅子上",
)


def recipe(folder: Path, **source: Any) -> dict[str, Any]:
    given = {"paths": [str(folder / "*.tar")], "captions": [str(folder / "*.txt")]}
    return {
        "name": "taisu",
        "source": {"kind": "shards", "layout": "taisu", **given, **source},
        "rules": {"no_chinese": "zh_chars >= 1", "repeated": "text_count <= 2"},
        "release": {"shard_size": 2, "caption": ["caption", "generated"]},
    }


@pytest.fixture
def released(tmp_path: Path) -> Path:
    return release_to(tmp_path / "in", LINES)


def release_to(folder: Path, lines: Sequence[str]) -> Path:
    """Two tars, with one image in both, one that no line names and one that is none, and the list."""
    folder.mkdir()
    write_tar(folder / "baidu_images0.tar", [(f"a/{SEVEN}.jpg", photograph(7)), ("a/b2.jpg", photograph(2))])
    others = [("c3.jpg", photograph(3)), ("d4.jpg", photograph(4)), ("f6.jpg", b"<html>"), ("h8.jpg", photograph(8))]
    write_tar(folder / "baidu_images1.tar", [("b2.jpg", photograph(22)), *others, ("g7.jpg", photograph(17))])
    (folder / "filtered_caption.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(run) as catalog:
        answer = catalog.sql(query)
        assert answer is not None
        return sorted(answer.fetchall())


def url(name: str) -> str:
    return f"shard:taisu/{name}"


def test_images_and_captions_become_pairs_and_nothing_is_lost(tmp_path: Path, released: Path) -> None:
    stats = run_inline(recipe(released), tmp_path / "run").stats
    assert rows(tmp_path / "run", "SELECT url, uid, text, text_kind, strength FROM manifest WHERE status = 'kept'") == [
        (url("b2"), uid_of(url("b2")), "雪山", "caption", "weak"),
        (url("c3"), uid_of(url("c3")), "一片海", "generated", "weak"),
        (url("g7"), uid_of(url("g7")), "一只猫坐在椅子上", "generated", "weak"),
        (url(SEVEN), uid_of(url(SEVEN)), "湖畔的古塔", "caption", "weak"),
    ]
    dropped = "SELECT coalesce(url, ''), drop_reason, detail FROM manifest WHERE status = 'dropped'"
    assert rows(tmp_path / "run", dropped) == [
        ("", "bad_row", "expected ID*****caption*****generated caption"),
        (url("d4"), "bad_text", "no text"),
        (url("e5"), "bad_row", NO_IMAGE),
        (url("f6"), "not_an_image", "starts with b'<html>'"),
        (url("h8"), "bad_text", NO_LINE),
    ]
    assert rows(tmp_path / "run", "SELECT origin FROM candidates WHERE url IS NULL") == [("filtered_caption.txt:6",)]
    assert (stats["candidates"], stats["samples"], stats["kept"]) == (8 + 11, 9, 4)
    assert faults_of(tmp_path / "run") == []


def test_both_captions_are_texts_of_their_kinds(tmp_path: Path, released: Path) -> None:
    run_inline(recipe(released), tmp_path / "run")
    texts = "SELECT text.kind, text.text, text.drop_reason FROM (SELECT unnest(texts) AS text, url FROM manifest)"
    assert rows(tmp_path / "run", f"{texts} WHERE url = '{url(SEVEN)}'") == [
        ("caption", "湖畔的古塔", None),
        ("generated", "湖边有一座塔", None),
    ]
    assert rows(tmp_path / "run", f"{texts} WHERE url = '{url('g7')}'") == [
        ("caption", "IMG_0007.jpg", "no_chinese"),
        ("generated", "一只猫坐在椅子上", None),
    ]


def test_of_two_images_of_one_id_the_same_is_taken_in_every_run(tmp_path: Path, released: Path) -> None:
    run_inline(recipe(released), tmp_path / "run")
    members = "SELECT split_part(member, ':', 1) FROM read_parquet('{}') WHERE url = '{}'"
    assert rows(tmp_path / "run", members.format(tmp_path / "run/admit/*.parquet", url("b2"))) == [
        ("baidu_images0.tar",)
    ]


def test_a_story_tells_of_an_image_by_its_id(tmp_path: Path, released: Path) -> None:
    run_inline(recipe(released), tmp_path / "run")
    assert "湖边有一座塔" in tell_story(tmp_path / "run", url(SEVEN))
    assert NO_IMAGE in tell_story(tmp_path / "run", url("e5"))


def cut_small(monkeypatch: pytest.MonkeyPatch, slice_bytes: int = 60, num_rows: int = 3) -> None:
    """Slices, shares and buckets so small that partners lie in different ones."""
    monkeypatch.setattr(collect, "caption_slices", functools.partial(caption_slices, slice_bytes=slice_bytes))
    monkeypatch.setattr("crawler.lists.taisu._BATCH_ROWS", 2)
    monkeypatch.setattr(admit, "buckets_for", functools.partial(buckets_for, rows_per_bucket=num_rows))
    monkeypatch.setattr(admit, "SHUFFLE_ROWS", num_rows)


def test_the_size_of_parts_and_the_order_of_lines_decide_nothing(
    tmp_path: Path, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_inline(recipe(released), tmp_path / "run")
    cut_small(monkeypatch)
    pool = InlinePool(slots=3)
    run_inline(recipe(release_to(tmp_path / "elsewhere", LINES[::-1])), tmp_path / "other", pool)
    steps = pool.steps()
    assert min(steps.count("collect"), steps.count("admit-shuffle"), steps.count("admit")) > 4
    one, another = release_bytes(tmp_path / "run"), release_bytes(tmp_path / "other")
    names = [name for name in one if name.startswith(("release/shards/", "release/uids", "release/manifest/kept"))]
    assert len(names) >= 4
    assert {name: one[name] for name in names} == {name: another[name] for name in names}


@pytest.mark.parametrize("said", [{}, {"limit": 4}])
def test_a_run_that_is_killed_goes_on_to_the_same_release(
    tmp_path: Path, released: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, int]
) -> None:
    cut_small(monkeypatch, slice_bytes=200, num_rows=8)
    run_inline(recipe(released, **said), tmp_path / "whole")
    deaths = 0
    while True:  # dies before the second part that it comes to, and goes on
        started: list[str] = []

        def die(task: Task, _: RowFilter, started: list[str] = started) -> None:
            started.append(task.step)
            if len(started) > 1 and task.step in ("collect", "admit-shuffle", "admit"):
                raise BadInputError("killed")

        try:
            run_inline(recipe(released, **said), tmp_path / "killed", InlinePool(slots=1, fault=die))
            break
        except BadInputError:
            deaths += 1
    assert deaths > 4
    assert release_bytes(tmp_path / "killed") == release_bytes(tmp_path / "whole")


@pytest.mark.parametrize(
    ("limit", "names"), [(1, [SEVEN]), (3, ["b2", SEVEN]), (5, ["b2", "c3", "d4", SEVEN]), (99, None)]
)
def test_a_limit_counts_images_and_takes_their_captions_alone(
    tmp_path: Path, released: Path, limit: int, names: list[str] | None
) -> None:
    stats = run_inline(recipe(released, limit=limit), tmp_path / "run").stats
    found = [place for (place,) in rows(tmp_path / "run", "SELECT url FROM manifest")]
    assert found == sorted(url(name) for name in names or ["b2", "c3", "d4", "f6", "g7", "h8", SEVEN])
    (captions,) = rows(tmp_path / "run", f"SELECT count(text) FROM candidates WHERE url = '{url(SEVEN)}'")
    assert captions == (2,)
    assert stats["part_of_source"] == f"limit {limit} rows"


def test_a_sample_takes_images_with_their_captions(tmp_path: Path, released: Path) -> None:
    run_inline(recipe(released), tmp_path / "run")
    run_inline(recipe(released, sample=0.5), tmp_path / "half")
    pairs = "SELECT coalesce(url, ''), drop_reason, text FROM manifest"
    whole, half = rows(tmp_path / "run", pairs), rows(tmp_path / "half", pairs)
    assert 0 < len(half) < len(whole)
    assert set(half) < set(whole)


def test_an_archive_that_comes_later_brings_images_to_captions_that_waited(tmp_path: Path, released: Path) -> None:
    run_inline(recipe(released), tmp_path / "run")
    write_tar(released / "baidu_images2.tar", [("e5.jpg", photograph(5))])
    pool = InlinePool()
    run_inline(recipe(released), tmp_path / "run", pool)
    assert rows(tmp_path / "run", f"SELECT text FROM manifest WHERE url = '{url('e5')}' AND status = 'kept'") == [
        ("不在了的图",)
    ]
    assert pool.steps().count("fetch") == 1
    assert faults_of(tmp_path / "run") == []


def test_what_is_taken_down_is_gone_from_both_sides_and_does_not_come_back(tmp_path: Path, released: Path) -> None:
    run, words = tmp_path / "run", ("湖边有一座塔", "不在了的图")
    run_inline(recipe(released), run)
    assert all(places_of(word.encode(), run) for word in words)
    names = [uid_of(url(name)) for name in (SEVEN, "e5")]
    removed(run, uids=names)
    assert not any(places_of(word.encode(), run) for word in words)
    write_tar(released / "baidu_images2.tar", [("e5.jpg", photograph(5)), (f"{SEVEN}.jpg", photograph(7))])
    run_inline(recipe(released), run)
    gone = f"SELECT drop_reason, url, text FROM manifest WHERE uid IN {tuple(names)}"
    assert rows(run, gone) == [("removed", None, None)] * 2
    assert not any(places_of(word.encode(), run) for word in words)
    assert faults_of(run) == []


def test_on_a_store_the_pairs_are_the_same(
    tmp_path: Path, released: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_SCRATCH", str(tmp_path / "scratch"))
    for path in released.iterdir():
        ObjectStore(bucket.name).put(f"in/{path.name}", path.read_bytes())
    there = {"paths": [bucket.url("in/*.tar")], "captions": [bucket.url("in/filtered_caption.txt")], "limit": 3}
    local = run_inline(recipe(released, limit=3), tmp_path / "run").stats
    assert run_on_store(recipe(released, **there), bucket).stats == local


def test_a_list_that_is_none_is_refused_before_anything_runs(tmp_path: Path, released: Path) -> None:
    (released / "filtered_caption.txt").write_text("id,caption\n", encoding="utf-8")
    for said in ({}, {"limit": 1}):
        with pytest.raises(BadInputError, match=r"filtered_caption\.txt: none of its first lines"):
            run_inline(recipe(released, **said), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_plan_tells_parts_and_bytes(released: Path) -> None:
    told = describe_plan(checked_plan(recipe(released), "recipe test"))
    assert "parts    collect 3\n" in told
    assert "polite" not in told
