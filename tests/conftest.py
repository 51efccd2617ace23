"""What tests of more than one folder share: one run of `curate demo`, made once a session."""

import fcntl
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from shards.stores.client import s3_client, usual_patience
from tests.object_server import Bucket, ObjectServer, serving_objects

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code's
settings.load_profile("untimed")

_DEADLINE_S = 240
_EXTRAS = ("skimage", "sklearn", "matplotlib", "open_clip")


@dataclass(frozen=True)
class FinishedDemo:
    """What `curate demo` left behind. Tests only read it: many share it."""

    folder: Path
    access_log: Path
    output: str
    """What it printed at the end: the funnel and the release folder."""


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """`curate demo` as a user calls it, run to its end in a process of its own."""
    missing = [name for name in _EXTRAS if find_spec(name) is None]
    if missing:
        pytest.skip(f"the extras clip and demo are not installed: {', '.join(missing)} missing")
    home = _shared_folder(tmp_path_factory) / "demo"
    home.mkdir(exist_ok=True)
    folder, log, output = home / "demo-run", home / "access.log", home / "output.txt"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            ended = _curate_demo("--out", str(folder), "--log", str(log))
            assert ended.returncode == 0, ended.stderr[-3000:]
            output.write_text(ended.stdout, encoding="utf-8")
    return FinishedDemo(folder, log, output.read_text(encoding="utf-8"))


def _shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of this session: those of pytest-xdist have their own below it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


def _curate_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The demo's port is fixed, so that a demo that somebody else runs here is waited for."""
    command = [sys.executable, "-m", "pipelines.cli", "demo", *arguments]
    until = time.monotonic() + _DEADLINE_S
    while True:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE_S, check=False)
        if "Address already in use" not in ended.stderr or time.monotonic() > until:
            return ended
        time.sleep(1)


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """A real S3 server, in a process of its own."""
    missing = [name for name in ("boto3", "moto", "flask", "flask_cors") if find_spec(name) is None]
    if missing:
        pytest.skip(f"the extra dev is not installed: {', '.join(missing)} missing")
    with serving_objects() as server:
        yield server


@pytest.fixture
def bucket(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket of the server, which this process and its children find in their environment."""
    object_server.trouble()
    made = Bucket(object_server, f"bucket-{uuid.uuid4().hex[:12]}")
    object_server.make_bucket(made.name)
    object_server.forget()
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)
    _forget_clients()
    yield made
    object_server.trouble()
    _forget_clients()


def _forget_clients() -> None:
    s3_client.cache_clear()
    usual_patience.cache_clear()
