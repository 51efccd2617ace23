"""What an image hash finds: altered copies within each distance, and unlike pictures that it takes for alike.

    python infra/bench/hash_robustness.py --data SHARED/data            2 minutes
    python infra/bench/hash_robustness.py --data SHARED/data --quick    a tenth of the photographs, under 50 s
    python infra/bench/hash_robustness.py --data SHARED/data --hash dhash

Every photograph is altered as the web alters pictures, and original and copy go the whole way: decoded, stored (default
recipe: 512 px, JPEG), decoded again, hashed. Nothing is timed here.
"""

import argparse
import io
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from dedup.hashes import HASHES
from shards.image_settings import ImageSettings
from shards.images import Refusal, decode_stored, read_image, stored_copy

PHOTOS = ("sites/howtocook-a/**/*.jp*g", "sites/howtocook-a/**/*.png", "sites/howtocook-a/**/*.webp")
UNLIKE = {
    "photographs": PHOTOS,
    "emoji": ("pairs/emoji-twitter-64/**/*.png",),
    "stamps": ("pairs/tuxpaint-stamps/**/*.png",),
}
DISTANCES = (0, 2, 4, 6, 8, 10, 12, 16)

Alter = Callable[[Image.Image], Image.Image]
Hashed = tuple[int, bool]


@dataclass(frozen=True)
class Alteration:
    """One way in which copies differ."""

    name: str
    alter: Alter = lambda image: image
    kind: str = "JPEG"
    quality: int = 90

    def copy(self, photo: Image.Image) -> bytes:
        buffer = io.BytesIO()
        self.alter(photo).save(buffer, self.kind, quality=self.quality)
        return buffer.getvalue()


def _resized(factor: float) -> Alter:
    return lambda image: image.resize(
        (max(8, round(image.width * factor)), max(8, round(image.height * factor))), Image.Resampling.BICUBIC
    )


def _cropped(share: float) -> Alter:
    """The same share off each side."""
    return lambda image: image.crop(
        (
            round(image.width * share),
            round(image.height * share),
            round(image.width * (1 - share)),
            round(image.height * (1 - share)),
        )
    )


def _cropped_below(share: float) -> Alter:
    return lambda image: image.crop((0, 0, image.width, round(image.height * (1 - share))))


def _marked(image: Image.Image) -> Image.Image:
    """A watermark: half-clear text over the lower right corner, a quarter of the width."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    size = image.width / 12
    draw = ImageDraw.Draw(layer)
    draw.text((image.width * 0.72, image.height - 1.6 * size), "watermark", fill=(255, 255, 255, 140), font_size=size)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _bordered(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, round(0.03 * min(image.size)), "white")


ALTERATIONS = (
    *(Alteration(f"JPEG, quality {quality}", quality=quality) for quality in (95, 75, 50)),
    Alteration("WebP, quality 75", kind="WEBP", quality=75),
    *(Alteration(f"resized to {factor:g}", _resized(factor)) for factor in (0.5, 0.75, 1.5, 2.0)),
    *(Alteration(f"{share:.0%} cropped off each side", _cropped(share)) for share in (0.01, 0.02, 0.05, 0.1)),
    Alteration("5% cropped off below", _cropped_below(0.05)),
    Alteration("brighter by 20%", lambda image: ImageEnhance.Brightness(image).enhance(1.2)),
    Alteration("more contrast by 20%", lambda image: ImageEnhance.Contrast(image).enhance(1.2)),
    Alteration("more colour by 30%", lambda image: ImageEnhance.Color(image).enhance(1.3)),
    Alteration("grey", lambda image: ImageOps.grayscale(image).convert("RGB")),
    Alteration("a watermark in a corner", _marked),
    Alteration("a white border of 3%", _bordered),
    Alteration("turned by 2 degrees", lambda image: image.rotate(2, Image.Resampling.BICUBIC)),
    Alteration("mirrored", ImageOps.mirror),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with sites/ and pairs/")
    parser.add_argument("--hash", choices=HASHES, default="phash")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    every = 10 if arguments.quick else 1
    with ProcessPoolExecutor() as pool:
        photos = _files(arguments.data, PHOTOS)[::every]
        distances = [found for found in pool.map(partial(_distances, name=arguments.hash), photos) if found]
        hashed_file = partial(_hashed_file, name=arguments.hash)
        unlike = {
            name: _merges([found for found in pool.map(hashed_file, _files(arguments.data, patterns)) if found])
            for name, patterns in UNLIKE.items()
        }
    caught = {
        alteration.name: {
            str(limit): round(float(np.mean([found[place] <= limit for found in distances])), 3) for limit in DISTANCES
        }
        for place, alteration in enumerate(ALTERATIONS)
    }
    result = {"name": "hash_robustness", "machine": machine(), "hash": arguments.hash, "photographs": len(distances)}
    print(json.dumps(result | {"caught": caught, "unlike": unlike}))


def _files(data: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = sorted(path for pattern in patterns for path in data.glob(pattern))
    if not found:
        raise SystemExit(f"there is nothing like {patterns[0]} below {data}")
    return found


def _distances(path: Path, name: str) -> list[int] | None:
    """How far each altered copy lies from the photograph; None for what is no photograph that can be hashed."""
    original = _hashed_file(path, name)
    if original is None or not original[1]:
        return None
    with Image.open(path) as opened:
        photo = ImageOps.exif_transpose(opened).convert("RGB")
    copies = [_hashed(alteration.copy(photo), name) for alteration in ALTERATIONS]
    return [(original[0] ^ copy[0]).bit_count() if copy is not None else 64 for copy in copies]


def _hashed_file(path: Path, name: str) -> Hashed | None:
    return _hashed(path.read_bytes(), name)


def _hashed(data: bytes, name: str) -> Hashed | None:
    """The hash of what would be stored, and whether it can be trusted; None for what is refused."""
    settings = ImageSettings()
    decoded = read_image(data, settings)
    if isinstance(decoded, Refusal):
        return None
    stored, *_ = stored_copy(data, decoded, settings)
    return HASHES[name](decode_stored(stored))


def _merges(hashed: list[Hashed]) -> dict[str, Any]:
    """Among unlike pictures: how many have a hash that is trusted, and pairs of these within each distance."""
    hashes = np.array([value for value, is_trusted in hashed if is_trusted], np.uint64)
    one, other = np.triu_indices(len(hashes), k=1)
    apart = np.bitwise_count(hashes[one] ^ hashes[other])
    within = {str(limit): int((apart <= limit).sum()) for limit in DISTANCES}
    return {"pictures": len(hashed), "trusted": len(hashes), "pairs": len(apart), "pairs_within": within}


if __name__ == "__main__":
    main()
