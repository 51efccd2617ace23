"""What the driver knows of committed parts: records need not be opened, and it never outweighs them."""

import json
from pathlib import Path

import pytest

from pipelines.known_parts import KNOWN_FOLDER, KnownPart, KnownParts
from shards.catalog import committed_files
from shards.errors import DiskError
from shards.parts import Done, StepFolder
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of which a record was opened to see whether its part is done."""
    steps: list[str] = []
    ask = StepFolder.done

    def done(folder: StepFolder, index: int, part_fingerprint: str) -> Done | None:
        steps.append(folder.step)
        return ask(folder, index, part_fingerprint)

    monkeypatch.setattr(StepFolder, "done", done)
    return steps


def lines_of(run: Path, step: str) -> list[list[object]]:
    return [json.loads(line) for line in (run / KNOWN_FOLDER / f"{step}.jsonl").read_bytes().splitlines()]


def test_a_resumed_run_opens_no_record_of_what_it_knows(
    tmp_path: Path, finished: FinishedRun, opened: list[str]
) -> None:
    run = finished.copy(tmp_path)
    (run / KNOWN_FOLDER / "measure.jsonl").unlink()
    run_inline(finished.recipe, run)
    assert opened == ["measure"]
    run_inline(finished.recipe, run)
    assert opened == ["measure"], "what a record said is known from then on"


@pytest.mark.parametrize("leaving", [b'[0,"1234', b"\x00\xff\n", b"[]\n", b'[0,"a",{"b":"c"},{}]\n', b"null\n"])
def test_what_is_no_line_is_left_out_and_mended(
    tmp_path: Path, finished: FinishedRun, opened: list[str], leaving: bytes
) -> None:
    run = finished.copy(tmp_path)
    path = run / KNOWN_FOLDER / "measure.jsonl"
    sound = path.read_bytes()
    path.write_bytes(sound + leaving)
    run_inline(finished.recipe, run)
    assert path.read_bytes() == sound
    assert opened == []


def test_a_part_whose_record_was_deleted_is_made_again_and_its_old_files_are_no_longer_known(
    tmp_path: Path, finished: FinishedRun
) -> None:
    """The driver dies before it notes the new part: what it then reads must not be of the old one's files."""
    run = finished.copy(tmp_path)
    path = run / KNOWN_FOLDER / "measure.jsonl"
    (old,) = committed_files(run, "measure", "rows")
    kept = old.read_bytes()
    for record in (run / "measure" / "_done").iterdir():
        record.unlink()
    seen = []
    pool = InlinePool(fault=lambda task, _: seen.append(path.read_bytes()) if task.step == "measure" else None)
    run_inline(finished.recipe, run, pool)
    assert pool.steps() == ["measure"]
    assert seen == [b""], "while the part was made nothing was known of it"
    path.write_bytes(seen[0])
    old.write_bytes(kept)
    run_inline(finished.recipe, run)
    (new,) = committed_files(run, "measure", "rows")
    assert new != old
    assert new.is_file()
    assert not old.exists(), "swept, as no record names it"


def test_of_a_part_the_last_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "known" / "fetch.jsonl"
    parts = KnownParts(path)
    for size in (5, 7):
        parts.add((3, "0123abcd"), KnownPart({"a.tar": size}, {"standing": size}))
    assert KnownParts(path).get((3, "0123abcd")) == ({"a.tar": 7}, {"standing": 7})


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "known").mkdir()
    parts = KnownParts(tmp_path / "known" / "fetch.jsonl")
    (tmp_path / "known" / "fetch.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskError, match="No space left"):
        parts.add((0, "0123abcd"), KnownPart({}, {}))


def test_what_is_known_is_what_records_say(finished: FinishedRun) -> None:
    folders = [path.parent for path in finished.folder.glob("*/_done")]
    assert len(folders) > 8
    for folder in folders:
        records = StepFolder(finished.folder, folder.name).records()
        told = [[r.index, r.fingerprint[:8], {f.name: f.bytes for f in r.files}, r.counts] for r in records]
        assert sorted(lines_of(finished.folder, folder.name), key=lambda line: str(line[:2])) == sorted(
            told, key=lambda line: str(line[:2])
        )
