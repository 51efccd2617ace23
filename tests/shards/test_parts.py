"""Parts: commit records, attempts, and fingerprints that are equal where their values are."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import BrokenRunError
from shards.parts import Attempt, PartFile, Record, StepFolder, fingerprint

MARK = fingerprint("mark")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def yes() -> bool:
    return True


def committed(folder: StepFolder, index: int = 0, mark: str = MARK, data: bytes = b"rows") -> Record:
    attempt = Attempt(folder, index)
    attempt.path("rows", "parquet").write_bytes(data)
    record = Record(folder.step, index, mark, attempt.publish(), rows=3, counts={"standing": 3}, meta={"a": [1]})
    return folder.commit(record, may_commit=yes)


@given(JSON)
def test_a_fingerprint_depends_on_values_and_not_on_the_order_of_keys(value: Any) -> None:
    turned = json.loads(json.dumps(value), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert fingerprint("step", value) == fingerprint("step", turned)


@pytest.mark.parametrize("other", [["a", 2], ["b", 1], [1, "a"], ["a", 1, None], [["a", 1]], ["a", True], ["a", "1"]])
def test_other_values_have_another_fingerprint(other: list[Any]) -> None:
    assert fingerprint("a", 1) != fingerprint(*other)


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    code = "from shards.parts import fingerprint; print(fingerprint('字', {'b': 1.5, 'a': [None, True]}))"
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    expected = fingerprint("字", {"a": [None, True], "b": 1.5})
    assert [run.stdout.decode().strip() for run in runs] == [expected, expected]


def test_a_record_reads_back_as_it_was_committed(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "fetch")
    record = committed(folder)
    assert folder.record(0, MARK) == record
    assert folder.committed() == {(0, MARK[:8])}
    assert folder.file(record, "rows").read_bytes() == b"rows"
    assert folder.is_whole(record)


def test_the_second_attempt_gets_the_first_one_s_record(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "fetch")
    first = committed(folder, data=b"first")
    assert committed(folder, data=b"second") == first
    assert folder.file(folder.record(0, MARK), "rows").read_bytes() == b"first"


def test_a_sweep_leaves_what_records_name_and_nothing_else(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "fetch")
    first = committed(folder)
    committed(folder, data=b"loser")
    (folder.path / "inner").mkdir()
    (folder.path / "inner" / "leaving").touch()
    folder.sweep()
    assert [path.name for path in folder.path.rglob("*") if path.is_file() and path.parent.name != "_done"] == [
        first.files[0].name
    ]


def test_a_step_without_a_folder_has_no_records_and_can_be_swept(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "none")
    assert folder.committed() == set()
    assert folder.records() == []
    folder.sweep()


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_a_record_whose_file_is_damaged_is_not_whole(tmp_path: Path, damage: str) -> None:
    folder = StepFolder(tmp_path, "fetch")
    record = committed(folder)
    path = folder.file(record, "rows")
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"ro")
    assert not folder.is_whole(record)
    folder.forget(0, MARK)
    assert folder.committed() == set()


def test_a_run_that_lost_its_folder_commits_nothing(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "fetch")
    record = Record("fetch", 0, MARK, (), rows=0)
    with pytest.raises(BrokenRunError, match="another run took over"):
        folder.commit(record, may_commit=lambda: False)
    assert folder.committed() == set()


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"files": 1}', b'{"files": [], "other": 1}', b"\xff"])
def test_an_unreadable_record_is_named_with_what_to_do(tmp_path: Path, data: bytes) -> None:
    folder = StepFolder(tmp_path, "fetch")
    committed(folder)
    (folder.path / "_done" / f"000000-{MARK[:8]}.json").write_bytes(data)
    with pytest.raises(BrokenRunError, match=r"_done/000000-.*delete it to redo the part") as told:
        folder.record(0, MARK)
    assert "\n" not in str(told.value)


def test_listings_of_records_skip_what_is_none(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "fetch")
    committed(folder)
    for name in (".000001-abcdef01.json.1234.tmp", "1-abcdef01.json", "000001-xyz.json", "notes.txt"):
        (folder.path / "_done" / name).touch()
    assert folder.committed() == {(0, MARK[:8])}


def test_a_file_of_a_role_that_the_part_lacks_is_a_broken_run(tmp_path: Path) -> None:
    record = Record("fetch", 7, MARK, (PartFile("rows", "a", 1, ""),), rows=0)
    with pytest.raises(BrokenRunError, match="fetch part 7 has no file 'tar'"):
        StepFolder(tmp_path, "fetch").file(record, "tar")


def test_what_an_attempt_did_not_publish_it_takes_away(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "fetch")
    attempt = Attempt(folder, 0)
    attempt.path("rows", "parquet").write_bytes(b"x")
    attempt.path("tar", "tar")
    attempt.discard()
    assert list(folder.path.iterdir()) == []


def test_two_attempts_never_share_a_name_unless_it_is_a_plain_one(tmp_path: Path) -> None:
    folder = StepFolder(tmp_path, "release")
    names = set()
    for _ in range(2):
        attempt = Attempt(folder, 0)
        attempt.path("rows", "parquet").write_bytes(b"x")
        attempt.path("shard", "tar", "shards/000000.tar").write_bytes(b"y")
        names |= {file.name for file in attempt.publish()}
    assert len(names) == 3
    assert "shards/000000.tar" in names
