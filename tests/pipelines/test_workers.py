"""Ray as this house starts it: alone, quiet, and out of reach of anybody else."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.cluster.call import WorkerDiedError
from pipelines.workers import RayPool, TaskFailedError
from shards.errors import BadInputError

pytestmark = pytest.mark.slow

_LISTENS = "0A"


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "192.0.2.9:6379")  # somebody else's cluster, which a local run leaves alone
        opened = RayPool(workers=1)
    yield opened
    opened.close()


def die() -> None:
    os.kill(os.getpid(), 9)


def refuse() -> None:
    raise BadInputError("no such thing")


def test_what_a_task_returns_raises_or_dies_of_comes_back(pool: RayPool) -> None:
    assert pool.result(pool.start(sum, [1, 2])) == 3
    with pytest.raises(BadInputError, match="no such thing"):
        pool.result(pool.start(refuse))
    with pytest.raises(WorkerDiedError, match="died under its task"):
        pool.result(pool.start(die))
    with pytest.raises(TaskFailedError, match=r"^ZeroDivisionError: ") as failure:
        pool.result(pool.start(divmod, 1, 0))
    assert "workers.py" in failure.value.story
    assert "\x1b" not in failure.value.story


def meet(folder: Path, number: int, expected: int) -> int:
    """Waits for others that run at the same time; returns how many came."""
    (folder / str(number)).touch()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(folder.iterdir())) < expected:
        time.sleep(0.05)
    return len(list(folder.iterdir()))


def test_tasks_with_shares_of_one_cpu_run_side_by_side(pool: RayPool, tmp_path: Path) -> None:
    handles = [pool.start(meet, tmp_path, number, 3, cpus=0.3) for number in range(3)]
    assert [pool.result(handle) for handle in handles] == [3, 3, 3]


def test_hosts_are_asked_politely_whatever_the_workers(tmp_path: Path) -> None:
    """Three lanes on two workers, a giant among 200 hosts: the server's own log of in flight and of gaps."""
    bench = Path(__file__).parents[2] / "infra" / "bench" / "hosts.py"
    command = [sys.executable, str(bench), "--quick", "--one", "with", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["lanes"], seen["urls"]) == (3, 3_000)
    assert sum(seen["reasons"].values()) == 3_000
    assert seen["most_in_flight"] <= 2
    assert seen["least_gap_s"] > 0.25  # of 0.5 s: a loaded machine delays one request more than the next
    assert seen["giant_least_mean_gap_s"] > 0.005  # of 0.01 s


def test_nothing_of_ray_listens_beyond_loopback(pool: RayPool) -> None:
    assert pool.result(pool.start(sum, [1])) == 1
    ours = _sockets_of(_family(os.getpid()))
    listening = {address for inode, address in _listeners() if inode in ours}
    assert listening, "ray listens somewhere"
    assert {address for address in listening if address not in ("127.0.0.1", "::1")} == set()


def _family(root: int) -> set[int]:
    """The process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {root}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _sockets_of(family: set[int]) -> set[str]:
    found = set()
    for pid in family:
        try:
            links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        found |= {link[8:-1] for link in links if link.startswith("socket:[")}
    return found


def _listeners() -> Iterator[tuple[str, str]]:
    """(inode, local address) of every listening TCP socket of this machine."""
    for name, length in (("tcp", 8), ("tcp6", 32)):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS:
                yield fields[9], _address(fields[1][:length])


def _address(digits: str) -> str:
    """An address as the kernel prints it: 32-bit words, each in the machine's byte order."""
    import ipaddress

    raw = b"".join(bytes.fromhex(digits[start : start + 8])[::-1] for start in range(0, len(digits), 8))
    address = ipaddress.ip_address(raw)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
