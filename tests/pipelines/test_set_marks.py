"""Marks of known sets: what changes in a folder is noticed, and what does not is not read again."""

import os
from pathlib import Path

import pytest

from pipelines.flow import set_marks
from pipelines.flow.set_marks import MARKS_FILE, mark_of_folder
from shards.storage import sha256_of

LONG_AGO_NS = 10**18


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two images that count as old enough to be trusted."""
    monkeypatch.setattr(set_marks, "_SETTLED_NS", -(10**12))
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.jpg"):
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, ns=(LONG_AGO_NS, LONG_AGO_NS))
    (tmp_path / "run").mkdir()
    return folder


@pytest.fixture
def num_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose contents were read, one by one."""
    seen: list[Path] = []

    def counted(path: Path) -> str:
        seen.append(path)
        return sha256_of(path)

    monkeypatch.setattr("pipelines.flow.set_marks.sha256_of", counted)
    return seen


def test_contents_are_read_once(images: Path, num_read: list[Path]) -> None:
    run = images.parent / "run"
    mark = mark_of_folder(images, run)
    assert len(num_read) == 2
    assert mark_of_folder(images, run) == mark
    assert len(num_read) == 2
    (run / MARKS_FILE).write_text("{ broken")
    assert mark_of_folder(images, run) == mark
    assert len(num_read) == 4


def replaced_with_its_times_kept(folder: Path) -> None:
    """As rsync or tar would: the same name, size and modification time."""
    (folder / "new").write_bytes(b"A.PNG")
    os.utime(folder / "new", ns=(LONG_AGO_NS, LONG_AGO_NS))
    (folder / "new").rename(folder / "a.png")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.png").write_bytes(b"another"),
        lambda folder: (folder / "a.png").write_bytes(b"A.PNG"),
        replaced_with_its_times_kept,
        lambda folder: (folder / "c.png").write_bytes(b"c"),
        lambda folder: (folder / "a.png").unlink(),
        lambda folder: (folder / "a.png").rename(folder / "z.png"),
    ],
)
def test_a_change_gives_another_mark(images: Path, change: object) -> None:
    assert callable(change)
    before = mark_of_folder(images, images.parent / "run")
    change(images)
    assert mark_of_folder(images, images.parent / "run") != before


def test_a_touched_or_copied_folder_keeps_its_mark(images: Path, num_read: list[Path]) -> None:
    run = images.parent / "run"
    mark = mark_of_folder(images, run)
    os.utime(images / "a.png")
    assert mark_of_folder(images, run) == mark
    assert len(num_read) == 4  # looked at again, and found to be as it was
    moved = images.rename(images.parent / "moved")
    assert mark_of_folder(moved, run) == mark


def test_what_changed_a_moment_ago_is_read_again(
    images: Path, num_read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_marks, "_SETTLED_NS", 10**12)
    run = images.parent / "run"
    assert mark_of_folder(images, run) == mark_of_folder(images, run)
    assert len(num_read) == 4
    assert not (run / MARKS_FILE).exists()
