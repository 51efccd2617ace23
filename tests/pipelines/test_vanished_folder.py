"""A run's folder that vanishes while it runs: a clean end that names it, nothing in its place, the same bytes."""

import errno
import os
from pathlib import Path

import pytest

from pipelines.tasks import RowFilter, Task
from shards.errors import DiskError
from shards.lease import noticing_loss
from tests.pipelines.conftest import FinishedRun, InlinePool, run_inline
from tests.pipelines.on_store import kept_in


def gone_at(step: str, run: Path, aside: Path, is_tried: bool) -> InlinePool:
    """A pool under which the folder is moved away as a part of this step begins, or as one has failed."""

    def move(task: Task, rows: RowFilter) -> None:
        if task.step == step and not aside.exists():
            run.rename(aside)
            if is_tried:
                raise RuntimeError("by whatever fault")

    return InlinePool(fault=move)


@pytest.mark.parametrize("is_tried", [False, True])
@pytest.mark.parametrize("step", ["measure", "dedup-shuffle", "select", "release"])
def test_a_folder_that_vanishes_ends_the_run_cleanly_and_it_resumes(
    finished: FinishedRun, tmp_path: Path, step: str, is_tried: bool
) -> None:
    run, aside = finished.copy(tmp_path, "fetch"), tmp_path / "aside"
    with pytest.raises(DiskError, match=r"is gone: .* bytes are free at .* run again: it resumes") as told:
        run_inline(finished.recipe, run, gone_at(step, run, aside, is_tried))
    assert told.value.exit_code == 74
    assert str(told.value).startswith(str(run))
    assert not run.exists(), "something was made in its place"
    (aside / "lease.json").unlink()  # of this process, which lives
    aside.rename(run)
    run_inline(finished.recipe, run)
    assert kept_in(run / "release") == kept_in(finished.folder / "release")


def test_an_empty_folder_in_its_place_is_not_taken_for_it(finished: FinishedRun, tmp_path: Path) -> None:
    """As the mount point of a disk that went away."""
    run, aside = finished.copy(tmp_path, "fetch"), tmp_path / "aside"

    def unmount(task: Task, rows: RowFilter) -> None:
        if task.step == "measure" and not aside.exists():
            run.rename(aside)
            run.mkdir()

    with pytest.raises(DiskError, match="is gone"):
        run_inline(finished.recipe, run, InlinePool(fault=unmount))


def test_faults_of_a_run_that_is_there_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "lease.json").touch()
    with pytest.raises(FileNotFoundError), noticing_loss(tmp_path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "an input")
