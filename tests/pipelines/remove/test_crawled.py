"""Takedowns from a crawled run: its archive of pages, its embeddings, and a release that lies apart from it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crawler.warc import WarcSlice
from crawler.warc_candidates import read_warc
from shards.errors import UsageError
from tests.conftest import FinishedDemo
from tests.pipelines.remove.removing import assert_others_unchanged, files_of, places_of, removed, rows_of, samples_of
from tests.pipelines.verifying import faults_of


@pytest.fixture
def run(demo_run: FinishedDemo, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_run.folder, tmp_path / "run"))


def candidates(run: Path) -> list[dict[str, Any]]:
    """What reading the crawl's archive again gives, by origin, URL and text; part files may have other names."""
    found = []
    for path in sorted((run / "crawl").glob("*.warc.gz")):
        piece = WarcSlice(str(path), path.name.partition(".")[0], path.stat().st_size)
        found += [row for batch in read_warc(piece, "test", 1 << 22, "crawl") for row in batch.to_pylist()]
    key = ("page_url", "url", "kind", "text")
    return sorted(({name: row[name] for name in key} for row in found), key=str)


def a_kept_row(run: Path) -> dict[str, Any]:
    """A kept sample whose caption no other sample has."""
    rows = list(rows_of(run / "release").values())
    texts = [text["text"] for row in rows for text in {t["text"]: t for t in row["texts"] or []}.values()]
    return next(row for row in rows if row["status"] == "kept" and texts.count(row["text"]) == 1)


def test_nothing_of_an_image_is_left_and_its_neighbours_are_read_as_before(run: Path) -> None:
    row, before, read = a_kept_row(run), samples_of(run / "release"), candidates(run)
    removed(run, urls=[row["url"]])
    assert_others_unchanged(before, samples_of(run / "release"), {row["uid"]})
    assert faults_of(run) == []
    assert candidates(run) == [candidate for candidate in read if candidate["url"] != row["url"]]
    image = before[row["uid"]][0][0][2]
    for needle in (row["url"].encode(), row["url"].split("/", 3)[3].encode(), image[len(image) // 2 :][:64]):
        assert places_of(needle, run) == []


def test_two_images_of_one_page_go_one_after_another(run: Path) -> None:
    rows = [row for row in rows_of(run / "release").values() if row["status"] == "kept"]
    page = max({row["page_url"] for row in rows}, key=[row["page_url"] for row in rows].count)
    one, other = [row for row in rows if row["page_url"] == page][:2]
    read = candidates(run)
    removed(run, urls=[one["url"]])
    removed(run, urls=[other["url"]])
    urls = (one["url"], other["url"])
    assert candidates(run) == [candidate for candidate in read if candidate["url"] not in urls]
    assert faults_of(run) == []


def test_a_page_takes_its_images_its_record_and_the_links_to_it(run: Path) -> None:
    rows = rows_of(run / "release")
    page = next(row["page_url"] for row in rows.values() if row["status"] == "kept")
    read = candidates(run)
    result = removed(run, urls=[page])
    assert result.num_kept >= sum(row["page_url"] == page and row["status"] == "kept" for row in rows.values())
    assert {row["page_url"] for row in rows_of(run / "release").values()}.isdisjoint({page})
    gone = {row["url"] for row in read if row["page_url"] == page}
    left = [row for row in read if row["page_url"] != page and row["url"] not in gone]
    assert [row for row in candidates(run) if row["url"] not in gone] == left
    assert faults_of(run) == []


def test_a_release_apart_from_its_run_is_purged_and_verified(run: Path, tmp_path: Path) -> None:
    release = Path(shutil.copytree(run / "release", tmp_path / "apart", ignore=lambda *_: ["_done"]))
    row, before = a_kept_row(run), samples_of(release)
    assert removed(release, urls=[row["url"]]).num_kept == 1
    assert_others_unchanged(before, samples_of(release), {row["uid"]})
    assert faults_of(release) == []
    assert places_of(row["url"].encode(), release) == []
    assert "Taken down after the release" in (release / "README.md").read_text()
    after = files_of(release)
    assert removed(release, urls=[row["url"]]).num_kept == 0
    assert files_of(release) == after


def test_a_folder_that_is_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run"):
        removed(tmp_path, uids=["0" * 32])
