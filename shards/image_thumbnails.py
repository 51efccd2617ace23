"""Small pictures of stored copies for a page: decoded and encoded anew, so that no foreign byte reaches a browser."""

import io
from dataclasses import dataclass

from shards.image_scaling import resized, target_size
from shards.images import decode_stored

_QUALITY = 72


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG without metadata; width and height in px."""

    jpeg: bytes
    width: int
    height: int


def thumbnail(stored: bytes, max_side_px: int) -> Thumbnail:
    """The stored copy scaled down to the bound. Raises ValueError if it cannot be read."""
    from PIL import Image

    image = Image.fromarray(decode_stored(stored))
    image = resized(image, target_size(*image.size, max_side_px, None))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, subsampling="4:2:0", optimize=False, progressive=False)
    return Thumbnail(buffer.getvalue(), *image.size)
