"""`curate report`: one page of a run or of a release, with the samples at each threshold, the same bytes each time."""

import base64
import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipelines import cli
from pipelines.plan_file import read_plan
from pipelines.report.command import write_report
from pipelines.report.pictures import RunPictures
from pipelines.report.samples import Sheets, choose_sheets
from shards.catalog import committed_files
from shards.errors import BadInputError, OutputInUseError, UsageError
from shards.lease import Lease
from tests.conftest import FinishedDemo
from tests.pipelines.conftest import FinishedRun, run_inline
from tests.pipelines.test_report_page import Elements

JPEG = re.compile(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)")


def pictures_of(page: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in JPEG.findall(page)]


def sheets_of(run: Path, spill: Path) -> Sheets:
    files = [*committed_files(run, "select", "kept"), *committed_files(run, "select", "dropped")]
    drops = json.loads((run / "release" / "stats.json").read_bytes())["drops"]
    return choose_sheets(files, read_plan(run).rules, drops, RunPictures(run), spill)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", Elements(page).text)


def test_the_page_of_a_run_is_the_same_bytes_wherever_it_is_written(tmp_path: Path, finished: FinishedRun) -> None:
    run, other = finished.copy(tmp_path), tmp_path / "other"
    run_inline(finished.recipe, other)
    written = [write_report(run), write_report(run / "release", tmp_path / "x.html"), write_report(other)]
    assert len({path.read_bytes() for path in written}) == 1
    assert written[0] == run / "report.html"


def test_it_says_what_the_sealed_report_says_and_shows_pictures(tmp_path: Path, finished: FinishedRun) -> None:
    page = write_report(finished.copy(tmp_path)).read_text(encoding="utf-8")
    sealed = (finished.folder / "release" / "report.html").read_text(encoding="utf-8")
    assert pictures_of(sealed) == []
    captions = text_of(sealed).partition(" Captions 配文统计 ")[2].partition(" These numbers")[0]
    assert "Texts of kept samples" in captions
    assert captions in text_of(page)
    pictures = pictures_of(page)
    assert len(pictures) >= finished.kept
    assert {(image.format, max(image.size) <= 144, "exif" in image.info) for image in pictures} == {
        ("JPEG", True, False)
    }


def test_the_seal_holds_after_a_report(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    write_report(run)
    for line in (run / "release" / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((run / "release" / name).read_bytes()).hexdigest() == digest


def test_samples_are_those_with_the_smallest_uids_and_nearest_to_the_threshold(
    tmp_path: Path, demo_run: FinishedDemo
) -> None:
    sheets = sheets_of(demo_run.folder, tmp_path)
    uids = [card.uid for card in sheets.kept]
    assert (len(uids), uids) == (12, sorted(uids))
    borders = {border.rule: border for border in sheets.borders}
    assert set(borders) == {"too_small", "bad_aspect", "plain", "blurred", "weak_match", "lowest"}
    weak = borders["weak_match"]
    for cards, sign in ((weak.rejected, -1), (weak.kept, 1)):
        distances = [sign * (float(card.note.removeprefix("clip_score ")) - 0.4) for card in cards]
        assert (len(distances), distances) == (6, sorted(distances))
        assert distances[0] >= 0
        assert all(card.picture for card in cards)
    fallen = {sheet.reason: sheet for sheet in sheets.fallen}
    assert "http_status" not in fallen
    assert all(card.picture is None and card.caption for card in fallen["no_chinese"].cards)
    assert all(card.picture is not None for card in fallen["near_duplicate"].cards)


def test_a_copy_that_is_gone_or_broken_leaves_its_picture_out(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    tar, *others = sorted((run / "fetch").glob("*.tar"))
    tar.write_bytes(b"\0" * tar.stat().st_size)
    for other in others:
        other.unlink()
    page = write_report(run).read_text(encoding="utf-8")
    assert pictures_of(page) == []
    assert "第1张照片" in page


def test_what_safety_measures_find_is_never_pictured(
    tmp_path: Path, finished: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.report.samples._NOT_PICTURED", "filters.image")
    sheets = sheets_of(finished.folder, tmp_path)
    unseen = [sheet for sheet in sheets.fallen if sheet.reason in ("too_small", "plain")]
    assert unseen
    assert {card.picture for sheet in unseen for card in sheet.cards} == {None}
    assert all(card.picture is not None for card in sheets.kept)


def test_a_release_has_a_page_of_its_own_with_what_it_holds(tmp_path: Path, demo_run: FinishedDemo) -> None:
    release = tmp_path / "my-data"
    shutil.copytree(demo_run.folder / "release", release, ignore=shutil.ignore_patterns("_done"))
    page = write_report(release).read_text(encoding="utf-8")
    assert (tmp_path / "my-data-report.html").is_file()
    assert len(pictures_of(page)) >= 12
    assert "A release holds no copies of dropped samples" in page
    shutil.rmtree(release / "shards")
    page = write_report(release).read_text(encoding="utf-8")
    assert pictures_of(page) == []
    assert "This release has no shards" in page


@pytest.mark.parametrize("dropped", ["narrow", "none"])
def test_a_release_with_little_of_dropped_samples_has_a_page_too(
    tmp_path: Path, finished: FinishedRun, dropped: str
) -> None:
    recipe = finished.recipe | {"release": finished.recipe["release"] | {"dropped": dropped}}
    run = finished.copy(tmp_path)
    run_inline(recipe, run)
    release = tmp_path / "alone"
    (run / "release").rename(release)
    page = write_report(release).read_text(encoding="utf-8")
    assert len(pictures_of(page)) >= finished.kept
    assert "too_small" in page


def test_an_unfinished_run_and_what_is_none_are_refused(tmp_path: Path, finished: FinishedRun) -> None:
    with pytest.raises(UsageError, match="no finished release yet"):
        write_report(finished.copy(tmp_path, "measure"))
    with pytest.raises(UsageError, match="no release of curate"):
        write_report(tmp_path)


def test_a_run_in_use_is_refused(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    with Lease.take(run), pytest.raises(OutputInUseError):
        write_report(run)


def test_nothing_is_written_into_a_release_or_over_a_folder(tmp_path: Path, finished: FinishedRun) -> None:
    run = finished.copy(tmp_path)
    for output in (run / "release" / "more.html", run / "release" / "manifest" / "x.html"):
        with pytest.raises(UsageError, match="SHA256SUMS would not list it"):
            write_report(run, output)
    for output in (tmp_path, tmp_path / "nowhere" / "x.html"):
        with pytest.raises(UsageError, match="name a file in a folder that is there"):
            write_report(run, output)


def test_a_release_of_an_earlier_version_or_without_numbers_is_told(tmp_path: Path, finished: FinishedRun) -> None:
    release = tmp_path / "old"
    shutil.copytree(finished.folder / "release", release)
    stats = json.loads((release / "stats.json").read_bytes())
    (release / "stats.json").write_text(json.dumps({name: stats[name] for name in stats if name != "rules"}))
    with pytest.raises(UsageError, match="name its run instead"):
        write_report(release)
    (release / "stats.json").write_text("{")
    with pytest.raises(BadInputError, match="cannot be read"):
        write_report(release)


def test_the_command_prints_where_the_page_lies(tmp_path: Path, finished: FinishedRun) -> None:
    target = tmp_path / "页.html"
    ended = CliRunner().invoke(cli.app, ["report", str(finished.copy(tmp_path)), "-o", str(target)])
    assert (ended.exit_code, ended.stdout) == (0, f"{target}\n")
    refused = CliRunner().invoke(cli.app, ["report", str(tmp_path)])
    assert refused.exit_code == 2
    assert refused.stderr.startswith("curate: ")
