"""Pictures to train and judge the demo's scorer with: new crops of the photographs, re-encoded, and junk images."""

import io
from typing import TYPE_CHECKING

import numpy as np

from pipelines.demo.photos import load_photo

if TYPE_CHECKING:
    from PIL import Image

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
"""uint8 [height, width, 3], sRGB: what a decoded stored copy is."""

_MIN_CROP_SHARE = 0.6


def crop_of(name: str, rng: np.random.Generator) -> Pixels:
    """A random part, at least 0.6 of each side, toned, resized and encoded as a web image would be."""
    photo = load_photo(name)
    part = _random_part(photo, rng)
    side_px = int(rng.integers(160, 420))
    scale = side_px / min(part.size)
    part = part.resize((max(1, round(part.width * scale)), max(1, round(part.height * scale))))
    toned = np.asarray(part, dtype=np.float32) * rng.uniform(0.85, 1.15) + rng.uniform(-12, 12)
    return _through_jpeg(np.clip(toned, 0, 255).astype(np.uint8), quality=int(rng.integers(45, 96)))


def junk_image(rng: np.random.Generator) -> Pixels:
    """A placeholder as sites serve it: a flat colour, a gradient, blocks, a spinner, text-like bars, or noise."""
    width, height = (int(side) for side in rng.integers(80, 260, size=2))
    makers = (_flat, _gradient, _blocks, _spinner, _bars, _noise)
    return makers[int(rng.integers(len(makers)))](width, height, rng)


def _random_part(photo: "Image.Image", rng: np.random.Generator) -> "Image.Image":
    width, height = (round(side * rng.uniform(_MIN_CROP_SHARE, 1.0)) for side in photo.size)
    left = int(rng.integers(0, photo.width - width + 1))
    top = int(rng.integers(0, photo.height - height + 1))
    return photo.crop((left, top, left + width, top + height))


def _through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    from PIL import Image

    wire = io.BytesIO()
    Image.fromarray(pixels).save(wire, format="JPEG", quality=quality)
    with Image.open(wire, formats=("JPEG",)) as picture:
        return np.asarray(picture.convert("RGB"))


def _colour(rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    grey = rng.uniform(0, 255)
    return np.full(3, grey) if rng.random() < 0.5 else rng.uniform(0, 255, size=3)


def _flat(width: int, height: int, rng: np.random.Generator) -> Pixels:
    return np.broadcast_to(_colour(rng), (height, width, 3)).astype(np.uint8)


def _gradient(width: int, height: int, rng: np.random.Generator) -> Pixels:
    share = np.linspace(0, 1, width)[None, :, None] * np.ones((height, 1, 1))
    return (_colour(rng) * (1 - share) + _colour(rng) * share).astype(np.uint8)


def _blocks(width: int, height: int, rng: np.random.Generator) -> Pixels:
    pixels = np.array(_flat(width, height, rng))
    for _ in range(int(rng.integers(1, 6))):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        pixels[top : top + height // 2, left : left + width // 2] = _colour(rng)
    return pixels


def _spinner(width: int, height: int, rng: np.random.Generator) -> Pixels:
    pixels = np.array(_flat(width, height, rng))
    y, x = np.mgrid[0:height, 0:width]
    away = np.hypot(x - width / 2, y - height / 2)
    outer = min(width, height) * rng.uniform(0.15, 0.45)
    pixels[(away < outer) & (away > outer * 0.7)] = _colour(rng)
    return pixels


def _bars(width: int, height: int, rng: np.random.Generator) -> Pixels:
    pixels = np.array(_flat(width, height, rng))
    ink, line_px = _colour(rng), int(rng.integers(8, 20))
    for top in range(line_px, height - line_px, 2 * line_px):
        pixels[top : top + line_px, width // 8 : int(width * rng.uniform(0.3, 0.9))] = ink
    return pixels


def _noise(width: int, height: int, rng: np.random.Generator) -> Pixels:
    coarse = rng.integers(0, 256, size=(height // 8 + 1, width // 8 + 1, 3))
    return np.repeat(np.repeat(coarse, 8, axis=0), 8, axis=1)[:height, :width].astype(np.uint8)
