"""Images that a careless decoder spoils, each with the picture that it means, and how far a stored copy is from it."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MAX_MEAN_ERROR = 4.0
"""Mean absolute error, in 1/255, up to which a stored copy shows the right picture: JPEG alone costs 1 to 2."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SpoiledImage:
    """A file as served, and the upright sRGB picture on white that it means, uint8 [h, w, 3]."""

    name: str
    data: bytes
    meant: Pixels


def spoiled_images() -> list[SpoiledImage]:
    """Six small files: turned by EXIF, of 16 bits, CMYK, with a palette or an alpha channel that has a hole."""
    from pipelines.demo.photos import load_photo

    photo = load_photo("coffee").crop((40, 40, 600, 400))
    grey = np.asarray(photo.convert("L"))
    rgb = np.asarray(photo)
    hole = np.zeros(rgb.shape[:2], bool)
    hole[100:260, 150:400] = True
    holed = np.where(hole[..., None], np.uint8(255), rgb)
    palette, palette_pixels = _with_palette(photo, hole)
    return [
        SpoiledImage("exif-orientation.jpg", _turned_by_exif(photo), rgb),
        SpoiledImage("grey-16-bit.png", _deep_png(grey), np.repeat(grey[..., None], 3, axis=2)),
        SpoiledImage("rgb-16-bit.png", _deep_png(rgb), rgb),
        SpoiledImage("cmyk.jpg", _saved(photo.convert("CMYK"), "JPEG", quality=95), rgb),
        SpoiledImage("palette-with-hole.png", palette, palette_pixels),
        SpoiledImage("alpha-with-hole.png", _with_alpha(photo, hole), holed),
    ]


def errors_of(images: list[SpoiledImage], stored: dict[str, bytes]) -> dict[str, Any]:
    """By name, what the stored copy is: its mean error against the picture that is meant, or what is wrong with it."""
    return {image.name: _error(image, stored.get(image.name)) for image in images}


def _error(image: SpoiledImage, stored: bytes | None) -> dict[str, Any]:
    from PIL import Image

    if stored is None:
        return {"right": False, "fault": "not kept"}
    with Image.open(io.BytesIO(stored)) as opened:
        picture = opened.convert("RGB")
    height, width = image.meant.shape[:2]
    if abs(picture.width * height - picture.height * width) > 2 * max(height, width):
        return {"right": False, "fault": f"{picture.width} x {picture.height}: lies on its side"}
    meant = Image.fromarray(image.meant).resize(picture.size, Image.Resampling.LANCZOS)
    error = float(np.abs(np.asarray(picture, np.int16) - np.asarray(meant, np.int16)).mean())
    return {"right": error <= MAX_MEAN_ERROR, "mean_error": round(error, 2)}


def _turned_by_exif(photo: "PillowImage") -> bytes:
    """Stored on its side, with the note that a viewer should turn it by 90 degrees clockwise (orientation 6)."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    return _saved(photo.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif.tobytes())


def _with_palette(photo: "PillowImage", hole: npt.NDArray[np.bool_]) -> tuple[bytes, Pixels]:
    """255 colours and a transparent one."""
    from PIL import Image

    reduced = photo.quantize(255)
    indices = np.where(hole, np.uint8(255), np.asarray(reduced))
    image = Image.fromarray(indices, "L")
    image.putpalette([*(reduced.getpalette() or [])[: 3 * 255], 0, 0, 0])
    seen = np.asarray(reduced.convert("RGB"))
    return _saved(image, "PNG", transparency=255), np.where(hole[..., None], np.uint8(255), seen)


def _with_alpha(photo: "PillowImage", hole: npt.NDArray[np.bool_]) -> bytes:
    from PIL import Image

    rgba = photo.copy()
    rgba.putalpha(Image.fromarray(np.where(hole, np.uint8(0), np.uint8(255))))
    return _saved(rgba, "PNG")


def _saved(image: "PillowImage", format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _deep_png(pixels: Pixels) -> bytes:
    """A PNG of 16 bits a channel, grey or RGB, which Pillow cannot write: 257 times the 8-bit value."""
    deep = (pixels.astype(np.uint16) * 257).astype(">u2")
    height, width = pixels.shape[:2]
    rows = deep.reshape(height, -1).view(np.uint8)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
