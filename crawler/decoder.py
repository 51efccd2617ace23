"""Decoding in a child process under limits, so that a crash or a hang costs one image and nothing else."""

import hashlib
import json
import os
import resource
import select
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from shards.images import ImageBounds, Refusal, read_image, stored_copy

if TYPE_CHECKING:
    from shards.image_settings import ImageSettings

MAX_SECONDS = 30
"""Wall clock, and CPU, that one image may take."""

_READY = b"curate-decoder"
_BASE_MEMORY = 768 * 2**20
_BYTES_PER_PIXEL = 16  # what the worst mode needs at its peak: RGBA, its alpha, and the flat copy
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from crawler.decoder import serve; serve(sys.argv[1])"


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


@dataclass(frozen=True)
class _Bounds:
    """ImageSettings as the child has them: importing pydantic would treble its start, to 0.3 s."""

    max_side_px: int
    format: str
    quality: int
    formats: list[str]
    max_pixels: int
    keep: str


class ImageDecoder:
    """One lazily started child that decodes, one image at a time. Not for two threads at once."""

    def __init__(self, settings: "ImageSettings", command: Sequence[str] | None = None) -> None:
        child = [sys.executable, "-I", "-S", "-c", _CHILD, settings.model_dump_json(exclude={"store"}), *sys.path]
        self._command = list(command or child)
        self._child: subprocess.Popen[bytes] | None = None

    def decode(self, data: bytes) -> StoredImage | Refusal:
        """The stored copy of an image. An image that ends its child is tried alone once more."""
        fault = ""
        for _ in range(2):
            try:
                return self._ask(data)
            except _ChildDied as died:
                fault = str(died)
                self.close()
        return Refusal("decode_crash", fault)

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, data: bytes) -> StoredImage | Refusal:
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(struct.pack(">I", len(data)))
            child.stdin.write(data)
            child.stdin.flush()
        except BrokenPipeError:
            raise _ChildDied(_exit_of(child)) from None
        if not select.select([child.stdout], [], [], MAX_SECONDS)[0]:
            raise _ChildDied(f"no answer in {MAX_SECONDS} s")
        head = child.stdout.read(8)
        if len(head) < 8:
            raise _ChildDied(_exit_of(child))
        facts_length, stored_length = struct.unpack(">II", head)
        facts = json.loads(child.stdout.read(facts_length))
        stored = child.stdout.read(stored_length)
        return Refusal(**facts) if "reason" in facts else StoredImage(**facts, stored=stored)

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=True
        )
        assert child.stdout is not None
        if child.stdout.read(len(_READY)) != _READY:
            _, complaint = child.communicate()
            raise RuntimeError(f"the decoding process cannot start: {complaint.decode('utf-8', 'replace')[-2000:]}")
        return child


class _ChildDied(Exception):
    """The child ended, or had to be ended, before it answered."""


def serve(settings_json: str) -> None:
    """The child: reads length-prefixed images from stdin, answers with facts and stored bytes, ends at EOF."""
    from PIL import Image, ImageCms

    Image.preinit()
    ImageCms.createProfile("sRGB")
    settings = _Bounds(**json.loads(settings_json))
    _limit_memory(_BASE_MEMORY + _BYTES_PER_PIXEL * settings.max_pixels)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(_READY)
    answers.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads it from here on: a full pipe would block us
    while head := requests.read(4):
        _limit_cpu()
        _answer(requests.read(struct.unpack(">I", head)[0]), settings, answers)


def _answer(data: bytes, settings: ImageBounds, answers: IO[bytes]) -> None:
    facts, stored = _decode(data, settings)
    described = json.dumps(facts).encode()
    answers.write(struct.pack(">II", len(described), len(stored)))
    answers.write(described)
    answers.write(stored)
    answers.flush()


def _decode(data: bytes, settings: ImageBounds) -> tuple[dict[str, object], bytes]:
    decoded = read_image(data, settings)
    if isinstance(decoded, Refusal):
        return asdict(decoded), b""
    stored, extension, width, height = stored_copy(data, decoded, settings)
    facts: dict[str, object] = {
        "format": decoded.format,
        "original_width": decoded.original_width,
        "original_height": decoded.original_height,
        "is_animated": decoded.is_animated,
        "alpha_share": decoded.alpha_share,
        "width": width,
        "height": height,
        "stored_format": extension,
        "sha256": hashlib.sha256(data).hexdigest(),
        "stored_sha256": hashlib.sha256(stored).hexdigest(),
    }
    return facts, stored


def _limit_memory(num_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu() -> None:
    """RLIMIT_CPU counts from the process's start: move it on with every image."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime) + MAX_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _exit_of(child: subprocess.Popen[bytes]) -> str:
    code = child.wait()
    return f"decoder ended by signal {-code}" if code < 0 else f"decoder ended with status {code}"
