"""A folder of one machine is refused on a cluster, unless it is said to be shared; object stores never are."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.cluster import opening
from pipelines.cluster.call import Around, make_call
from pipelines.cluster.out_folder import check_out
from shards.errors import TryAgainError, UsageError
from shards.lease import Lease
from tests.pipelines.conftest import FinishedRun, InlinePool


@pytest.mark.parametrize(
    ("out", "num_nodes", "is_shared", "is_refused"),
    [
        ("/data/run", 1, False, False),
        ("/data/run", 2, False, True),
        ("run", 2, False, True),
        ("/data/run", 2, True, False),
        ("s3://bucket/run", 2, False, False),
    ],
)
def test_who_may_write_where(out: str, num_nodes: int, is_shared: bool, is_refused: bool) -> None:
    if not is_refused:
        check_out(out, num_nodes, is_shared)
        return
    with pytest.raises(UsageError, match=r"the cluster has 2 nodes, .*; name an object store .*, or say --shared-out"):
        check_out(out, num_nodes, is_shared)


class TwoNodes(InlinePool):
    """A pool on a cluster of two nodes."""

    @property
    def nodes(self) -> Sequence[str]:
        return ("a", "b")


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[TwoNodes]:
    """The pools that are opened from here on."""
    opened: list[TwoNodes] = []

    def open_another(*_: object) -> TwoNodes:
        opened.append(TwoNodes())
        return opened[-1]

    monkeypatch.setattr(opening, "RayPool", open_another)
    return opened


def run_there(recipe: Path, out: Path, *arguments: str) -> tuple[int, str]:
    """`curate run` on a cluster."""
    ended = CliRunner().invoke(app, ["run", str(recipe), "--out", str(out), "--address", "auto", *arguments])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.stderr


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_is_refused_is_not_made(finished: FinishedRun, tmp_path: Path, pools: list[TwoNodes]) -> None:
    code, told = run_there(finished.folder / "recipe.yaml", tmp_path / "new" / "run")
    assert (code, "is a folder of this machine" in told) == (2, True)
    assert list(tmp_path.iterdir()) == []
    assert [pool.is_closed for pool in pools] == [True]


def test_a_run_that_is_refused_there_is_left_as_it_was(
    finished: FinishedRun, tmp_path: Path, pools: list[TwoNodes]
) -> None:
    run = finished.copy(tmp_path, "fetch")
    before = files_in(run)
    assert run_there(finished.folder / "recipe.yaml", run)[0] == 2
    assert files_in(run) == before


def test_a_cluster_that_is_not_there_leaves_nothing(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> TwoNodes:
        raise TryAgainError("not now")

    monkeypatch.setattr(opening, "RayPool", refuse)
    assert run_there(finished.folder / "recipe.yaml", tmp_path / "run")[0] == 75
    assert list(tmp_path.iterdir()) == []


def test_a_pool_that_was_opened_is_closed_where_the_folder_is_in_use(
    finished: FinishedRun, tmp_path: Path, pools: list[TwoNodes]
) -> None:
    run = finished.copy(tmp_path, "fetch")
    with Lease.take(run):
        assert run_there(finished.folder / "recipe.yaml", run, "--shared-out")[0] == 73
    assert [pool.is_closed for pool in pools] == [True]


def test_a_folder_that_is_shared_is_run_in(finished: FinishedRun, tmp_path: Path, pools: list[TwoNodes]) -> None:
    run = finished.copy(tmp_path, "fetch")
    assert run_there(finished.folder / "recipe.yaml", run, "--shared-out")[0] == 0
    assert [pool.is_closed for pool in pools] == [True]


def test_a_machine_that_does_not_see_the_run_s_lease_does_no_part(tmp_path: Path) -> None:
    around = Around(shared_run=str(tmp_path))
    value, error = make_call(around, "10.0.0.7", len, "a part")
    assert value is None
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"node 10.0.0.7 does not see {tmp_path}")
    (tmp_path / "lease.json").touch()
    assert make_call(around, "10.0.0.7", len, "a part") == (6, None)
