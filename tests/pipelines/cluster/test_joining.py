"""Ray that does not come up in its time: run again later; what is really wrong is told as before."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines import workers
from pipelines.cli import app
from pipelines.cluster.joining import join_cluster, start_alone
from shards.errors import TryAgainError, UsageError
from tests.pipelines.conftest import FinishedRun

OVERLOADED = "The current node timed out during startup. This could happen because\nthe GCS has become overloaded."
LATE: tuple[Exception, ...] = (
    Exception(OVERLOADED),
    RuntimeError("Timed out waiting for node info for node_id=ab."),
    RuntimeError("No node info found matching attributes: '10.0.0.1' when trying to resolve node to connect to."),
    TimeoutError(),
    ConnectionError("Failed to connect: Deadline Exceeded"),
)


class Ray:
    """Its `init` raises."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def init(self, **_: Any) -> None:
        raise self._fault


@pytest.mark.parametrize("fault", LATE, ids=lambda fault: type(fault).__name__)
def test_a_start_that_takes_too_long_is_to_be_tried_again(fault: Exception) -> None:
    with pytest.raises(
        TryAgainError, match=r"Ray did not start on this machine in its time .*run the same command again"
    ):
        start_alone(Ray(fault), 2)


@pytest.mark.parametrize("fault", LATE, ids=lambda fault: type(fault).__name__)
def test_a_cluster_that_lets_nobody_in_in_time_is_to_be_tried_again(fault: Exception) -> None:
    with pytest.raises(
        TryAgainError, match="--address auto: the Ray cluster did not let this process join in its time"
    ):
        join_cluster(Ray(fault), "auto")


def test_other_faults_are_told_as_what_they_are() -> None:
    with pytest.raises(ValueError, match="num_cpus"):
        start_alone(Ray(ValueError("num_cpus must be positive")), -1)
    with pytest.raises(UsageError, match="no Ray cluster answers there"):
        join_cluster(Ray(ConnectionError("Could not find any running Ray instance")), "auto")
    with pytest.raises(KeyboardInterrupt):
        start_alone(Interrupted(), 1)


class Interrupted:
    def init(self, **_: Any) -> None:
        raise KeyboardInterrupt("timed out")


def test_the_command_ends_with_one_line_and_the_run_resumes(
    finished: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished.copy(tmp_path, "fetch")
    monkeypatch.setattr(workers, "start_alone", lambda _, num_cpus: start_alone(Ray(LATE[0]), num_cpus))
    ended = CliRunner().invoke(app, ["run", str(run / "recipe.yaml"), "--out", str(run), "--workers", "1"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (75, 1)
    assert ended.stderr.startswith("curate: Ray did not start on this machine in its time (The current node timed out")
    assert not (run / "lease.json").exists()
