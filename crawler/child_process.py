"""Python children that share our process group and die with us, and the frames in which they answer."""

import ctypes
import os
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, BinaryIO

_PR_SET_PDEATHSIG = 1
_FRAME = struct.Struct(">I")
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


def write_frame(out: BinaryIO, data: bytes) -> None:
    """Sends one message, its length before it."""
    out.write(_FRAME.pack(len(data)) + data)
    out.flush()


def read_frame(child: "subprocess.Popen[bytes]", seconds: float) -> bytes | None:
    """One frame of the child's output; None where it does not come in time or the child ends."""
    assert child.stdout is not None
    descriptor = child.stdout.fileno()
    deadline = time.monotonic() + seconds
    data, wanted = bytearray(), _FRAME.size
    while len(data) < wanted:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            child.wait()
            return None
        data += piece
        if wanted == _FRAME.size and len(data) >= wanted:
            wanted += _FRAME.unpack_from(data)[0]
    return bytes(data[_FRAME.size :])
