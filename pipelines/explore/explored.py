"""What is explored: the samples of a run or of a bare release, their rules, and where their stored copies lie."""

from dataclasses import dataclass
from pathlib import Path

from filters.rules import PlacedRule
from pipelines.explore.stored_copies import CopiesOfRelease, CopiesOfRun, StoredCopies
from pipelines.plan_file import read_plan
from shards.catalog import PLAN_FILE, committed_files
from shards.errors import UsageError

_RELEASE_LABELS = "-labels"


@dataclass(frozen=True)
class Explored:
    """Parquet files with one row a sample. `labels` is where answers of annotators go by default."""

    name: str
    folder: Path
    files: tuple[Path, ...]
    rules: tuple[PlacedRule, ...]
    copies: StoredCopies
    labels: Path


def open_explored(folder: Path) -> Explored:
    """A run that has a release, or a release. Raises `UsageError` for anything else.

    A run's rows come from `select`, which knows every text's measures and every stored copy, a dropped sample's too;
    a bare release has its manifest and, for what it keeps, its shards.
    """
    if (folder / PLAN_FILE).is_file():
        return _run(folder)
    files = tuple(sorted((folder / "manifest").glob("*.parquet")))
    if not files:
        raise UsageError(f"{folder} is no run of curate ({PLAN_FILE} is not there) and no release (manifest/ is not)")
    copies = CopiesOfRelease(folder / "shards")
    return Explored(folder.name, folder, files, (), copies, folder.with_name(folder.name + _RELEASE_LABELS))


def _run(folder: Path) -> Explored:
    is_released = bool(committed_files(folder, "release", "manifest"))
    files = [path for role in ("kept", "dropped") for path in committed_files(folder, "select", role)]
    if not (is_released and files):
        raise UsageError(f"{folder}: the run has no finished release yet; `curate run` again goes on with it")
    plan = read_plan(folder)
    return Explored(plan.recipe.name, folder, tuple(files), plan.rules, CopiesOfRun(folder), folder / "labels")
