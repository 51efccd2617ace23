"""Exact duplicates: equal bytes, equal pixels and equal URLs come together, images without a hash of their own too."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shards.catalog import committed_files
from shards.tables import read_rows
from tests.crawler.conftest import Server, serve
from tests.pipelines.conftest import photograph, run_inline, table_recipe, write_csv

WHITE, GREY = (255, 255, 255), (128, 128, 128)


def plain(colour: tuple[int, int, int], width: int, height: int) -> bytes:
    return encoded(np.full((height, width, 3), colour, np.uint8), "PNG")


def encoded(pixels: np.ndarray[Any, Any], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def recoded(image: bytes, kind: str, **options: Any) -> bytes:
    """Other bytes of the very same pixels."""
    with Image.open(io.BytesIO(image)) as opened:
        return encoded(np.asarray(opened.convert("RGB")), kind, **options)


def lossless(image: bytes) -> bytes:
    return recoded(image, "WEBP", lossless=True, exact=True)


PHOTO, LARGE, PLAIN, PLAIN_LARGE = photograph(1), photograph(2, 800, 600), plain(WHITE, 300, 200), plain(GREY, 900, 700)
FILES = {
    "photo.png": PHOTO,
    "photo-again.png": PHOTO,
    "photo.webp": lossless(PHOTO),
    "photo-packed.png": recoded(PHOTO, "PNG", compress_level=1),
    "large.png": LARGE,
    "large.webp": lossless(LARGE),
    "white.png": PLAIN,
    "white-again.png": PLAIN,
    "white.webp": lossless(PLAIN),
    "white-wide.png": plain(WHITE, 301, 200),
    "grey.png": plain(GREY, 300, 200),
    "grey-large.png": PLAIN_LARGE,
    "grey-large.webp": lossless(PLAIN_LARGE),
}


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    server = Server()
    for name, data in FILES.items():
        server.pages[f"/{name}"] = serve(data)
    yield server
    server.close()


def grouped(shop: Server, folder: Path, **sections: Any) -> set[frozenset[str]]:
    """Names of the images that came, group by group."""
    rows = [(shop.url(f"/{name}"), f"图片{name[:5]}") for name in FILES]
    given = {"network": {"allow_private": [shop.address]}, "measures": ["dup_group"]} | sections
    run_inline(table_recipe(write_csv(folder / "t.csv", rows), None, **given), folder / "run")
    groups: dict[str, set[str]] = {}
    for path in committed_files(folder / "run", "dedup", "rows"):
        for row in read_rows(path).to_pylist():
            assert row["drop_reason"] is None
            groups.setdefault(row["dup_group"], set()).add(row["url"].rpartition("/")[2])
    return {frozenset(names) for names in groups.values()}


ALIKE = {
    frozenset({"photo.png", "photo-again.png", "photo.webp", "photo-packed.png"}),
    frozenset({"large.png", "large.webp"}),
    frozenset({"white.png", "white-again.png", "white.webp"}),
    frozenset({"white-wide.png"}),
    frozenset({"grey.png"}),
    frozenset({"grey-large.png", "grey-large.webp"}),
}


@pytest.mark.parametrize("name", ["phash", "dhash"])
@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_equal_bytes_and_equal_pixels_are_one_group_and_no_two_plain_images_else(
    tmp_path: Path, shop: Server, name: str, form: str
) -> None:
    dedup = {"hash": name, "distance": 0 if form == "png" else 4}
    assert grouped(shop, tmp_path, dedup=dedup, image={"format": form}) == ALIKE


def test_stored_as_they_came_plain_images_group_by_their_bytes_alone(tmp_path: Path, shop: Server) -> None:
    found = grouped(shop, tmp_path, image={"keep": "original"})
    split = {frozenset({"white.png", "white-again.png"}), frozenset({"white.webp"})}
    split |= {frozenset({"grey-large.png"}), frozenset({"grey-large.webp"})}
    assert found == {names for names in ALIKE if not any(part < names for part in split)} | split


def test_forms_of_one_url_are_one_sample(tmp_path: Path, shop: Server) -> None:
    forms = ["/photo.png", "/./photo.png", "/photo.png#top", "/x/../photo.png"]
    rows = [(shop.url(form), f"图片{number}") for number, form in enumerate(forms)]
    recipe = table_recipe(write_csv(tmp_path / "t.csv", rows), network={"allow_private": [shop.address]})
    run_inline(recipe, tmp_path / "run")
    (manifest,) = [read_rows(path) for path in committed_files(tmp_path / "run", "release", "manifest")][:1]
    assert manifest.num_rows == 1
    assert [text["text"] for text in manifest["texts"][0].as_py()] == [f"图片{number}" for number in range(4)]
