"""A pool over two nodes of a real cluster: labels, memory, places, and a node that goes away."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.cluster.call import NodeLostError, WorkerDiedError
from pipelines.cluster.joining import prepare_environment
from pipelines.cluster.place import ANYWHERE, Place
from pipelines.workers import RayPool
from shards.errors import TryAgainError, UsageError
from tests.raylets import Cluster, Raylet, cluster

pytestmark = pytest.mark.slow

_DEADLINE_S = 120


@dataclass(frozen=True)
class Joined:
    """A pool, and the cluster that it joined: a node for crawling, and two for scoring, one of them to be lost."""

    cluster: Cluster
    pool: RayPool
    to_be_lost: Raylet


@pytest.fixture(scope="module")
def joined() -> Iterator[Joined]:
    prepare_environment(local=True)  # what is restored behind the patch has the mode that later pools have
    with pytest.MonkeyPatch.context() as patch, cluster() as made:
        made.start_node("crawl", NODE_NAME="a")
        to_be_lost = made.start_node("gpu", NODE_NAME="b")
        for name, value in made.environment.items():
            patch.setenv(name, value)
        forget_token()
        pool = RayPool(made.address, wait_for_nodes_s=1)
        yield Joined(made, pool, to_be_lost)
        pool.close()
    forget_token()


def forget_token() -> None:
    """Ray remembers the token of a pool that was open in this process before; it is not to be imported before that."""
    from ray._private.authentication_test_utils import reset_auth_token_state

    reset_auth_token_state()


def node_name() -> str | None:
    return os.environ.get("NODE_NAME")


def gpus_given() -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def hold(megabytes: int) -> int:
    """Holds memory for as long as it takes to be seen."""
    held = bytearray(megabytes * 2**20)
    held[:: 2**10] = b"\1" * len(held[:: 2**10])
    time.sleep(30)
    return len(held)


def wait_for(flag: str) -> str | None:
    """Says where it runs, once a file is there."""
    Path(flag + "-begun").touch()
    ends = time.monotonic() + _DEADLINE_S
    while not Path(flag).exists() and time.monotonic() < ends:
        time.sleep(0.05)
    return node_name()


def ended(pool: RayPool, handle: object) -> None:
    ends = time.monotonic() + _DEADLINE_S
    while not pool.wait([handle], 0.5):
        assert time.monotonic() < ends, "the call never ended"


def test_a_stage_runs_on_nodes_of_its_label_alone(joined: Joined) -> None:
    pool = joined.pool
    assert sorted((node.label or "", node.cpus) for node in pool.nodes) == [("", 0.0), ("crawl", 1.0), ("gpu", 1.0)]
    assert pool.slots == 2
    handles = [pool.start_at(Place(name), node_name) for name in ("crawl", "gpu", "crawl", "gpu")]
    assert [pool.result(handle) for handle in handles] == ["a", "b", "a", "b"]


def test_a_label_that_no_node_has_is_told_after_a_while(joined: Joined) -> None:
    handle = joined.pool.start_at(Place("big"), node_name)
    with pytest.raises(TryAgainError, match="no node offers label curate-node=big, 1 CPU, after waiting 1 s") as told:
        ended(joined.pool, handle)
    assert "label curate-node=crawl, 1 CPU" in str(told.value)
    joined.pool.cancel(handle)


def test_more_memory_than_any_node_has_is_told_after_a_while(joined: Joined) -> None:
    handle = joined.pool.start_at(Place(memory_mb=2**24), node_name)
    with pytest.raises(TryAgainError, match=r"no node offers 1 CPU, 16777216 MiB of memory"):
        ended(joined.pool, handle)
    joined.pool.cancel(handle)


def test_a_gpu_that_is_not_there_yet_is_waited_for(joined: Joined) -> None:
    """As with an autoscaler, which adds a node for calls that ask for what no node has."""
    pool = joined.pool
    handle = pool.start_at(Place("late", needs_gpu=True), gpus_given, gpus=0.5)
    with pytest.raises(TryAgainError, match=r"no node offers label curate-node=late, 1 CPU, 0\.5 GPU"):
        ended(pool, handle)
    node = joined.cluster.start_node("late", gpus=1)
    ends = time.monotonic() + _DEADLINE_S
    while not pool._offers.has_gpus("late"):
        assert time.monotonic() < ends, "it was never seen"
        time.sleep(0.2)
    ended(pool, handle)
    assert pool.result(handle) == "0"
    assert pool.result(pool.start_at(Place("late"), gpus_given, gpus=0.5)) == "0"
    assert pool.result(pool.start_at(Place("crawl"), gpus_given, gpus=0.5)) in (None, "")
    node.close()


def test_a_part_that_holds_more_than_its_memory_is_ended_and_a_modest_one_is_not(joined: Joined) -> None:
    greedy = joined.pool.start_at(Place(memory_mb=1024), hold, 1500)
    with pytest.raises(WorkerDiedError, match="died under its task") as death:
        joined.pool.result(greedy)
    assert not isinstance(death.value, NodeLostError)
    assert joined.pool.result(joined.pool.start_at(Place(memory_mb=1024), sum, [1, 2])) == 3


def test_a_second_call_runs_on_another_node_and_the_first_can_be_taken_back(joined: Joined, tmp_path: Path) -> None:
    pool, flag = joined.pool, str(tmp_path / "flag")
    first = pool.start_at(ANYWHERE, wait_for, flag)
    while not Path(flag + "-begun").exists():
        pool.wait([first], 0.1)
    assert pool.has_begun(first)
    second = pool.start_at(Place(away_from=first), node_name)
    there = pool.result(second)
    pool.cancel(first)
    ended(pool, first)
    with pytest.raises(WorkerDiedError, match="taken back"):
        pool.result(first)
    Path(flag).touch()
    third = pool.start_at(Place("gpu" if there == "a" else "crawl"), node_name)
    assert pool.result(third) != there


def test_a_node_with_other_packages_is_refused(joined: Joined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined.pool, "_around", replace(joined.pool._around, versions=(("pyarrow", "1.0"),)))
    with pytest.raises(UsageError, match=r"node 127\.0\.0\.1 has other packages than the driver: pyarrow .*1\.0"):
        joined.pool.result(joined.pool.start(node_name))


def test_a_node_that_does_not_see_the_shared_folder_is_refused(
    joined: Joined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(joined.pool, "_around", replace(joined.pool._around, shared_run=str(tmp_path)))
    with pytest.raises(UsageError, match=r"does not see .*, which --shared-out says is shared"):
        joined.pool.result(joined.pool.start(node_name))
    (tmp_path / "lease.json").touch()
    assert joined.pool.result(joined.pool.start(node_name)) in ("a", "b")


def test_a_node_that_goes_away_is_told_from_a_worker_that_dies(joined: Joined, tmp_path: Path) -> None:
    """The last test: the node is gone for the others."""
    pool, flag = joined.pool, str(tmp_path / "flag")
    handle = pool.start_at(Place("gpu"), wait_for, flag)
    while not Path(flag + "-begun").exists():
        pool.wait([handle], 0.1)
    joined.to_be_lost.kill()
    with pytest.raises(NodeLostError):
        pool.result(handle)
    assert pool.result(pool.start(node_name)) == "a"
