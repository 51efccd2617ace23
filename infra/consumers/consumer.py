"""What every consumer's script does: make an environment of its own, read a release in it, print one line of JSON.

    python infra/consumers/read_webdataset.py [RELEASE]

Without a release, the demo's is made first. Environments lie in a folder of the temporary one and are kept.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path

_BENCH = Path(__file__).resolve().parent.parent / "bench"
_INSIDE = "--inside"
_BORROWED = "borrowed.pth"
DEFAULT_WORK = Path(tempfile.gettempdir()) / "curate-consumers"


@dataclass(frozen=True)
class Consumer:
    """A program that reads a release: `read` gives how many samples it read, and fails if they are not all right.

    `package` is the one whose version is told. With `borrows` the environment sees what is installed here, too, behind
    its own `packages`: so torch is not installed again.
    """

    name: str
    package: str
    packages: Sequence[str]
    read: Callable[[Path], int]
    borrows: bool = False


def run(consumers: Sequence[Consumer]) -> None:
    """The script's main: each consumer in its environment. Exits with 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", nargs="?", type=Path, help="a release's folder; without it the demo's is made")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="where environments and the demo lie")
    parser.add_argument(
        "--only", choices=[consumer.name for consumer in consumers], help="one of the script's consumers"
    )
    parser.add_argument(_INSIDE, choices=[consumer.name for consumer in consumers], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        (chosen,) = (consumer for consumer in consumers if consumer.name == arguments.inside)
        sys.exit(0 if _report(chosen, arguments.release) else 1)
    release = (arguments.release or _demo_release(arguments.work)).resolve()
    wanted = [consumer for consumer in consumers if arguments.only in (None, consumer.name)]
    ended = [_outside(consumer, release, arguments.work) for consumer in wanted]
    sys.exit(max(ended))


def _outside(consumer: Consumer, release: Path, work: Path) -> int:
    python = _environment(work / consumer.package, consumer)
    command = [str(python), str(Path(sys.argv[0]).resolve()), str(release), _INSIDE, consumer.name]
    return subprocess.run(command, check=False).returncode


def _environment(folder: Path, consumer: Consumer) -> Path:
    sys.path.insert(0, str(_BENCH))
    from peer_environment import ensure_environment

    if consumer.borrows and not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        (packages,) = (folder / "lib").glob("python3*/site-packages")
        (packages / _BORROWED).write_text(get_path("purelib") + "\n", encoding="utf-8")
    return ensure_environment(folder, consumer.packages)


def _demo_release(work: Path) -> Path:
    run_folder = work / "demo-run"
    command = [sys.executable, "-m", "pipelines.cli", "demo", "--out", str(run_folder)]
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=_BENCH.parent.parent)
    return run_folder / "release"


def _report(consumer: Consumer, release: Path) -> bool:
    began, samples, ok = time.perf_counter(), 0, True
    try:
        samples = consumer.read(release)
    except Exception:  # noqa: BLE001 - whatever a program makes of a release is what is told
        traceback.print_exc()
        ok = False
    seconds = round(time.perf_counter() - began, 2)
    told = {"consumer": consumer.name, "version": version(consumer.package), "samples": samples}
    print(json.dumps(told | {"seconds": seconds, "ok": ok}), flush=True)
    return ok
