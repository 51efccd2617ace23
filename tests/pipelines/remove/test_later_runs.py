"""Tombstones in later runs: what one run took down does not come into another, however it is named."""

import io
from pathlib import Path
from typing import Any

import pytest

from pipelines.flow.takedown_lists import tombstone_problems
from pipelines.progress import Progress
from pipelines.release_again import release_again
from shards.parts import StepFolder
from shards.tar_purge import HOLE
from shards.tars import members
from shards.tombstones import Tombstone, Tombstones, host_tombstone, tombstones_of, write_tombstones
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline
from tests.pipelines.remove.removing import places_of, removed, rows_of
from tests.pipelines.verifying import faults_of

KINDS = ("uid", "sha256", "phash", "host")


def first_kept(finished: FinishedRun) -> dict[str, Any]:
    rows = rows_of(finished.folder / "release").values()
    groups = [row["dup_group"] for row in rows]
    return next(row for row in rows if row["status"] == "kept" and groups.count(row["dup_group"]) == 1)


def listed(kind: str, row: dict[str, Any], folder: Path) -> Path:
    """A list with one tombstone of a kind."""
    value = f"{row['phash']:016x}" if kind == "phash" else row.get(kind)
    entry = host_tombstone(row["host"]) if kind == "host" else Tombstone(kind, str(value))
    folder.mkdir()
    write_tombstones(folder, Tombstones(frozenset({entry})))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_run_keeps_it_out(finished: FinishedRun, tmp_path: Path, kind: str) -> None:
    row = first_kept(finished)
    names = [str(listed(kind, row, tmp_path / "lists"))]
    asked = len(finished.site.log)
    run_inline(finished.recipe | {"tombstones": names}, tmp_path / "run")
    found = rows_of(tmp_path / "run" / "release")[row["uid"]]
    assert (found["drop_reason"], found["url"], found["sha256"]) == ("removed", None, None)
    assert faults_of(tmp_path / "run") == []
    path = "/" + row["url"].split("/", 3)[3]
    is_asked = path in [request.path for request in finished.site.log[asked:]]
    assert is_asked == (kind in ("sha256", "phash"))
    if not is_asked:
        assert places_of(row["url"].encode(), tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["sha256", "phash"])
def test_its_copy_is_in_no_committed_tar(finished: FinishedRun, tmp_path: Path, kind: str) -> None:
    row = first_kept(finished)
    run_inline(finished.recipe | {"tombstones": [str(listed(kind, row, tmp_path / "lists"))]}, tmp_path / "run")
    folder = StepFolder(tmp_path / "run", "fetch")
    tars = [folder.file(record, "tar").read_bytes() for record in folder.records()]
    copies = {name: data for tar in tars for name, data in members(tar)}
    assert set(copies[f"{row['uid']}.{HOLE}"]) == {0}
    assert f"{row['uid']}.{row['stored_format']}" not in copies


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_that_is_new_to_a_run_is_carried_out_there(finished: FinishedRun, tmp_path: Path, kind: str) -> None:
    row, run = first_kept(finished), finished.copy(tmp_path)
    asked = len(finished.site.log)
    pool = InlinePool()
    run_inline(finished.recipe | {"tombstones": [str(listed(kind, row, tmp_path / "lists"))]}, run, pool)
    assert rows_of(run / "release")[row["uid"]]["drop_reason"] == "removed"
    assert len(finished.site.log) == asked
    # Where nothing is left of a run of shards, those behind it have other numbers.
    assert set(pool.steps()) == ({"release"} if kind == "host" else set())
    assert faults_of(run) == []
    assert places_of(row["url"].encode(), run) == []


def test_a_run_is_named_as_a_list(finished: FinishedRun, tmp_path: Path) -> None:
    row, first = first_kept(finished), finished.copy(tmp_path)
    removed(first, urls=[row["url"]])
    run_inline(finished.recipe | {"tombstones": [str(first)]}, tmp_path / "second")
    assert rows_of(tmp_path / "second" / "release")[row["uid"]]["drop_reason"] == "removed"
    assert tombstones_of(first).entries <= tombstones_of(tmp_path / "second").entries


@pytest.mark.parametrize("kind", ["", *KINDS])
def test_a_release_that_is_decided_again_keeps_it_out(finished: FinishedRun, tmp_path: Path, kind: str) -> None:
    row, run = first_kept(finished), finished.copy(tmp_path)
    recipe = finished.recipe
    if kind:
        recipe = recipe | {"tombstones": [str(listed(kind, row, tmp_path / "lists"))]}
    else:
        removed(run, uids=[row["uid"]])
    out = tmp_path / "again"
    release_again(run, recipe, "recipe", str(out), True, InlinePool, Progress(io.StringIO(), live=False))
    found = rows_of(out)[row["uid"]]
    assert (found["drop_reason"], found["url"]) == ("removed", None)
    assert faults_of(out) == []
    assert places_of(row["url"].encode(), out) == []


def test_lists_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"kind": "uid", "value": "xyz"}\n')
    given = ["s3://a/b.jsonl", str(tmp_path / "gone.jsonl"), str(tmp_path / "bad.jsonl"), str(tmp_path)]
    told = [str(problem) for problem in tombstone_problems(given)]
    assert [line.partition(":")[0] for line in told] == ["tombstones.0", "tombstones.1", "tombstones.2"]
    assert "line 1" in told[2]
