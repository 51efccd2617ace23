"""A run spread over nodes that die, then its driver, then the head: resumed, it has the bytes of one left alone."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from shards.parts import StepFolder
from shards.stores.object_store import ObjectStore
from tests.crawler.conftest import Server, serve
from tests.object_server import Bucket
from tests.pipelines.conftest import photograph, table_recipe, write_csv
from tests.raylets import cluster

pytestmark = pytest.mark.slow

_HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
_PHOTOS_A_HOST = 8
_DEADLINE_S = 300
_LOST = "the node went away under its task"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """24 photographs on three hosts, in parts of three: enough parts that a node can die between them."""
    folder = tmp_path_factory.mktemp("recipe")
    servers = [Server(host) for host in _HOSTS]
    rows = []
    for number in range(len(servers) * _PHOTOS_A_HOST):
        server = servers[number % len(servers)]
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
        rows.append((server.url(f"/{number}.png"), f"第{number}张照片"))
    mapping = table_recipe(
        write_csv(folder / "t.csv", rows),
        {"no_chinese": "zh_chars >= 1", "plain": "entropy >= 1", "near_duplicate": "dup_rank = 1"},
        network={"allow_private": [server.address for server in servers]},
    )
    mapping["fetch"] |= {"part_rows": 3}
    mapping["crawler"] |= {"per_host": {"concurrency": 1, "delay_s": 0.3}, "lanes": 3}
    mapping["resources"] = {"fetch": {"node": "worker"}, "measure": {"node": "worker"}, "wait_for_nodes_s": 120}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(mapping), encoding="utf-8")
    yield path
    for server in servers:
        server.close()


@dataclass
class Driver:
    """`curate run` in a process of its own, which tells how far it is in a file."""

    recipe: Path
    out: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    log: Path = Path(os.devnull)

    @property
    def told(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def command(self) -> list[str]:
        curate = [sys.executable, "-m", "pipelines.cli", "run", str(self.recipe), "--out", self.out]
        return [*curate, "--workers", "2", *self.arguments]

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("w") as log:
            return subprocess.Popen(self.command(), stdout=log, stderr=log, env=self._environment())

    def wait_until(self, is_time: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
        """While it runs."""
        ends = time.monotonic() + _DEADLINE_S
        while not is_time():
            assert process.poll() is None, f"the run ended too early: {self.told[-3000:]}"
            assert time.monotonic() < ends, f"the run never came so far: {self.told[-3000:]}"
            time.sleep(0.01)

    def finish(self) -> None:
        """Run to the end."""
        ended = subprocess.run(
            self.command(), capture_output=True, text=True, timeout=_DEADLINE_S, env=self._environment(), check=False
        )
        assert ended.returncode == 0, ended.stderr[-3000:]

    def _environment(self) -> dict[str, str]:
        return os.environ | dict(self.environment)


class Release(Protocol):
    """Where a run goes: how far it is, and what it released, each file by its sha256."""

    @property
    def out(self) -> str: ...

    @property
    def arguments(self) -> tuple[str, ...]: ...

    def num_committed(self, step: str) -> int: ...

    def is_spread(self, scratch: Path) -> bool: ...

    def digests(self) -> dict[str, str]: ...

    def leavings(self) -> list[str]: ...


@dataclass(frozen=True)
class InFolder:
    """In a folder that every node sees."""

    run: Path
    arguments: tuple[str, ...] = ("--shared-out",)

    @property
    def out(self) -> str:
        return str(self.run)

    def num_committed(self, step: str) -> int:
        return len(StepFolder(self.run, step).committed())

    def is_spread(self, scratch: Path) -> bool:
        return self.num_committed("fetch") > 1  # a folder does not tell who wrote into it

    def digests(self) -> dict[str, str]:
        release = self.run / "release"
        paths = sorted(path for path in release.rglob("*") if path.is_file())
        return {path.relative_to(release).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    def leavings(self) -> list[str]:
        return [str(path) for path in self.run.rglob("*.tmp")]


@dataclass(frozen=True)
class InStore:
    """In a bucket."""

    bucket: Bucket
    arguments: tuple[str, ...] = ()

    @property
    def out(self) -> str:
        return self.bucket.url("run")

    def num_committed(self, step: str) -> int:
        return len(self._names(f"run/{step}/_done/"))

    def is_spread(self, scratch: Path) -> bool:
        """Whether both nodes have worked: each has copies of its own."""
        return all(any((scratch / name).rglob("*.parquet")) for name in "ab")

    def digests(self) -> dict[str, str]:
        store = ObjectStore(self.bucket.name)
        names = self._names("run/release/")
        return {name: hashlib.sha256(store.read(f"run/release/{name}").data).hexdigest() for name in names}

    def leavings(self) -> list[str]:
        return [name for name in self._names("run/") if name.endswith(".tmp")]

    def _names(self, prefix: str) -> list[str]:
        return [key.removeprefix(prefix) for key, _ in ObjectStore(self.bucket.name).list(prefix)]


@pytest.fixture(scope="module")
def alone(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a run on this machine releases that nobody disturbs."""
    run = tmp_path_factory.mktemp("alone") / "run"
    Driver(recipe, str(run), {}).finish()
    return InFolder(run).digests()


def outlive_all(recipe: Path, there: Release, scratch: Path) -> None:
    """A node dies in the middle of fetch, then the driver, then the head; new ones finish the run."""
    with cluster() as made:
        made.start_node("worker", CURATE_SCRATCH=str(scratch / "a"))
        lost = made.start_node("worker", CURATE_SCRATCH=str(scratch / "b"))
        environment = made.environment | {"CURATE_SCRATCH": str(scratch / "driver")}
        arguments = ("--address", made.address, *there.arguments)
        driver = Driver(recipe, there.out, environment, arguments, scratch / "log.txt")

        process = driver.start()
        driver.wait_until(lambda: there.num_committed("fetch") >= 1 and there.is_spread(scratch), process)
        lost.kill()
        # Its part of fetch has to be made again, so that the stage cannot end before the loss is noticed.
        driver.wait_until(lambda: _LOST in driver.told or there.num_committed("measure") > 0, process)
        process.kill()
        process.wait()

        made.start_node("worker", CURATE_SCRATCH=str(scratch / "c"))
        process = driver.start()
        # It has joined the cluster: whoever joins one whose head is dying waits for minutes in Ray.
        driver.wait_until(lambda: "skipped" in driver.told and there.num_committed("measure") >= 1, process)
        assert made.head is not None
        made.head.kill()
        assert process.wait(timeout=_DEADLINE_S) == 75, driver.told[-3000:]
        assert "the head of the Ray cluster" in driver.told

    with cluster() as made:
        made.start_node("worker", CURATE_SCRATCH=str(scratch / "d"))
        made.start_node("worker", CURATE_SCRATCH=str(scratch / "e"))
        environment = made.environment | {"CURATE_SCRATCH": str(scratch / "driver")}
        Driver(recipe, there.out, environment, ("--address", made.address, *there.arguments)).finish()


def test_a_node_then_the_driver_then_the_head_may_die(recipe: Path, alone: dict[str, str], tmp_path: Path) -> None:
    there = InFolder(tmp_path / "run")
    outlive_all(recipe, there, tmp_path)
    assert there.digests() == alone
    assert there.leavings() == []


def test_so_they_may_with_the_output_in_an_object_store(
    recipe: Path, alone: dict[str, str], bucket: Bucket, tmp_path: Path
) -> None:
    there = InStore(bucket)
    outlive_all(recipe, there, tmp_path)
    assert there.digests() == alone
    assert there.leavings() == []


def test_a_folder_of_one_machine_is_refused_on_a_cluster(recipe: Path, tmp_path: Path) -> None:
    with cluster() as made:
        made.start_node("worker")
        driver = Driver(recipe, str(tmp_path / "run"), made.environment, ("--address", made.address))
        ended = subprocess.run(driver.command(), capture_output=True, text=True, env=driver._environment(), check=False)
    assert ended.returncode == 2, ended.stderr[-2000:]
    assert "is a folder of this machine, and the cluster has 2 nodes" in ended.stderr
    assert "--shared-out" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_driver_without_the_token_is_told_so(recipe: Path, tmp_path: Path) -> None:
    with cluster() as made:
        stranger = made.environment | {"RAY_AUTH_TOKEN": "another"}
        driver = Driver(recipe, str(tmp_path / "run"), stranger, ("--address", made.address))
        ended = subprocess.run(driver.command(), capture_output=True, text=True, env=driver._environment(), check=False)
    assert ended.returncode == 2, ended.stderr[-2000:]
    assert "or it asks for another token" in ended.stderr
    assert "Traceback" not in ended.stderr
