"""The lists of takedowns that a recipe names: found, checked, and read as one."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.problems import Problem
from shards.errors import UsageError
from shards.tombstones import TOMBSTONES_FILE, Tombstones, read_tombstones, tombstones_path


def tombstone_problems(given: Sequence[str]) -> list[Problem]:
    """Entries that are neither a list nor a folder; one in which nothing was taken down yet is right."""
    problems = []
    for place, entry in enumerate(given):
        where = f"tombstones.{place}"
        if "://" in entry:
            problems.append(
                Problem(where, f"{entry}: only local files and folders are read; copy the list here (aws s3 cp)")
            )
        elif not Path(entry).expanduser().exists():
            expected = (
                f"expected a file {TOMBSTONES_FILE} that `curate remove` wrote, or the folder of a run or release"
            )
            problems.append(Problem(where, f"{entry}: is not there; {expected}"))
        elif tombstones_path(entry).exists():
            try:
                read_tombstones(tombstones_path(entry))
            except UsageError as error:
                problems.append(Problem(where, str(error)))
    return problems


def listed_tombstones(given: Sequence[str]) -> Tombstones:
    """All tombstones of the lists."""
    found = Tombstones()
    for entry in given:
        path = tombstones_path(entry)
        if path.exists():
            found |= read_tombstones(path)
    return found
