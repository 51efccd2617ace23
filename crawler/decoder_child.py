"""The process that decodes: answers images from its standard input one after another, under limits of its own."""

import ctypes
import hashlib
import json
import os
import resource
import signal
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

READY = b"curate-decoder"
"""What a child says once it can decode."""

SAME_BYTES = 0xFFFFFFFF
"""Stands for the length of stored bytes that are those of the request: they are not sent back."""

MAX_SECONDS = 30
"""CPU seconds, and by the parent's clock seconds, that one image may take."""

_LESS_URGENT = 4
"""Steps of niceness below the process that sends requests: these go at their moments, while decoding can wait."""

_SPARE_MEMORY = 32 * 2**20
_BYTES_PER_PIXEL = 18  # measured: 17.5 for grey PNG and for WebP with alpha, the dearest of all, wire bytes included
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class _Bounds:
    """ImageSettings as the child has them: importing pydantic would treble its start, to 0.3 s."""

    max_side_px: int
    short_side_px: int | None
    format: str
    quality: int
    formats: list[str]
    max_pixels: int
    keep: str


def serve(settings_json: str) -> None:
    """Reads length-prefixed images from stdin, answers with facts and stored bytes in the same order, ends at EOF."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy, which hands pixels over, starts a thread per core otherwise
    _die_with_parent()
    os.nice(_LESS_URGENT)
    settings = _Bounds(**json.loads(settings_json))
    _warm_up(settings)
    _limit_memory(_address_space() + _SPARE_MEMORY + _BYTES_PER_PIXEL * settings.max_pixels)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(READY)
    answers.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads it from here on: a full pipe would block us
    while head := requests.read(4):
        _limit_cpu()
        answer(requests.read(struct.unpack(">I", head)[0]), settings, answers)


def answer(data: bytes, settings: _Bounds, answers: IO[bytes]) -> None:
    """Two lengths, the facts as JSON, the stored bytes."""
    facts, stored = decode(data, settings)
    described = json.dumps(facts).encode()
    if stored is data:
        answers.write(struct.pack(">II", len(described), SAME_BYTES) + described)
    else:
        answers.write(b"".join((struct.pack(">II", len(described), len(stored)), described, stored)))
    answers.flush()


def decode(data: bytes, settings: _Bounds) -> tuple[dict[str, object], bytes]:
    """The fields of a StoredImage but its bytes, or those of a Refusal; and the stored bytes."""
    from shards.images import Refusal, read_image, stored_copy

    decoded = read_image(data, settings)
    if isinstance(decoded, Refusal):
        return asdict(decoded), b""
    stored, extension, width, height = stored_copy(data, decoded, settings)
    sha256 = hashlib.sha256(data).hexdigest()
    facts: dict[str, object] = {
        "format": decoded.format,
        "original_width": decoded.original_width,
        "original_height": decoded.original_height,
        "is_animated": decoded.is_animated,
        "alpha_share": decoded.alpha_share,
        "width": width,
        "height": height,
        "stored_format": extension,
        "sha256": sha256,
        "stored_sha256": sha256 if stored is data else hashlib.sha256(stored).hexdigest(),
    }
    return facts, stored


def _warm_up(settings: _Bounds) -> None:
    """Loads every library before the limits stand, so that what an image may take does not depend on its turn."""
    import io

    from PIL import Image, ImageCms

    Image.preinit()
    ImageCms.createProfile("sRGB")
    sample = Image.linear_gradient("L").convert("RGB").resize((640, 40))
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        encoded = io.BytesIO()
        sample.save(encoded, kind)
        decode(encoded.getvalue(), settings)


def _die_with_parent() -> None:
    """A child that is decoding when its parent is killed ends with it; one that waits sees its input end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def _address_space() -> int:
    """Bytes of address space that are in use; half a GiB where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[0]
    except FileNotFoundError:
        return 512 * 2**20
    return int(pages) * resource.getpagesize()


def _limit_memory(num_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (num_bytes, num_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_cpu() -> None:
    """RLIMIT_CPU counts from the process's start: move it on with every image."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime) + MAX_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
