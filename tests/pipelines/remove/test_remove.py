"""`curate remove` on a run of a table: what goes, what stays byte for byte, and what a resumed run makes of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from dedup.phash import phash64
from pipelines.flow.stored import stored_images
from pipelines.known_parts import KNOWN_FOLDER
from pipelines.remove import command, journal, parts, released, sealed, selected
from shards.errors import OutputInUseError, UsageError
from shards.lease import Lease
from shards.parts import StepFolder
from shards.schema import uid_of
from shards.tables import read_rows
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline
from tests.pipelines.remove.removing import (
    assert_others_unchanged,
    files_of,
    lasting,
    places_of,
    removed,
    rows_of,
    samples_of,
)
from tests.pipelines.verifying import faults_of

Ask = Callable[[dict[str, Any]], dict[str, Any]]

ASKS: dict[str, Ask] = {
    "url": lambda row: {"urls": [row["url"]]},
    "url as somebody wrote it": lambda row: {"urls": [row["url"].replace("http://", "HTTP://") + "#top"]},
    "uid": lambda row: {"uids": [row["uid"].upper()]},
    "sha256": lambda row: {"sha256s": [row["sha256"]]},
    "sha256 of the stored copy": lambda row: {"sha256s": [row["stored_sha256"]]},
    "phash": lambda row: {"phashes": [f"0x{row['phash']:016x}"]},
    "phash as the manifest has it": lambda row: {"phashes": [f"{row['phash']:020d}"]},
}


@pytest.fixture
def run(finished: FinishedRun, tmp_path: Path) -> Path:
    return finished.copy(tmp_path)


def kept_rows(run: Path) -> list[dict[str, Any]]:
    return [row for row in rows_of(run / "release").values() if row["status"] == "kept"]


def alone(run: Path) -> dict[str, Any]:
    """A kept sample that has no near-duplicate."""
    rows = rows_of(run / "release").values()
    groups = [row["dup_group"] for row in rows]
    return next(row for row in kept_rows(run) if groups.count(row["dup_group"]) == 1)


def _middle(image: bytes) -> bytes:
    """Bytes that no other image has: its tables lie at the beginning."""
    return image[len(image) // 2 : len(image) // 2 + 64]


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_a_removed_sample_is_gone_and_all_others_are_as_they_were(run: Path, ask: Ask) -> None:
    row, before = alone(run), samples_of(run / "release")
    image = before[row["uid"]][0][0][2]
    assert removed(run, **ask(row)).num_samples == 1
    assert_others_unchanged(before, samples_of(run / "release"), {row["uid"]})
    assert faults_of(run) == []
    for needle in (row["url"].encode(), row["text"].encode(), _middle(image), row["sha256"].encode()):
        is_named = needle.decode(errors="replace") in ask(row).get("sha256s", ())
        assert places_of(needle, run) == (["tombstones.jsonl"] if is_named else [])


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_a_resumed_run_asks_for_nothing_and_redoes_nothing(finished: FinishedRun, run: Path, ask: Ask) -> None:
    removed(run, **ask(alone(run)))
    before, asked = files_of(run), len(finished.site.log)
    pool = InlinePool()
    run_inline(finished.recipe, run, pool)
    assert (pool.steps(), len(finished.site.log)) == ([], asked)
    after = files_of(run)
    passing = ("run.json", "health.html", "parts.json", f"{KNOWN_FOLDER}/")
    assert lasting(after, passing) == lasting(before, passing)
    assert faults_of(run) == []


def test_a_host_takes_all_of_its_images(finished: FinishedRun, run: Path) -> None:
    told: list[str] = []
    result = removed(run, told, hosts=["127.0.0.1"])
    assert result.num_kept == finished.kept
    rows = rows_of(run / "release")
    left = {row["url"] for row in rows.values() if row["drop_reason"] != "removed"}
    assert left == {"ftp://a.cn/1.jpg"}
    assert list((run / "release" / "shards").rglob("*.tar")) == []
    assert any("nothing is left in it" in line for line in told)
    assert faults_of(run) == []
    assert places_of(b"http://127.0.0.1", run / "release") == []


def test_a_sample_that_had_been_dropped_is_emptied_too(run: Path) -> None:
    before = samples_of(run / "release")
    row = next(row for _, row in before.values() if row["drop_reason"] == "near_duplicate")
    result = removed(run, uids=[row["uid"]])
    assert (result.num_samples, result.num_kept) == (1, 0)
    assert_others_unchanged(before, samples_of(run / "release"), {row["uid"]})
    assert places_of(row["url"].encode(), run) == []
    assert faults_of(run) == []


def test_near_duplicates_go_only_when_a_distance_is_asked_for(run: Path, finished: FinishedRun, tmp_path: Path) -> None:
    rows = rows_of(run / "release").values()
    twin = next(row for row in rows if row["drop_reason"] == "near_duplicate")
    first = next(row for row in rows if row["uid"] == twin["dup_of"])
    bits = (first["phash"] ^ twin["phash"]).bit_count()
    asked: dict[str, Any] = {"phashes": [f"0x{first['phash'] ^ 1:016x}"]}
    other = finished.copy(tmp_path / "other")
    assert removed(other, **asked).num_samples == 0
    assert removed(run, **asked, distance=bits + 1).num_samples == 2
    assert faults_of(run) == []


def test_a_stored_copy_that_was_never_measured_is_found_by_its_hash(run: Path) -> None:
    tiny = next(row for row in rows_of(run / "release").values() if row["drop_reason"] == "too_small")
    assert tiny["phash"] is None
    folder = StepFolder(run, "fetch")
    for record in folder.records():
        rows = read_rows(folder.file(record, "rows"))
        rows = rows.filter(pc.equal(rows["uid"], tiny["uid"]))
        for pixels in stored_images(rows, folder.file(record, "tar")):
            assert removed(run, phashes=[f"0x{phash64(pixels):016x}"]).num_samples == 1
    assert rows_of(run / "release")[tiny["uid"]]["drop_reason"] == "removed"


def test_what_is_not_there_leaves_a_tombstone_and_nothing_else_changes(run: Path) -> None:
    before = files_of(run)
    assert removed(run, urls=["http://elsewhere.cn/a.jpg"]).num_samples == 0
    after = files_of(run)
    assert set(after) - set(before) == {"tombstones.jsonl"}
    assert {name: after[name] for name in before} == before
    assert "elsewhere" not in (run / "tombstones.jsonl").read_text()


def test_a_dry_run_tells_what_would_be_written_and_writes_nothing(run: Path) -> None:
    row, before = alone(run), files_of(run)
    would: list[str] = []
    did: list[str] = []
    assert removed(run, would, is_dry=True, uids=[row["uid"]]).num_kept == 1
    assert files_of(run) == before
    removed(run, did, uids=[row["uid"]])
    changed = {line.partition(":")[0] for line in did}
    assert {line.partition(":")[0] for line in would} == {name for name in changed if not name.endswith(".idx")}


def test_removing_twice_changes_nothing_more(run: Path) -> None:
    row = alone(run)
    removed(run, uids=[row["uid"]])
    before, told = files_of(run), list[str]()
    assert removed(run, told, uids=[row["uid"]]).num_kept == 0
    assert (files_of(run), told) == (before, [])


def test_one_removal_after_another_equals_both_at_once(finished: FinishedRun, run: Path, tmp_path: Path) -> None:
    one, other = (row["uid"] for row in kept_rows(run)[:2])
    together = finished.copy(tmp_path / "together")
    removed(together, uids=[one, other])
    removed(run, uids=[one])
    removed(run, uids=[other])
    same = files_of(run / "release")
    of_records = {name for name in same if name.startswith("_done")}
    assert {n: d for n, d in same.items() if n not in of_records} == {
        n: d for n, d in files_of(together / "release").items() if n not in of_records
    }


KILLED_AT = {
    "journal": (journal, "put_whole", 1),
    "tombstones": (command, "write_tombstones", 1),
    **{f"part {n}": (parts, "publish", n) for n in (1, 2, 7, 14)},
    "select part": (selected, "put_record", 1),
    "order": (selected, "_write_order", 1),
    **{f"released file {n}": (released, "publish", n) for n in (1, 2, 3, 4)},
    "record": (sealed, "replace", 1),
    "seal": (command, "seal_again", 1),
    "journal's end": (journal, "end", 1),
}


class KilledError(Exception):
    """In place of a kill."""


@pytest.mark.parametrize("goes_on_by", ["the same call", "curate run"])
@pytest.mark.parametrize("place", KILLED_AT.values(), ids=KILLED_AT.keys())
def test_a_killed_removal_is_finished_by_the_next_call(
    finished: FinishedRun,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[Any, str, int],
    goes_on_by: str,
) -> None:
    row, before = alone(run), samples_of(run / "release")
    whole = finished.copy(tmp_path / "whole")
    removed(whole, uids=[row["uid"]])
    _kill_at(monkeypatch, *place)
    with pytest.raises(KilledError):
        removed(run, uids=[row["uid"]])
    monkeypatch.undo()
    pool = InlinePool()
    if goes_on_by == "the same call" or not (run / "tombstones.jsonl").exists():
        removed(run, uids=[row["uid"]])
    else:
        run_inline(finished.recipe, run, pool)
    assert pool.steps() == []
    assert not journal.is_pending(run)
    assert_others_unchanged(before, samples_of(run / "release"), {row["uid"]})
    assert faults_of(run) == []
    assert places_of(row["url"].encode(), run) == []
    of_release = {name: digest for name, digest in files_of(run / "release").items() if "_done" not in name}
    assert of_release == {n: d for n, d in files_of(whole / "release").items() if "_done" not in n}


def _kill_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, time: int) -> None:
    """The call of a function, that many times on, does not happen."""
    real, calls = getattr(module, name), 0

    def killing(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == time:
            raise KilledError
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, killing)


@pytest.mark.parametrize("upto", ["collect", "admit", "fetch", "measure", "dedup", "select"])
def test_an_unfinished_run_goes_on_without_the_removed(
    finished: FinishedRun, run: Path, tmp_path: Path, upto: str
) -> None:
    row = alone(run)
    part = finished.copy(tmp_path / "part", upto)
    removed(part, urls=[row["url"]])
    asked = len(finished.site.log)
    run_inline(finished.recipe, part)
    assert rows_of(part / "release")[row["uid"]]["drop_reason"] == "removed"
    assert faults_of(part) == []
    assert places_of(row["url"].encode(), part) == []
    if upto != "collect":
        path = "/" + row["url"].split("/", 3)[3]
        assert path not in [request.path for request in finished.site.log[asked:]]


def test_another_recipe_over_the_same_run_keeps_it_out(finished: FinishedRun, run: Path) -> None:
    row = alone(run)
    removed(run, uids=[row["uid"]])
    changes: list[dict[str, Any]] = [
        {"release": {"shard_size": 3, "caption": ["caption"]}},
        {"rules": finished.recipe["rules"] | {"plain": "entropy >= 2"}},
        {"rules": finished.recipe["rules"] | {"too_long": "zh_chars < 31"}},
        {"measures": ["sharpness", "text_area"][:1]},
        {"image": {"max_side_px": 128}},
        {},
    ]
    for change in changes:
        asked = len(finished.site.log)
        run_inline(finished.recipe | change, run)
        found = rows_of(run / "release")[row["uid"]]
        assert (found["drop_reason"], found["url"], found["text"]) == ("removed", None, None)
        paths = [request.path for request in finished.site.log[asked:]]
        assert "/" + row["url"].split("/", 3)[3] not in paths
        assert faults_of(run) == []
    assert places_of(row["url"].encode(), run) == []


def test_a_list_names_many_at_once(run: Path, tmp_path: Path) -> None:
    one, other, third = kept_rows(run)[:3]
    listed = tmp_path / "list.txt"
    listed.write_text(f"# asked for in March\n\n{one['url']}\nsha256 {other['sha256']}\n{third['uid']}\n")
    assert removed(run, lists=[listed]).num_samples == 3
    assert faults_of(run) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "nothing is named"),
        ({"urls": ["a.cn/1.jpg"]}, "is no URL"),
        ({"uids": ["abc"]}, "32 hex digits"),
        ({"sha256s": ["0" * 63]}, "64 hex digits"),
        ({"hosts": ["http://a.cn/"]}, "is no host"),
        ({"phashes": ["1234567890123456"]}, "could be both"),
        ({"phashes": [str(1 << 64)]}, "no perceptual hash"),
        ({"lists": [Path("nowhere.txt")]}, "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Path, asked: dict[str, Any], told: str) -> None:
    before = files_of(run)
    with pytest.raises(UsageError, match=told):
        removed(run, **asked)
    assert files_of(run) == before


def test_a_release_inside_its_run_is_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="name the run"):
        removed(run / "release", uids=["0" * 32])


def test_a_run_that_somebody_writes_is_refused(run: Path) -> None:
    with Lease.take(run), pytest.raises(OutputInUseError):
        removed(run, uids=["0" * 32])


def test_a_page_without_images_takes_nothing(run: Path) -> None:
    shutil.rmtree(run / "release")
    assert removed(run, urls=["http://a.cn/page.html"]).num_samples == 0
    assert uid_of("http://a.cn/page.html") in (run / "tombstones.jsonl").read_text()
