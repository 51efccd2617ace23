"""Decoding in child processes under limits, so that a crash or a hang costs one image and nothing else."""

import asyncio
import fcntl
import json
import os
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from crawler.decoder_child import MAX_SECONDS, READY, SAME_BYTES
from shards.images import Refusal

if TYPE_CHECKING:
    from shards.image_settings import ImageSettings

_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from crawler.decoder_child import serve; serve(sys.argv[1])"
_IN_FLIGHT = 3
"""Images that a child has at a time: the one it decodes, and two so that it never waits for us."""

_PIPE_BYTES = 2**20
_READ_BYTES = 2**18
_MAX_FACTS_BYTES = 2**16
_MAX_ANSWER_BYTES = 2**29  # a PNG of 40 million pixels, and some
_START_S = 120.0  # it takes 0.2 s; a machine may be very busy
_EXIT_S = 2.0


@dataclass(frozen=True)
class StoredImage:
    """A decoded image as its row and its tar member state it."""

    format: str
    original_width: int
    original_height: int
    is_animated: bool
    alpha_share: float
    width: int
    height: int
    stored_format: str
    sha256: str
    stored_sha256: str
    stored: bytes


@dataclass
class _Job:
    body: bytes
    answer: "asyncio.Future[StoredImage | Refusal]"
    fault: str | None = None
    """How the child ended that had this image before."""


class DecoderPool:
    """Up to `count` children, the first started on entry and the others as they are needed. For one event loop.

    The images that a child has are answered in their order, so that the first of them is to blame for its end: it is
    tried once more, alone, and those behind it go to other children as if nothing had been.
    """

    def __init__(
        self,
        settings: "ImageSettings",
        count: int,
        command: Sequence[str] | None = None,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        described = settings.model_dump_json(exclude={"store"})
        self._command = list(command or [sys.executable, "-I", "-S", "-c", _CHILD, described, *sys.path])
        self._count = count
        self._max_seconds = max_seconds
        self._children: list[_Child] = []
        self._waiting: deque[_Job] = deque()
        self._suspects: deque[_Job] = deque()
        self._watch: asyncio.TimerHandle | None = None

    async def decode(self, body: bytes) -> StoredImage | Refusal:
        """The stored copy of an image. Raises RuntimeError where no child can start."""
        loop = asyncio.get_running_loop()
        job = _Job(body, loop.create_future())
        self._waiting.append(job)
        self._hand_out()
        if self._watch is None:
            self._watch_clock()
        return await job.answer

    async def __aenter__(self) -> Self:
        self._start_child()  # it loads its libraries while the first requests are under way
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for child in self._children:
            child.end()
            self._waiting.extend(child.jobs)
        for job in (*self._waiting, *self._suspects):
            job.answer.cancel()
        self._children.clear()
        self._waiting.clear()
        self._suspects.clear()

    def _hand_out(self) -> None:
        while self._suspects and (child := self._free_child(max_jobs=0)) is not None:
            child.is_reserved = True
            child.send(self._suspects.popleft())
        while self._waiting and (child := self._free_child(max_jobs=_IN_FLIGHT - 1)) is not None:
            job = self._waiting.popleft()
            if not job.answer.done():
                child.send(job)

    def _free_child(self, max_jobs: int) -> "_Child | None":
        """The child with the least to do, or a new one where all have something."""
        free = [child for child in self._children if not child.is_reserved]
        least = min(free, key=lambda child: len(child.jobs), default=None)
        if (least is None or least.jobs) and len(self._children) < self._count:
            least = self._start_child()
        return least if least is not None and len(least.jobs) <= max_jobs else None

    def _start_child(self) -> "_Child":
        child = _Child(self._command, self._answered, self._lost)
        self._children.append(child)
        return child

    def _answered(self, child: "_Child", job: _Job, answer: StoredImage | Refusal) -> None:
        child.is_reserved = False
        if not job.answer.done():
            job.answer.set_result(answer)
        self._hand_out()

    def _lost(self, child: "_Child", fault: str) -> None:
        self._children.remove(child)
        if not child.is_ready:
            self._fail(child, RuntimeError(f"the decoding process cannot start: {fault}"))
            return
        if child.jobs:
            first = child.jobs.popleft()
            if first.fault is None:
                first.fault = fault
                self._suspects.append(first)
            elif not first.answer.done():
                first.answer.set_result(Refusal("decode_crash", fault))
        self._waiting.extendleft(reversed(child.jobs))
        self._hand_out()

    def _fail(self, child: "_Child", error: RuntimeError) -> None:
        for job in (*child.jobs, *self._waiting, *self._suspects):
            if not job.answer.done():
                job.answer.set_exception(error)
        self._waiting.clear()
        self._suspects.clear()

    def _watch_clock(self) -> None:
        """Ends children that have had one image for too long."""
        loop = asyncio.get_running_loop()
        for child in list(self._children):
            limit = self._max_seconds if child.is_ready else _START_S
            if child.jobs and loop.time() - child.began > limit:
                child.give_up(f"no answer in {limit:g} s")
        self._watch = loop.call_later(min(1.0, self._max_seconds / 4), self._watch_clock)


class _BrokenAnswer(Exception):
    """A child that does not keep to the protocol: whatever took it over shall not take us over."""


@dataclass(eq=False)
class _Child:
    """One process, its pipes, and the images that it has: the first is the one it decodes."""

    command: Sequence[str]
    on_answer: "Callable[[_Child, _Job, StoredImage | Refusal], None]"
    on_end: "Callable[[_Child, str], None]"
    jobs: deque[_Job] = field(default_factory=deque)
    is_reserved: bool = False
    is_ready: bool = False
    began: float = 0.0
    """When the first of its images became that, by the loop's clock."""

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._process = subprocess.Popen(
            self.command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        for pipe in (self._input, self._output):
            os.set_blocking(pipe, False)
            _widen(pipe)
        self._outgoing: deque[memoryview] = deque()
        self._incoming = bytearray()
        self._loop.add_reader(self._output, self._read)

    def send(self, job: _Job) -> None:
        if not self.jobs:
            self.began = self._loop.time()
        self.jobs.append(job)
        is_idle = not self._outgoing
        self._outgoing += (memoryview(struct.pack(">I", len(job.body))), memoryview(job.body))
        if is_idle:
            self._write()

    def give_up(self, fault: str) -> None:
        """Ends the process for a fault of its own."""
        complaint = self.end()
        self.on_end(self, fault if self.is_ready else complaint or fault)

    def end(self) -> str:
        """Kills the process; what it had to complain about, if it never began to work."""
        self._loop.remove_reader(self._output)
        self._loop.remove_writer(self._input)
        self._process.kill()
        _, complaint = self._process.communicate()
        return complaint.decode("utf-8", "replace")[-2000:]

    def _write(self) -> None:
        try:
            while self._outgoing:
                written = os.writev(self._input, self._outgoing)
                while self._outgoing and written >= len(self._outgoing[0]):
                    written -= len(self._outgoing.popleft())
                if written:
                    self._outgoing[0] = self._outgoing[0][written:]
        except BlockingIOError:
            self._loop.add_writer(self._input, self._write)
            return
        except BrokenPipeError:  # its output ends too, and says more
            self._outgoing.clear()
        self._loop.remove_writer(self._input)

    def _read(self) -> None:
        try:
            received = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return
        if not received:
            self._ended()
            return
        self._incoming += received
        if not self.is_ready and len(self._incoming) >= len(READY):
            if not self._incoming.startswith(READY):
                self.give_up(f"it began with {bytes(self._incoming[:80])!r}")
                return
            del self._incoming[: len(READY)]
            self.is_ready = True
            self.began = self._loop.time()
        try:
            while self.is_ready and (answer := self._next_answer()) is not None:
                job = self.jobs.popleft()
                self.began = self._loop.time()
                self.on_answer(self, job, answer)
        except _BrokenAnswer as broken:
            self.give_up(str(broken))

    def _next_answer(self) -> StoredImage | Refusal | None:
        if len(self._incoming) < 8:
            return None
        facts_length, stored_length = struct.unpack_from(">II", self._incoming)
        is_same = stored_length == SAME_BYTES
        middle = 8 + facts_length
        end = middle if is_same else middle + stored_length
        if not self.jobs or facts_length > _MAX_FACTS_BYTES or end > _MAX_ANSWER_BYTES:
            raise _BrokenAnswer("the decoder said what nobody asked")
        if len(self._incoming) < end:
            return None
        stored = self.jobs[0].body if is_same else bytes(self._incoming[middle:end])
        answer = _answer_of(bytes(self._incoming[8:middle]), stored)
        del self._incoming[:end]
        return answer

    def _ended(self) -> None:
        self._loop.remove_reader(self._output)
        with suppress(subprocess.TimeoutExpired):  # it closed its output and lives on: `end` sees to that
            self._process.wait(_EXIT_S)
        code = self._process.poll()
        fault = (
            f"decoder ended by signal {-code}" if code is not None and code < 0 else f"decoder ended with status {code}"
        )
        self.give_up(fault)


def _answer_of(described: bytes, stored: bytes) -> StoredImage | Refusal:
    try:
        facts = json.loads(described)
        return Refusal(**facts) if "reason" in facts else StoredImage(**facts, stored=stored)
    except (ValueError, TypeError):
        raise _BrokenAnswer("the decoder's answer makes no sense") from None


def _widen(pipe: int) -> None:
    """A pipe that holds a whole image spares us and the child turns; the system may refuse."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
