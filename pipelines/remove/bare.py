"""A release without its run: its samples taken out, and every file that speaks of it as a whole made to fit.

What only the run could make anew stays as it was and says so: the card's figures are of before the takedown.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from pipelines.remove import journal
from pipelines.remove.beside import purge_beside
from pipelines.remove.find import matched_in
from pipelines.remove.outcome import Removed
from pipelines.remove.release_figures import STATS_FILE, mend_numbers
from pipelines.remove.released import Cut, carry_out, cut_of
from pipelines.remove.speaking_files import append_note, mend_croissant, mend_indexes, mend_report
from shards.errors import UsageError
from shards.lease import Lease
from shards.storage import disk_faults, put_whole, sha256_of
from shards.tombstones import (
    TOMBSTONES_FILE,
    Tombstones,
    tombstones_of,
    uid_tombstones,
    write_tombstones,
)
from shards.training_indexes import ENERGON_LEAVINGS
from shards.uid_lists import without_uids

_SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_LISTS = "uids*.npy"
RECORDS = "_done"
Tell = Callable[[str], None]


def remove_from_release(folder: Path, asked: Tombstones, tell: Tell, is_dry: bool) -> Removed:
    """Take samples down from a released folder. Raises `UsageError` for what is none."""
    manifests = sorted((folder / "manifest").glob("*.parquet"))
    if not manifests or not all((folder / name).is_file() for name in (_SUMS, STATS_FILE)):
        raise UsageError(
            f"{folder} is neither a run of curate nor a release: expected {_SUMS}, {STATS_FILE}, manifest/"
        )
    with disk_faults(folder):
        matched = matched_in(manifests, asked)
        everything = tombstones_of(folder) | asked | uid_tombstones(matched)
        cut = cut_of(folder, everything.uids)
        page, labels = (folder.parent / f"{folder.name}-{name}" for name in ("report.html", "labels"))
        purge_beside(page, labels, everything.uids, tell, is_dry)
        if not is_dry and (cut.files or asked - tombstones_of(folder) or journal.is_pending(folder)):
            with Lease.take(folder):
                _carry_out(folder, cut, everything, tell)
        else:
            carry_out(cut, tell, is_dry)
    return Removed(len(matched), cut.num_kept)


def _carry_out(folder: Path, cut: Cut, everything: Tombstones, tell: Tell) -> None:
    names = journal.begin(folder, cut.files)
    write_tombstones(folder, everything)
    carry_out(cut, tell, is_dry=False)
    for path in sorted(folder.glob(_LISTS)):
        without_uids(path, everything.uids.to_pylist())
    for name in ENERGON_LEAVINGS:  # an index by key of what was there: `energon prepare` makes it anew
        (folder / name).unlink(missing_ok=True)
    before = _read_sums(folder)
    changed = {name: sha256_of(folder / name) for name in sorted(names) if (folder / name).is_file()}
    indexes = mend_indexes(folder, before | changed, names)
    is_counted_anew = mend_numbers(folder)
    mend_report(folder)
    append_note(folder, is_counted_anew)
    own = [TOMBSTONES_FILE, STATS_FILE, "report.html", "README.md", *indexes]
    own += [path.name for path in folder.glob(_LISTS)]
    changed |= {name: sha256_of(folder / name) for name in own if (folder / name).is_file()}
    sums = {name: digest for name, digest in (before | changed).items() if (folder / name).is_file()}
    if croissant := mend_croissant(folder, sums):
        sums[croissant] = sha256_of(folder / croissant)
    shutil.rmtree(folder / RECORDS, ignore_errors=True)  # they tell a run, which is not here, of files of before
    _drop_empty_folders(folder)
    put_whole(folder / _SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    journal.end(folder)


def _drop_empty_folders(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _read_sums(folder: Path) -> dict[str, str]:
    lines = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
    return {match[2]: match[1] for line in lines if (match := _LINE.fullmatch(line))}
