"""A run's folder over another: parts of both count, the upper one's first, and the lower is never written."""

from pathlib import Path

from shards.parts import Attempt, PartFile, Record, StepFolder
from shards.parts_over import FolderOver


def commit(folder: StepFolder, index: int, mark: str, text: str) -> Record:
    folder.path.parent.mkdir(exist_ok=True)
    attempt = Attempt(folder, index)
    attempt.path("rows", "txt").write_text(text)
    return folder.commit(Record("step", index, mark, attempt.publish(), 1), may_commit=lambda: True)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(folder: StepFolder, index: int, mark: str) -> str:
    return folder.file(folder.record(index, mark), "rows").read_text()


def test_parts_of_both_count_and_the_upper_one_s_come_first(tmp_path: Path) -> None:
    one, two, three = "a" * 32, "b" * 32, "c" * 32
    below = StepFolder(tmp_path / "below", "step")
    for mark, text in ((one, "old"), (two, "kept")):
        commit(below, 0 if mark == one else 1, mark, text)
    folder = FolderOver(tmp_path / "run", "step", tmp_path / "below")
    assert [read(folder, 0, one), read(folder, 1, two)] == ["old", "kept"]
    commit(folder, 0, one, "new")
    commit(folder, 2, three, "more")
    assert folder.committed() == {(0, one[:8]), (1, two[:8]), (2, three[:8])}
    assert [read(folder, 0, one), read(folder, 1, two), read(folder, 2, three)] == ["new", "kept", "more"]


def test_what_lies_below_is_never_written(tmp_path: Path) -> None:
    mark = "a" * 32
    below = StepFolder(tmp_path / "below", "step")
    record = commit(below, 0, mark, "old")
    (below.path / "leaving.txt").touch()
    before = listing(below.path)
    folder = FolderOver(tmp_path / "run", "step", tmp_path / "below")
    commit(folder, 1, "b" * 32, "new")
    folder.forget(0, mark)
    folder.sweep()
    assert listing(below.path) == before
    assert folder.is_whole(record)
    assert not folder.is_whole(Record("step", 0, mark, (PartFile("rows", "gone.txt", 1, ""),), 1))
