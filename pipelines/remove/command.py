"""`curate remove`: what is asked, who is meant, and everything that holds it, in an order that a kill cannot spoil.

The list of tombstones is written first and names every sample that goes, so that the same call, or the next
`curate run`, goes on wherever a call ended. The crawl's pages come before the candidates that say where they lie, and
the release last.
"""

from collections.abc import Callable
from pathlib import Path

from pipelines.plan_file import read_plan
from pipelines.remove import journal
from pipelines.remove.asked import Options, asked_tombstones
from pipelines.remove.bare import remove_from_release
from pipelines.remove.beside import purge_beside
from pipelines.remove.find import matched_uids, samples_of, traces_of
from pipelines.remove.graves import purge_graves
from pipelines.remove.outcome import Removed
from pipelines.remove.parts import Removal, purge_step
from pipelines.remove.released import carry_out, cut_of
from pipelines.remove.sealed import RELEASE, mend_records, seal_again
from pipelines.remove.selected import ORDER, SELECT, purge_selected
from shards.catalog import PLAN_FILE
from shards.errors import UsageError
from shards.lease import Lease
from shards.storage import disk_faults, told_place
from shards.stores.mirrors import mirror_at
from shards.stores.object_store import is_url
from shards.tombstones import Tombstones, tombstones_of, uid_tombstones, write_tombstones

Tell = Callable[[str], None]
_FIRST_STEPS = ("crawl", "frontier-shuffle", "frontier-known", "frontier-cut", "frontier", "search")
"""Their files are found by what the later steps say."""


def folder_to_purge(place: str) -> Path:
    """Where a run or a release lies. Raises `UsageError` for one on an object store, and says what to do instead."""
    if is_url(place):
        run = place.rstrip("/").removesuffix(f"/{RELEASE}")
        raise UsageError(
            f"{place}: nothing is taken down in place on an object store. While nobody works on the run, {_way(run)}"
        )
    return Path(place).resolve()


def _way(url: str) -> str:
    return (
        f"copy it to a local folder (aws s3 sync {url} FOLDER), take down there (curate remove FOLDER …), and copy it "
        f"back (aws s3 sync --delete FOLDER {url})"
    )


def remove(path: Path, options: Options, tell: Tell, is_dry: bool = False) -> Removed:
    """Take samples down from a run or a release. Raises errors of `shards.errors`."""
    asked = asked_tombstones(options)
    if not (path / PLAN_FILE).is_file():
        if path.name == RELEASE and (path.parent / PLAN_FILE).is_file():
            raise UsageError(f"{path} is part of the run {path.parent}, which holds the same samples: name the run")
        return remove_from_release(path, asked, tell, is_dry)
    if is_dry:
        return take_down(path, asked, tell, is_dry)
    with Lease.take(path):
        return take_down(path, asked, tell)


def take_down(run: Path, asked: Tombstones, tell: Tell, is_dry: bool = False) -> Removed:
    """The same, of a run whose lease is held."""
    plan = read_plan(run)
    with disk_faults(run):
        uids = matched_uids(run, asked)
        known = samples_of(run, (asked | uid_tombstones(uids)).uids)
        before = tombstones_of(run)
        everything = before | asked | uid_tombstones(uids)
        is_resumed = journal.is_pending(run)
        cut = cut_of(run / RELEASE, everything.uids, f"{RELEASE}/")
        names = frozenset(cut.files)
        if not is_dry:
            names = journal.begin(run, names)
            write_tombstones(run, everything)
        traces = traces_of(run, everything.uids)
        removal = Removal(run, plan.recipe, everything, traces, tell, is_dry, is_resumed)
        purge_graves(removal)
        purge_beside(run / "report.html", run / "labels", everything.uids, tell, is_dry)
        for step in _steps(run):
            purge_step(step, removal)
        purge_selected(removal)
        carry_out(cut, tell, is_dry)
        if not is_dry:
            if names:
                mend_records(run, names)
            if names or is_resumed or known - set(before.uids.to_pylist()):
                seal_again(run)
            journal.end(run)
    return Removed(len(known), cut.num_kept)


def _steps(run: Path) -> list[str]:
    """Every step that has records, but for those that are dealt with apart; who tells where things lie comes late."""
    found = sorted(path.parent.name for path in run.glob("*/_done"))
    middle = [step for step in found if step not in (*_FIRST_STEPS, SELECT, ORDER, RELEASE, "fetch", "collect")]
    return [step for step in (*_FIRST_STEPS, *middle, "fetch", "collect") if step in found]


def refuse_removal_there(run: Path, more: Tombstones) -> None:
    """Raises `UsageError` where `finish_removal` would have to take down what lies on an object store already.

    Lists that a run there had from its beginning are honoured as anywhere.
    """
    if mirror_at(run) is None or not (run / PLAN_FILE).is_file():
        return
    new = more - tombstones_of(run)
    if not (new or journal.is_pending(run)):
        return
    what = f"`tombstones:` name {len(new.entries):,} that are new to it" if new else "a removal was not finished there"
    url = told_place(run)
    raise UsageError(
        f"--out {url}: {what}, and nothing is taken down in a run on an object store after it began: copy it to a "
        f"local folder (aws s3 sync {url} FOLDER), give that as --out, and copy it back (aws s3 sync --delete FOLDER "
        f"{url})"
    )


def finish_removal(run: Path, more: Tombstones, tell: Tell) -> None:
    """Before a run goes on: take down what lists newly say, and what a killed removal did not come to."""
    if (run / PLAN_FILE).is_file() and (journal.is_pending(run) or more - tombstones_of(run)):
        take_down(run, more, tell)
    elif more - tombstones_of(run):
        write_tombstones(run, tombstones_of(run) | more)
