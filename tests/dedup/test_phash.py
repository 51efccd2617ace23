"""The perceptual hash: the same as imagehash's, and mistrusted where an image has no structure."""

import io
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dedup.phash import Pixels, _small, hash_and_information, is_informative, phash64

STAMPS = Path(__file__).parents[2].parent / "shared" / "data" / "pairs" / "tuxpaint-stamps"
RANDOM = np.random.default_rng(11)


def photo_like(height: int, width: int) -> Pixels:
    coarse = Image.fromarray(RANDOM.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def saved(image: Pixels, **options: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


def distance(left: Pixels, right: Pixels) -> int:
    return (phash64(left) ^ phash64(right)).bit_count()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 33), (64, 512), (480, 640), (333, 100)])
def test_hash_is_bit_for_bit_that_of_imagehash(size: tuple[int, int]) -> None:
    image = photo_like(*size)
    assert phash64(image) == int(str(imagehash.phash(Image.fromarray(image))), 16)
    assert 0 <= phash64(image) < 2**64


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_shrinking_is_to_the_bit_what_pillow_does(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    grey = random.choice(np.array([0, 1, 127, 254, 255], np.uint8), (height, width))
    expected = Image.fromarray(grey).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(_small(grey), np.asarray(expected))


def test_hash_of_real_pictures_is_that_of_imagehash() -> None:
    paths = sorted(STAMPS.rglob("*.png"))[::12]
    if not paths:
        pytest.skip("shared/data is not here")
    for path in paths:
        with Image.open(path) as file:
            image = np.asarray(file.convert("RGBA").convert("RGB"))
        assert phash64(image) == int(str(imagehash.phash(Image.fromarray(image))), 16)
        assert hash_and_information(image) == (phash64(image), is_informative(image))


def test_smaller_and_coarser_copies_lie_near_and_other_pictures_far() -> None:
    image = photo_like(480, 640)
    small = np.asarray(Image.fromarray(image).resize((200, 150), Image.Resampling.BICUBIC))
    assert distance(image, saved(small, quality=40)) <= 4
    assert distance(image, photo_like(480, 640)) > 12


def gradient() -> Pixels:
    return np.repeat(np.tile(np.arange(256, dtype=np.uint8), (256, 1))[..., None], 3, axis=2)


def with_line() -> Pixels:
    image = np.full((200, 200, 3), 240, np.uint8)
    image[100:102] = 0
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((100, 100, 3), 255, np.uint8), False),
        (np.zeros((1, 1, 3), np.uint8), False),
        (gradient(), False),
        (gradient().transpose(1, 0, 2).copy(), False),
        (with_line(), False),
        (RANDOM.integers(126, 130, (300, 300, 3)).astype(np.uint8), False),
        (photo_like(300, 400), True),
        (photo_like(64, 64), True),
    ],
)
def test_images_without_structure_are_told_apart(image: Pixels, expected: bool) -> None:
    assert is_informative(image) is expected
    assert is_informative(saved(image, quality=60)) is expected
