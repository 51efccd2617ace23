"""A made-up collection of web images from real photographs: the same bytes of image `i` wherever it is made.

    python infra/bench/image_corpus.py FOLDER --count 10000        about 0.1 CPU-s an image; goes on where it stopped

Of 100: 3 are missing, 1 is broken, 1 is served slowly, 10 are near duplicates of earlier ones. Longer sides are
log-normal around 1080 px. 82 % are JPEG (quality 76-96, a fifth progressive), 10 % PNG, 8 % WebP. The photographs are
those of the demo and, where Debian's packages can be downloaded, wallpapers (unpacked, not installed).
"""

import argparse
import io
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SEED = 20261122
WALLPAPER_PACKAGES = (
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "mate-backgrounds",
    "ukui-wallpapers",
    "plasma-workspace-wallpapers",
)
GOOD_KINDS = frozenset({"ok", "dup", "slow"})
"""Kinds that a downloader ought to keep."""

_FOLDERS = {"404": "gone", "corrupt": "bad", "slow": "slow"}
_PHOTO_SIDE_PX = 2400
_MIN_PHOTO_BYTES = 150_000
_ASPECTS = (4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4, 2 / 3, 9 / 16, 2.35, 1.25)
_ASPECT_SHARES = (0.24, 0.2, 0.12, 0.16, 0.1, 0.08, 0.04, 0.02, 0.04)
_ERROR_PAGE = "<!DOCTYPE html><html><head><title>404</title></head><body>页面不存在</body></html>".encode()
_NO_DUPLICATES_BEFORE = 50


@dataclass(frozen=True)
class CorpusImage:
    """What image `id` is: its kind, the image it derives from, its format and its path on the server."""

    id: int
    kind: str
    root: int
    ext: str
    path: str


def corpus_image(number: int) -> CorpusImage:
    """What image `number` is, without making it."""
    kind, _ = _kind(number)
    extension = _extension(number, kind)
    path = f"{_FOLDERS.get(kind, 'img')}/{number % 100:02d}/{number:07d}.{extension}"
    return CorpusImage(number, kind, _root(number), extension, path)


def make_corpus(folder: Path, count: int, with_wallpapers: bool = True) -> list[CorpusImage]:
    """Images 0 to `count` - 1 under `folder/www`, made where they are missing, and `folder/truth.parquet`."""
    images = [corpus_image(number) for number in range(count)]
    missing = [image for image in images if image.kind != "404" and not (folder / "www" / image.path).exists()]
    if missing:
        photos = gather_photos(folder / "photos", with_wallpapers)
        _say(f"making {len(missing)} images from {len(photos)} photographs")
        by_photo: dict[int, list[CorpusImage]] = defaultdict(list)
        for image in missing:
            by_photo[_photo_of(image.root, len(photos))].append(image)
        work = [(photos[place], folder / "www", some) for place, some in sorted(by_photo.items())]
        with multiprocessing.get_context("spawn").Pool() as pool:
            for _ in pool.imap_unordered(_make_images, work):
                pass
    table = pa.Table.from_pylist([asdict(image) for image in images])
    pq.write_table(table, folder / "truth.parquet")
    return images


def read_corpus(folder: Path, count: int) -> list[CorpusImage]:
    """The first images of a corpus that was made before, by this file or by another of the same form."""
    rows = pq.read_table(folder / "truth.parquet", columns=["id", "kind", "root", "ext", "path"]).slice(0, count)
    return [CorpusImage(**row) for row in rows.to_pylist()]


def gather_photos(folder: Path, with_wallpapers: bool = True) -> list[Path]:
    """The photographs, at most 2400 px, in an order that does not depend on the machine; brought once, in a minute."""
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            wallpapers = _wallpapers(Path(scratch)) if with_wallpapers else []
            for source in [*wallpapers, *_packaged_photos(Path(scratch))]:
                _shrink(source, folder / f"{source.parent.name}-{source.stem}.png")
        (folder / "complete").touch()
    return sorted(folder.glob("*.png"))


def _wallpapers(scratch: Path) -> list[Path]:
    """Debian's wallpapers of some size. None where apt cannot bring them: the corpus is then made of fewer pictures."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return []
    brought = subprocess.run(
        ["apt-get", "download", *WALLPAPER_PACKAGES], cwd=scratch, capture_output=True, check=False
    )
    if brought.returncode:
        _say("apt-get cannot bring the wallpapers: the corpus is made of the photographs of installed packages alone")
        return []
    for package in sorted(scratch.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package, scratch / "unpacked"], check=True)
    files = sorted(path for path in (scratch / "unpacked").rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    pictures = [path for path in files if path.is_file() and not path.is_symlink() and "screenshot" not in path.name]
    return [path for path in pictures if path.stat().st_size > _MIN_PHOTO_BYTES]


def _packaged_photos(scratch: Path) -> list[Path]:
    from pipelines.demo.photos import NAMES, load_photo

    paths = []
    for name in NAMES:
        path = scratch / "packaged" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        load_photo(name).save(path)
        paths.append(path)
    return paths


def _shrink(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source, formats=("JPEG", "PNG")) as picture:
        picture.draft("RGB", (_PHOTO_SIDE_PX, _PHOTO_SIDE_PX))
        photo = picture.convert("RGB")
    photo.thumbnail((_PHOTO_SIDE_PX, _PHOTO_SIDE_PX))
    photo.save(target, compress_level=1)


def _make_images(work: tuple[Path, Path, list[CorpusImage]]) -> None:
    """All wanted images of one photograph."""
    from PIL import Image

    photo_path, www, images = work
    with Image.open(photo_path) as opened:
        photo = opened.convert("RGB")
    for image in images:
        target = www / image.path
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_suffix(".new")
        beside.write_bytes(_bytes_of(image, photo))
        beside.replace(target)


def _bytes_of(image: CorpusImage, photo: "PillowImage") -> bytes:
    picture = _view(photo, _random(image.root, "view"))
    random = _random(image.id, "bytes")
    if image.kind == "dup":
        picture = _nearly(picture, random)
    data = _encoded(picture, image.ext, random)
    return _broken(data, random) if image.kind == "corrupt" else data


def _view(photo: "PillowImage", random: np.random.Generator) -> "PillowImage":
    """A crop of the photograph, at its own size and tone, with a little noise in most."""
    from PIL import Image, ImageOps

    longest = int(np.clip(np.exp(random.normal(np.log(1080), 0.5)), 150, 2000))
    aspect = float(random.choice(_ASPECTS, p=_ASPECT_SHARES))
    width, height = (longest, int(longest / aspect)) if aspect >= 1 else (int(longest * aspect), longest)
    width, height = max(64, width), max(64, height)
    scale = min(photo.width / width, photo.height / height) * random.uniform(0.3, 1.0)
    left = random.uniform(0, photo.width - width * scale)
    top = random.uniform(0, photo.height - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    view = photo.resize((width, height), Image.Resampling.BICUBIC, box=box)
    if random.random() < 0.5:
        view = ImageOps.mirror(view)
    levels = 255 * (np.arange(256) / 255) ** random.uniform(0.7, 1.4)
    gains, lifts = random.uniform(0.85, 1.15, 3), random.uniform(-12, 12, 3)
    tones = np.clip(levels[None, :] * gains[:, None] + lifts[:, None], 0, 255).astype(np.uint8)
    view = view.point(tones.ravel().tolist())
    if random.random() < 0.6:
        noise = random.standard_normal((height, width), np.float32) * random.uniform(1, 4)
        noisy = np.asarray(view, np.int16) + noise.astype(np.int16)[..., None]
        view = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    return view


def _nearly(picture: "PillowImage", random: np.random.Generator) -> "PillowImage":
    """A near duplicate: most are smaller, one in five has a mark in its corner."""
    from PIL import Image

    if random.random() < 0.7:
        scale = random.uniform(0.45, 0.95)
        size = max(32, round(picture.width * scale)), max(32, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BOX)
    if random.random() < 0.2:
        box = picture.width - picture.width // 6, picture.height - picture.height // 14, picture.width, picture.height
        corner = picture.crop(box).point(lambda value: int(value * 0.6) + 90)
        picture.paste(corner, box)
    return picture


def _encoded(picture: "PillowImage", extension: str, random: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    if extension == "jpg":
        quality, is_progressive = int(random.integers(76, 97)), bool(random.random() < 0.2)
        sampling = "4:4:4" if random.random() < 0.12 else "4:2:0"
        picture.save(
            buffer,
            "JPEG",
            quality=quality,
            progressive=is_progressive,
            optimize=bool(random.random() < 0.3),
            subsampling=sampling,
        )
    elif extension == "png":  # the web's PNGs are mostly smaller pictures, a third with an alpha channel
        picture.thumbnail((640, 640))
        if random.random() < 0.3:
            picture = picture.convert("RGBA")
        picture.save(buffer, "PNG", compress_level=6)
    else:
        picture.save(buffer, "WEBP", quality=int(random.integers(70, 92)))
    return buffer.getvalue()


def _broken(data: bytes, random: np.random.Generator) -> bytes:
    """Cut short, an error page under status 200, noise, or nothing."""
    draw = random.random()
    if draw < 0.4:
        return data[: int(len(data) * random.uniform(0.05, 0.5))]
    if draw < 0.7:
        return _ERROR_PAGE
    return random.bytes(4096) if draw < 0.9 else b""


def _kind(number: int) -> tuple[str, int | None]:
    random = _random(number, "kind")
    draw = random.random()
    for kind, below in (("404", 0.03), ("corrupt", 0.04), ("slow", 0.05)):
        if draw < below:
            return kind, None
    if draw < 0.15 and number > _NO_DUPLICATES_BEFORE:
        return "dup", int(random.integers(0, number))
    return "ok", None


def _root(number: int) -> int:
    """The image that a near duplicate comes from in the end; another image itself."""
    kind, parent = _kind(number)
    while kind == "dup" and parent is not None:
        number = parent
        kind, parent = _kind(number)
    return number


def _extension(number: int, kind: str) -> str:
    draw = _random(number, "format").random()
    if kind == "404" or draw < (0.9 if kind == "dup" else 0.82):
        return "jpg"
    return "png" if draw < 0.92 else "webp"


def _photo_of(root: int, num_photos: int) -> int:
    return int(_random(root, "photo").integers(0, num_photos))


_SALTS = ("kind", "format", "photo", "view", "bytes")


def _random(number: int, salt: str) -> np.random.Generator:
    return np.random.default_rng([SEED, number, _SALTS.index(salt)])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    arguments = parser.parse_args()
    make_corpus(arguments.folder, arguments.count)
