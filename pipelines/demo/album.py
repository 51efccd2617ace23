"""The image files of the demo site: parts of the photographs, re-encodings of them, and every kind of bad file."""

import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.demo.photos import NAMES, load_photo

if TYPE_CHECKING:
    from PIL import Image

    Picture = Image.Image

_MAX_ASPECT = 2.2
_SUFFIX = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}


class Album:
    """Writes image files below `folder`/img and answers with their paths as pages name them: `img/cat-1.jpg`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "img").mkdir(parents=True, exist_ok=True)

    def view(self, name: str, number: int) -> str:
        """The `number`th view of a photograph: a part of its own, 240 to 420 px on its shorter side, as JPEG."""
        return self._save(_view(name, number), f"{name}-{number}", "JPEG", quality=90)

    def copy_of(self, name: str, number: int, how: str) -> str:
        """The same view once more as other sites would carry it: `small`, `coarse`, `png` or `webp`."""
        picture = _view(name, number)
        stem = f"{name}-{number}-{how}"
        if how == "small":
            size = (round(picture.width * 0.85), round(picture.height * 0.85))
            return self._save(picture.resize(size), stem, "JPEG", quality=88)
        if how == "coarse":
            return self._save(picture, stem, "JPEG", quality=55)
        return self._save(picture, stem, how.upper(), quality=85)

    def blurred(self, name: str, number: int) -> str:
        """A view out of focus."""
        from PIL import ImageFilter

        picture = _view(name, number).filter(ImageFilter.GaussianBlur(16))
        return self._save(picture, f"{name}-{number}-blurred", "JPEG", quality=90)

    def strip(self, name: str, number: int) -> str:
        """A banner: far wider than high."""
        picture = _view(name, number)
        height = picture.height // 2
        banner = picture.crop((0, height - 30, picture.width, height + 30)).resize((980, 210))
        return self._save(banner, f"banner-{name}-{number}", "JPEG", quality=88)

    def icon(self, name: str, number: int) -> str:
        """A thumbnail of 48 px."""
        return self._save(_view(name, number).resize((48, 48)), f"icon-{name}-{number}", "PNG")

    def plain(self, stem: str, grey: int) -> str:
        """One flat colour, 320 x 240."""
        from PIL import Image

        return self._save(Image.new("RGB", (320, 240), (grey, grey, grey)), stem, "PNG")

    def renamed(self, name: str, number: int, file: str) -> str:
        """A view under a camera's file name."""
        return self._write(file, _encoded(_view(name, number), "JPEG", quality=90))

    def animated(self, stem: str, names: tuple[str, str]) -> str:
        """A GIF of two frames."""
        first, second = (_view(name, 9).resize((300, 240)).quantize(64) for name in names)
        wire = io.BytesIO()
        first.save(wire, format="GIF", save_all=True, append_images=[second], duration=800, loop=0)
        return self._write(f"{stem}.gif", wire.getvalue())

    def truncated(self, name: str, number: int) -> str:
        """A JPEG file that ends in the middle of its pixels."""
        whole = _encoded(_view(name, number), "JPEG", quality=90)
        return self._write(f"{name}-{number}-truncated.jpg", whole[: len(whole) // 2])

    def pixel_bomb(self, stem: str) -> str:
        """A PNG of a few kilobytes that claims, and has, 81 million pixels."""
        side = 9000
        header = side.to_bytes(4) * 2 + bytes((1, 0, 0, 0, 0))  # one bit a pixel, grey
        rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
        chunks = (_png_chunk(b"IHDR", header), _png_chunk(b"IDAT", rows), _png_chunk(b"IEND", b""))
        return self._write(f"{stem}.png", b"\x89PNG\r\n\x1a\n" + b"".join(chunks))

    def raw(self, file: str, content: bytes) -> str:
        """A file of these very bytes, whatever its name says."""
        return self._write(file, content)

    def _save(self, picture: "Picture", stem: str, form: str, quality: int = 90) -> str:
        return self._write(f"{stem}.{_SUFFIX[form]}", _encoded(picture, form, quality))

    def _write(self, file: str, content: bytes) -> str:
        path = self._folder / "img" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"img/{file}"


def _view(name: str, number: int) -> "Picture":
    """Views differ enough not to be taken for duplicates of each other."""
    photo = load_photo(name)
    rng = np.random.default_rng((NAMES.index(name), number))
    width, height = (round(side * rng.uniform(0.68, 0.95)) for side in photo.size)
    width = min(width, round(_MAX_ASPECT * height))
    left = int(rng.integers(0, photo.width - width + 1))
    top = int(rng.integers(0, photo.height - height + 1))
    scale = int(rng.integers(240, 420)) / min(width, height)
    part = photo.crop((left, top, left + width, top + height))
    return part.resize((round(width * scale), round(height * scale)))


def _encoded(picture: "Picture", form: str, quality: int) -> bytes:
    wire = io.BytesIO()
    if form == "PNG":
        picture.save(wire, format=form)
    else:
        picture.save(wire, format=form, quality=quality)
    return wire.getvalue()


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)
