"""Pillow's only door: reads hostile image bytes within limits and makes the stored copy, sRGB on white."""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from PIL.Image import Image as PillowImage

STORED_EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}

_MAGIC = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
# Images that we recognise only to say so: their parsers are never run.
_FOREIGN_MAGIC = (
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"8BPS", "psd"),
    (b"\x00\x00\x00\x0cjP", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL", "jpegxl"),
    (b"\xff\x0a", "jpegxl"),
    (b"%!PS", "eps"),
    (b"<svg", "svg"),
)
_MAX_ICC_BYTES = 4 * 2**20
_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_OPAQUE_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", *_DEEP_MODES)

# What Pillow's four decoders raise on broken bytes. Anything else is a crash of the decoding process.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


class ImageBounds(Protocol):
    """What `shards.image_settings.ImageSettings` says, for a child process that starts without pydantic."""

    @property
    def max_side_px(self) -> int: ...
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
    """An image ready to be stored: 8-bit sRGB, upright, first frame, no side above the limit."""

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


def read_image(data: bytes, settings: ImageBounds) -> Decoded | Refusal:
    """Decodes the first frame, scaled down to `max_side_px`. The bytes decide about the format, never a header."""
    found = sniff(data)
    if found is None:
        foreign = _foreign_format(data)
        return Refusal("unsupported_format", foreign) if foreign else Refusal("not_an_image", _shown(data))
    if found not in settings.formats:
        return Refusal("unsupported_format", found)
    if found == "webp" and _webp_pixels(data) > settings.max_pixels:
        return Refusal(
            "pixel_bomb", f"more than {settings.max_pixels} pixels"
        )  # Pillow's WebP decoder allocates as it opens
    if found == "png" and (fault := _png_fault(data)) is not None:
        return Refusal("decode_error", fault)
    return _decode(data, found, settings.max_side_px, settings.max_pixels)


def encode_stored(image: "PillowImage", settings: ImageBounds) -> tuple[bytes, str]:
    """A fresh encode of an RGB image, without metadata, and its file extension."""
    buffer = io.BytesIO()
    clean = image.copy()
    clean.info = {}  # Pillow writes comments and profiles that it finds here
    if settings.format == "jpeg":
        clean.save(buffer, "JPEG", quality=settings.quality, subsampling="4:2:0", optimize=False, progressive=False)
    elif settings.format == "webp":
        clean.save(buffer, "WEBP", quality=settings.quality, method=4, lossless=False)
    else:
        clean.save(buffer, "PNG", compress_level=6, optimize=False)
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

    found = sniff(data)
    if found is None:
        raise ValueError("a stored copy is no image: its shard is damaged")
    decoded = _decode(data, found, None, 2**31 - 1)
    if isinstance(decoded, Refusal):
        raise ValueError(f"a stored copy cannot be decoded: {decoded.reason} {decoded.detail or ''}".rstrip())
    return np.asarray(decoded.image)


def sniff(data: bytes) -> str | None:
    """The format whose magic number the bytes start with: jpeg, png, webp, gif or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def _decode(data: bytes, found: str, max_side: int | None, max_pixels: int) -> Decoded | Refusal:
    from PIL import Image, UnidentifiedImageError
    from PIL import WebPImagePlugin as _  # noqa: F401  # else Pillow loads every plugin it has to find this one

    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which we neither trust nor keep
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[found.upper()]) as opened:
                return _decode_opened(opened, found, max_side, max_pixels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Refusal("pixel_bomb", f"more than {max_pixels} pixels")
    except UnidentifiedImageError:  # its message holds an address in memory
        return Refusal("decode_error", f"broken {found} header")
    except _DECODER_ERRORS as error:
        return Refusal("decode_error", f"{type(error).__name__}: {error}"[:200])


def _decode_opened(opened: "PillowImage", found: str, max_side: int | None, max_pixels: int) -> Decoded | Refusal:
    width, height = opened.size
    if width * height > max_pixels:
        return Refusal("pixel_bomb", f"more than {max_pixels} pixels")
    target = _target_size(width, height, max_side)
    if found == "jpeg":
        opened.draft(None, target)  # type: ignore[no-untyped-call, arg-type, unused-ignore]  # None keeps the mode
    tiles = getattr(opened, "tile", [])
    rawmode = tiles[0][3] if found == "png" and tiles and isinstance(tiles[0][3], str) else ""
    opened.load()
    profile = opened.info.get("icc_profile")
    turn = _orientation(opened.info.get("exif"))
    _scale_transparency(opened, rawmode)
    flat, alpha_share = _flatten(opened)
    if flat.size != target:
        flat = flat.resize(target, _lanczos(), reducing_gap=3.0)
    upright = _turned(_to_srgb(flat, profile), turn)
    if turn >= 5:
        width, height = height, width
    is_animated = found != "jpeg" and bool(getattr(opened, "is_animated", False))
    return Decoded(upright, found, width, height, is_animated, alpha_share)


def _target_size(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    longest = max(width, height)
    if max_side is None or longest <= max_side:
        return width, height
    return (
        max(1, (2 * width * max_side + longest) // (2 * longest)),
        max(1, (2 * height * max_side + longest) // (2 * longest)),
    )


def _flatten(image: "PillowImage") -> tuple["PillowImage", float]:
    """The image as 8-bit L, RGB or CMYK on white, and the share of its pixels that are not opaque."""
    transparency = image.info.get("transparency")
    if image.mode in _DEEP_MODES:
        return _eight_bits(image, transparency)
    if image.mode in _OPAQUE_MODES and transparency is None:
        keeps = image.mode in ("L", "RGB", "CMYK")
        return (image if keeps else image.convert("L" if image.mode == "1" else "RGB")), 0.0
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    return _on_white(rgba)


def _scale_transparency(image: "PillowImage", rawmode: str) -> None:
    """A grey PNG of 2 or 4 bits is widened to 8 by Pillow, but its transparent value is not."""
    levels = {"L;2": 85, "L;4": 17}.get(rawmode)
    transparency = image.info.get("transparency")
    if levels is not None and isinstance(transparency, int):
        image.info["transparency"] = transparency * levels


def _on_white(rgba: "PillowImage") -> tuple["PillowImage", float]:
    from PIL import Image

    alpha = rgba.getchannel("A")
    opaque = alpha.histogram()[255]
    num_pixels = rgba.width * rgba.height
    flat = Image.new("RGB", rgba.size, (255, 255, 255))
    flat.paste(rgba, mask=alpha)
    return flat, (num_pixels - opaque) / num_pixels


def _eight_bits(image: "PillowImage", transparency: object) -> tuple["PillowImage", float]:
    """16-bit grey to 8 bits by its high byte, as libpng scales; Pillow's own `convert` clips at 255."""
    deep = image.convert("I")
    grey = deep.point([value >> 8 for value in range(65536)], "L")
    if not isinstance(transparency, int):
        return grey, 0.0
    clear = deep.point([255 if value == transparency else 0 for value in range(65536)], "L")
    grey.paste(255, mask=clear)
    return grey, clear.histogram()[255] / (image.width * image.height)


def _to_srgb(image: "PillowImage", profile: object) -> "PillowImage":
    """Through the embedded profile where it is sound; naively otherwise, as browsers do."""
    if not isinstance(profile, bytes) or not 128 <= len(profile) <= _MAX_ICC_BYTES or _is_srgb(profile):
        return image if image.mode == "RGB" else image.convert("RGB")
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *_DECODER_ERRORS):
        converted = None
    return converted if converted is not None else image.convert("RGB")


def _is_srgb(profile: bytes) -> bool:
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


def _orientation(exif: object) -> int:
    """EXIF tag 0x0112 of the first directory, 1 to 8; anything unsound is 1 (upright)."""
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 14:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for offset in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, offset)
        if tag == 0x0112:
            return int(value) if kind == 3 and 1 <= value <= 8 else 1
    return 1


def _turned(image: "PillowImage", orientation: int) -> "PillowImage":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def _lanczos() -> int:
    from PIL.Image import Resampling

    return Resampling.LANCZOS


def _webp_pixels(data: bytes) -> int:
    """Canvas size from the first chunk's header; 0 where it cannot be read (the decoder will say why)."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return 0
    if kind == b"VP8X":
        return (1 + int.from_bytes(body[4:7], "little")) * (1 + int.from_bytes(body[7:10], "little"))
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (1 + (bits & 0x3FFF)) * (1 + (bits >> 14 & 0x3FFF))
    width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return (width & 0x3FFF) * (height & 0x3FFF)


def _png_fault(data: bytes) -> str | None:
    """A missing end, or a critical chunk with a wrong checksum: Pillow is content once it has all pixels."""
    offset = 8
    while offset + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        is_critical = not name[0] & 32
        if is_critical and end <= len(data):
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(memoryview(data)[offset + 4 : end - 4]) != checksum:
                return f"wrong checksum of chunk {name!r}"
        if name == b"IEND":
            return None
        offset = end
    return "the file ends too early"


def _foreign_format(data: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        return data[8:12].decode("ascii", "replace").strip()
    head = data[:512].lstrip()
    if head.startswith(b"<?xml") and b"<svg" in data[:4096]:
        return "svg"
    return next((name for magic, name in _FOREIGN_MAGIC if head.startswith(magic) or data.startswith(magic)), None)


def _shown(data: bytes) -> str:
    return f"starts with {data[:16]!r}"
