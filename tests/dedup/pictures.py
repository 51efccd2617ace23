"""What tests of hashes draw: pictures like photographs, JPEG copies of them, and images that hold hardly anything."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from dedup.shrinking import Pixels

STAMPS = Path(__file__).parents[2].parent / "shared" / "data" / "pairs" / "tuxpaint-stamps"
RANDOM = np.random.default_rng(11)


def photo_like(height: int, width: int) -> Pixels:
    coarse = Image.fromarray(RANDOM.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def real_pictures() -> list[Pixels]:
    """Some clip art of `shared/data`; none where that is not here."""
    pictures = []
    for path in sorted(STAMPS.rglob("*.png"))[::12]:
        with Image.open(path) as file:
            pictures.append(np.asarray(file.convert("RGBA").convert("RGB")))
    return pictures


def saved(image: Pixels, **options: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def plain(level: int) -> Pixels:
    return np.full((100, 100, 3), level, np.uint8)


def gradient() -> Pixels:
    return np.repeat(np.tile(np.arange(256, dtype=np.uint8), (256, 1))[..., None], 3, axis=2)


def vignette() -> Pixels:
    """Bright in the middle, even on all sides."""
    rows, columns = np.mgrid[0:256, 0:256]
    grey = np.clip(255 - np.hypot(rows - 128, columns - 128), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def with_line() -> Pixels:
    image = np.full((200, 200, 3), 240, np.uint8)
    image[100:102] = 0
    return image


WITHOUT_STRUCTURE = {
    "white": plain(255),
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "gradient to the right": gradient(),
    "gradient to the left": gradient()[:, ::-1].copy(),
    "gradient below": gradient().transpose(1, 0, 2).copy(),
    "vignette": vignette(),
    "line across": with_line(),
    "line down": with_line().transpose(1, 0, 2).copy(),
    "faint noise": RANDOM.integers(126, 130, (300, 300, 3)).astype(np.uint8),
}
