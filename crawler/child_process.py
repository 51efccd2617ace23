"""Python children that share our process group and die with us, and those among them that answer questions."""

import contextlib
import ctypes
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

from shards.closing import Closing

Answer = Callable[[bytes, bytes], bytes]
"""A child's answer to a question and the bytes that it is about."""

_PR_SET_PDEATHSIG = 1
_FRAME = struct.Struct(">I")
_REQUEST = struct.Struct(">II")  # lengths of the question and of what it is about
_START_SECONDS = 60.0
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


class AnsweringChild(Closing):
    """A child that answers one question after another; what breaks it costs that answer alone.

    It is started with the first question, and anew after its end. Not for use by two threads at once.
    """

    def __init__(self, module: str, settings: bytes = b"") -> None:
        """`module.main()` calls `answer_questions`; `settings` are what it hands to `prepare`."""
        self._module = module
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self.has_died = False
        """After a question without an answer: whether the child ended, or only took too long."""

    def ask(self, question: bytes, body: bytes, seconds: float) -> bytes | None:
        """The answer, or None where two children in a row ended before it, or one took longer than so many seconds.

        One end may come from outside, by the system's want of memory for one. Raises RuntimeError where none can start.
        """
        answer = self._asked_once(question, body, seconds)
        if answer is None and self.has_died:
            answer = self._asked_once(question, body, seconds)
        return answer

    def _asked_once(self, question: bytes, body: bytes, seconds: float) -> bytes | None:
        child = self._running()
        try:
            _send(child, question, body)
            answer = _read_frame(child, seconds)
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.has_died = child.poll() is not None
            self.close()
        return answer

    def close(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            # What was left unsent is of no use to a dead child.
            with contextlib.suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = start_python_child(self._module, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            with contextlib.suppress(BrokenPipeError):
                _send(self._child, self._settings, b"")
            if _read_frame(self._child, _START_SECONDS) is None:
                self.close()
                raise RuntimeError(f"the process of {self._module} did not start; its error output says why")
        return self._child


def answer_questions(prepare: Callable[[bytes], Answer], max_memory_bytes: int) -> None:
    """The child's side: `prepare` makes the answering function of the settings; ends when its input does."""
    die_with_parent()
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (max_memory_bytes, max_memory_bytes))
    # Nothing else that prints may reach the pipe.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answer: Answer | None = None
    while len(head := sys.stdin.buffer.read(_REQUEST.size)) == _REQUEST.size:
        question, body = (sys.stdin.buffer.read(length) for length in _REQUEST.unpack(head))
        if answer is None:
            answer = prepare(question)
            _write_frame(out, b"ready")
        else:
            _write_frame(out, answer(question, body))


def _send(child: "subprocess.Popen[bytes]", question: bytes, body: bytes) -> None:
    assert child.stdin is not None
    child.stdin.write(_REQUEST.pack(len(question), len(body)) + question)
    child.stdin.write(body)
    child.stdin.flush()


def _write_frame(out: BinaryIO, data: bytes) -> None:
    """Sends one message, its length before it."""
    out.write(_FRAME.pack(len(data)) + data)
    out.flush()


def _read_frame(child: "subprocess.Popen[bytes]", seconds: float) -> bytes | None:
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
