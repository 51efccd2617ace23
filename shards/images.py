"""The one door for image bytes: reads hostile ones within limits and makes the stored copy, sRGB on white."""

import io
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shards.image_bytes import (
    foreign_format,
    inflated_png,
    is_plain_webp,
    orientation_of,
    plain_jpeg_frame,
    png_chunks,
    repacked_png,
    sniff,
    webp_size,
)
from shards.image_colors import DECODER_ERRORS, flatten, scale_transparency, to_srgb, turned
from shards.image_scaling import jpeg_scale, resized, target_size
from shards.webp_decoder import decode_plain_webp

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from PIL.Image import Image as PillowImage

STORED_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}

_FULL_SIZE_PIXELS = 2**31 - 1
# Below this libjpeg's rounding makes several scales end at one size, and the library would take the smallest.
_MIN_SCALED_SIDE = 16
_GRAVE_JPEG_FAULTS = ("Corrupt JPEG data", "Premature end")
_MILD_JPEG_FAULTS = ("extraneous bytes", "bad ICC marker")


class ImageBounds(Protocol):
    """What `shards.image_settings.ImageSettings` says, for a child process that starts without pydantic."""

    @property
    def max_side_px(self) -> int: ...
    @property
    def short_side_px(self) -> int | None: ...
    @property
    def format(self) -> str: ...
    @property
    def quality(self) -> int: ...
    @property
    def formats(self) -> "Sequence[str]": ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def keep(self) -> str: ...


@dataclass(frozen=True)
class Decoded:
    """An image ready to be stored: 8-bit sRGB, upright, first frame, within the bounds of the stored copy.

    Where the bytes themselves are stored, `image` may be smaller and rougher than that.
    """

    image: "PillowImage"
    format: str
    original_width: int
    original_height: int
    is_animated: bool
    alpha_share: float


@dataclass(frozen=True)
class Refusal:
    """Why bytes are no image of ours: a word of `shards.schema.REASONS`, and more about it."""

    reason: str
    detail: str | None = None


@dataclass(frozen=True)
class _Task:
    """What is wanted of one decode."""

    max_side: int | None
    short_side: int | None
    max_pixels: int
    is_check_only: bool = False

    def target(self, width: int, height: int) -> tuple[int, int]:
        return target_size(width, height, self.max_side, self.short_side)


class _Broken(Exception):
    """A fault that Pillow would not have noticed."""


def read_image(data: bytes, settings: ImageBounds) -> Decoded | Refusal:
    """Decodes the first frame, scaled down to the bounds. The bytes decide about the format, never a header."""
    found = sniff(data)
    if found is None:
        foreign = foreign_format(data)
        return Refusal("unsupported_format", foreign) if foreign else Refusal("not_an_image", _shown(data))
    if found not in settings.formats:
        return Refusal("unsupported_format", found)
    is_check_only = settings.keep == "original" and found in STORED_EXTENSIONS
    bounds = (1, None) if is_check_only else (settings.max_side_px, settings.short_side_px)
    return _decode(data, found, _Task(*bounds, settings.max_pixels, is_check_only))


def encode_stored(image: "PillowImage", settings: ImageBounds) -> tuple[bytes, str]:
    """A fresh encode of an RGB image, without metadata, and its file extension."""
    buffer = io.BytesIO()
    if image.info:  # Pillow writes comments and profiles that it finds here
        image = image.copy()
        image.info = {}
    if settings.format == "jpeg":
        image.save(buffer, "JPEG", quality=settings.quality, subsampling="4:2:0", optimize=False, progressive=False)
    elif settings.format == "webp":
        image.save(buffer, "WEBP", quality=settings.quality, method=4, lossless=False)
    else:
        image.save(buffer, "PNG", compress_level=6, optimize=False)
    return buffer.getvalue(), STORED_EXTENSIONS[settings.format]


def stored_copy(data: bytes, decoded: Decoded, settings: ImageBounds) -> tuple[bytes, str, int, int]:
    """Bytes, extension, width and height of what is stored: a fresh encode, or with `keep: original` the bytes."""
    if settings.keep == "original" and decoded.format in STORED_EXTENSIONS:
        return data, STORED_EXTENSIONS[decoded.format], decoded.original_width, decoded.original_height
    stored, extension = encode_stored(decoded.image, settings)
    return stored, extension, *decoded.image.size


def decode_stored(data: bytes) -> "np.ndarray":
    """The pixels of a stored copy, uint8 [h, w, 3], upright. Raises ValueError if they cannot be read."""
    import numpy as np
    import simplejpeg

    found = sniff(data)
    if found == "jpeg" and plain_jpeg_frame(data) is not None:
        with suppress(ValueError):  # what is wrong with it is told below
            return np.asarray(simplejpeg.decode_jpeg(data, "RGB"))
    if found is None:
        raise ValueError("a stored copy is no image: its shard is damaged")
    decoded = _decode(data, found, _Task(None, None, _FULL_SIZE_PIXELS))
    if isinstance(decoded, Refusal):
        raise ValueError(f"a stored copy cannot be decoded: {decoded.reason} {decoded.detail or ''}".rstrip())
    return np.asarray(decoded.image)


def _decode(data: bytes, found: str, task: _Task) -> Decoded | Refusal:
    from PIL import Image, UnidentifiedImageError

    too_large = Refusal("pixel_bomb", f"more than {task.max_pixels} pixels")
    Image.MAX_IMAGE_PIXELS = task.max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which we neither trust nor keep
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if found == "png":
                return _decode_png(data, task) or too_large
            if found == "webp":
                return _decode_webp(data, task) or too_large
            if found == "jpeg":
                return _decode_jpeg(data, task) or too_large
            return _decode_opened(data, found, task) or too_large
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return too_large
    except _Broken as broken:
        return Refusal("decode_error", str(broken))
    except UnidentifiedImageError:  # its message holds an address in memory
        return Refusal("decode_error", f"broken {found} header")
    except DECODER_ERRORS as error:
        return Refusal("decode_error", f"{type(error).__name__}: {error}"[:200])


def _decode_png(data: bytes, task: _Task) -> Decoded | None:
    chunks = png_chunks(data)
    if isinstance(chunks, str):
        raise _Broken(chunks)
    if chunks.header[0] * chunks.header[1] > task.max_pixels:
        return None
    rows = inflated_png(data, chunks)
    if rows is None:
        return _decode_opened(data, "png", task)
    if task.is_check_only and chunks.is_plain and not chunks.has_wrong_filter(rows):
        from PIL import Image

        return Decoded(Image.new("RGB", (1, 1)), "png", chunks.header[0], chunks.header[1], False, 0.0)
    return _decode_opened(repacked_png(data, chunks, rows), "png", task)


def _decode_jpeg(data: bytes, task: _Task) -> Decoded | None:
    """Of a plain JPEG our own look at its header is enough: Pillow's takes a thirtieth of the whole."""
    frame = plain_jpeg_frame(data)
    if frame is not None:
        size, mode = frame[:2], "L" if frame[2] == 1 else "RGB"
        if size[0] * size[1] > task.max_pixels:
            return None
        target = task.target(*size)
        if (flat := _jpeg_pixels(data, mode, size, target, task.is_check_only)) is not None:
            fitted = _fitted(flat, target, task)
            return Decoded(fitted if task.is_check_only else to_srgb(fitted, None), "jpeg", *size, False, 0.0)
    return _decode_opened(data, "jpeg", task)


def _decode_webp(data: bytes, task: _Task) -> Decoded | None:
    width, height = webp_size(data)
    if width * height > task.max_pixels:  # Pillow's WebP decoder allocates as it opens
        return None
    if is_plain_webp(data) and width * height > 0:
        target = task.target(width, height)
        image = decode_plain_webp(data, target, task.is_check_only)
        if image is not None:
            return Decoded(_fitted(image, target, task), "webp", width, height, False, 0.0)
    return _decode_opened(data, "webp", task)


def _decode_opened(data: bytes, found: str, task: _Task) -> Decoded | None:
    """The image by Pillow's own reader of its header; None for more pixels than are allowed."""
    from PIL import Image
    from PIL import WebPImagePlugin as _  # noqa: F401  # else Pillow loads every plugin it has to find this one

    with Image.open(io.BytesIO(data), formats=[found.upper()]) as opened:
        width, height = opened.size
        if width * height > task.max_pixels:
            return None
        target = task.target(width, height)
        flat, alpha_share = _flat_pixels(opened, data, found, target, task.is_check_only)
        turn = orientation_of(opened.info.get("exif"))
        fitted = _fitted(flat, target, task)
        upright = fitted if task.is_check_only else turned(to_srgb(fitted, opened.info.get("icc_profile")), turn)
        is_animated = found != "jpeg" and bool(getattr(opened, "is_animated", False))
    if turn >= 5:
        width, height = height, width
    return Decoded(upright, found, width, height, is_animated, alpha_share)


def _flat_pixels(
    opened: "PillowImage", data: bytes, found: str, target: tuple[int, int], is_check_only: bool
) -> tuple["PillowImage", float]:
    if found == "jpeg":
        if (plain := _jpeg_pixels(data, opened.mode, opened.size, target, is_check_only)) is not None:
            return plain, 0.0
        opened.draft(None, target)  # type: ignore[no-untyped-call, arg-type, unused-ignore]  # None keeps the mode
    tiles = getattr(opened, "tile", [])
    rawmode = tiles[0][3] if found == "png" and tiles and isinstance(tiles[0][3], str) else ""
    opened.load()
    scale_transparency(opened, rawmode)
    return flatten(opened)


def _jpeg_pixels(
    data: bytes, mode: str, size: tuple[int, int], target: tuple[int, int], is_check_only: bool
) -> "PillowImage | None":
    if is_check_only:  # colours are read either way, and need not be made; below this side Pillow would be asked
        mode, target = "L" if mode == "RGB" else mode, (_MIN_SCALED_SIDE, _MIN_SCALED_SIDE)
    return _plain_jpeg(data, mode, size, target) if mode in ("L", "RGB") else None


def _plain_jpeg(data: bytes, mode: str, size: tuple[int, int], target: tuple[int, int]) -> "PillowImage | None":
    """The same pixels as Pillow's draft mode gives, but libjpeg's warnings count: a scan that ends early is grey from
    there on, and Pillow keeps it. None where Pillow has to decode."""
    import simplejpeg
    from PIL import Image

    scale = jpeg_scale(size, target)
    width, height = -(-size[0] // scale), -(-size[1] // scale)
    if min(width, height) < _MIN_SCALED_SIDE:
        return None
    layout = "GRAY" if mode == "L" else "RGBX"
    try:
        pixels = simplejpeg.decode_jpeg(data, layout, min_width=width, min_height=height)
    except ValueError as error:
        fault = str(error)
        if fault.startswith(_GRAVE_JPEG_FAULTS) and not any(mild in fault for mild in _MILD_JPEG_FAULTS):
            raise _Broken(fault[:200]) from None
        return None
    if pixels.shape[:2] != (height, width):
        return None
    return Image.frombytes(mode, (width, height), pixels.data, "raw", "L" if mode == "L" else "RGBX")


def _fitted(image: "PillowImage", target: tuple[int, int], task: _Task) -> "PillowImage":
    return image if task.is_check_only else resized(image, target)


def _shown(data: bytes) -> str:
    return f"starts with {data[:16]!r}"
