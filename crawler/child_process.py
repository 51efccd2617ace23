"""Python children that share our process group and die with us."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_ROOT = str(Path(__file__).resolve().parents[1])


def start_python_child(
    module: str, *, stdin: int | IO[bytes], stdout: int | IO[bytes], stderr: IO[bytes] | None = None
) -> "subprocess.Popen[bytes]":
    """Runs `module.main()` in a fresh interpreter, found where this one was found; no shell, no new session.

    The child must call `die_with_parent`. Start it from a thread that lives as long as it: Linux counts the
    starting thread as the parent.
    """
    program = f"import sys; sys.path.insert(0, {_ROOT!r}); from {module} import main; main()"
    # -P: the working folder is no place to import from.
    command = [sys.executable, "-P", "-c", program, str(os.getpid())]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr)


def die_with_parent() -> None:
    """Asks the kernel for SIGKILL when the parent ends, however it ends (Linux; elsewhere a closed pipe must do)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
