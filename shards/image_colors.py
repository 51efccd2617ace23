"""From whatever pixels a file has to 8-bit sRGB on white, the same way on every machine."""

import io
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

_MAX_ICC_BYTES = 4 * 2**20
_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_OPAQUE_MODES = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", *_DEEP_MODES)

DECODER_ERRORS = (
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
"""What Pillow's four decoders raise on broken bytes. Anything else is a crash of the decoding process."""


def flatten(image: "PillowImage") -> tuple["PillowImage", float]:
    """The image as 8-bit L, RGB or CMYK on white, and the share of its pixels that are not opaque."""
    transparency = image.info.get("transparency")
    if image.mode in _DEEP_MODES:
        return _eight_bits(image, transparency)
    if image.mode in _OPAQUE_MODES and transparency is None:
        keeps = image.mode in ("L", "RGB", "CMYK")
        return (image if keeps else image.convert("L" if image.mode == "1" else "RGB")), 0.0
    return _on_white(image if image.mode == "RGBA" else image.convert("RGBA"))


def scale_transparency(image: "PillowImage", rawmode: str) -> None:
    """A grey PNG of 2 or 4 bits is widened to 8 by Pillow, but its transparent value is not."""
    levels = {"L;2": 85, "L;4": 17}.get(rawmode)
    transparency = image.info.get("transparency")
    if levels is not None and isinstance(transparency, int):
        image.info["transparency"] = transparency * levels


def to_srgb(image: "PillowImage", profile: object) -> "PillowImage":
    """Through the embedded profile where it is sound; naively otherwise, as browsers do."""
    if not isinstance(profile, bytes) or not 128 <= len(profile) <= _MAX_ICC_BYTES or _is_srgb(profile):
        return image if image.mode == "RGB" else image.convert("RGB")
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *DECODER_ERRORS):
        converted = None
    return converted if converted is not None else image.convert("RGB")


def turned(image: "PillowImage", orientation: int) -> "PillowImage":
    """The image upright, by its EXIF orientation."""
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


def _is_srgb(profile: bytes) -> bool:
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


def _on_white(rgba: "PillowImage") -> tuple["PillowImage", float]:
    from PIL import Image

    alpha = rgba.getchannel("A")
    num_pixels = rgba.width * rgba.height
    num_opaque = alpha.histogram()[255]
    if num_opaque == num_pixels:
        return rgba.convert("RGB"), 0.0
    flat = Image.new("RGB", rgba.size, (255, 255, 255))
    flat.paste(rgba, mask=alpha)
    return flat, (num_pixels - num_opaque) / num_pixels


def _eight_bits(image: "PillowImage", transparency: object) -> tuple["PillowImage", float]:
    """16-bit grey to 8 bits by its high byte, as libpng scales; Pillow's own `convert` clips at 255."""
    deep = image.convert("I")
    grey = deep.point([value >> 8 for value in range(65536)], "L")
    if not isinstance(transparency, int):
        return grey, 0.0
    clear = deep.point([255 if value == transparency else 0 for value in range(65536)], "L")
    grey.paste(255, mask=clear)
    return grey, clear.histogram()[255] / (image.width * image.height)
