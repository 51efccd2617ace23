"""A run killed in the middle of every stage, and resumed, gives the bytes of a run that was left alone."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.running import DemoRun, DemoSite, demo_site

STAGES = ("crawl", "collect", "admit", "fetch", "measure", "dedup", "score", "select", "release")
FIRST_STEP = {"admit": "admit-shuffle", "dedup": "dedup-shuffle", "select": "select-shuffle"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    with demo_site(tmp_path_factory.mktemp("site"), 18091) as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(site: DemoSite, tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    run = DemoRun(site, tmp_path_factory.mktemp("undisturbed") / "run")
    run.finish()
    return run


def is_inside(run: DemoRun, stage: str) -> bool:
    """Whether the stage has committed some of its parts and not all, or, with one part, has begun it."""
    first = FIRST_STEP.get(stage, stage)
    planned, done = len(run.planned(first)), run.num_committed(first)
    if stage in FIRST_STEP:
        return done > 0 and run.num_committed(stage) == 0
    begun = any((run.folder / stage).glob(".part-*")) or any((run.folder / stage).glob("*/.*.tmp"))
    return 0 < done < planned or (planned > 0 and done == 0 and begun)


def test_a_run_killed_once_in_every_stage_releases_the_same_bytes(
    site: DemoSite, undisturbed: DemoRun, tmp_path: Path
) -> None:
    run = DemoRun(site, tmp_path / "run")
    for stage in STAGES:
        run.kill_when(partial(is_inside, run, stage))
        assert run.num_committed(stage) < max(1, len(run.planned(stage))), f"{stage} was complete when it was killed"
    run.finish()
    assert run.release_digests() == undisturbed.release_digests()
    assert not list(run.folder.rglob("*.tmp")), "a killed attempt left a temporary file"
    assert not list(run.folder.rglob("*.spool"))


def test_one_worker_and_two_release_the_same_bytes(site: DemoSite, undisturbed: DemoRun, tmp_path: Path) -> None:
    run = DemoRun(site, tmp_path / "elsewhere" / "run")
    run.finish("--workers", "1")
    assert run.release_digests() == undisturbed.release_digests()


def test_a_new_measure_reads_stored_copies_and_sends_no_request(site: DemoSite, undisturbed: DemoRun) -> None:
    before, digests = site.num_requests(), undisturbed.release_digests()
    undisturbed.finish("--set", 'measures=["border_share", "is_grayscale"]')
    assert site.num_requests() == before
    after = undisturbed.release_digests()
    assert after["manifest/kept-000000.parquet"] != digests["manifest/kept-000000.parquet"]
    assert after["uids.npy"] == digests["uids.npy"]
    undisturbed.finish()
    assert undisturbed.release_digests() == digests
