"""The difference hash: the same as imagehash's, and mistrusted where an image has no structure."""

import imagehash
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from dedup.dhash import dhash64, hash_and_information, is_informative
from dedup.hashes import HASHES, trust_column
from dedup.shrinking import Pixels
from tests.dedup.pictures import WITHOUT_STRUCTURE, gradient, photo_like, plain, real_pictures, saved, vignette


def expected_hash(image: Pixels) -> int:
    return int(str(imagehash.dhash(Image.fromarray(image))), 16)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600), st.sampled_from([1, 3]), st.integers(0, 2**32 - 1))
@example(1, 1, 3, 0)
@example(8, 9, 3, 0)
@example(9, 8, 1, 0)
@example(1, 600, 3, 0)
@example(600, 1, 3, 0)
def test_hash_is_bit_for_bit_that_of_imagehash(height: int, width: int, channels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    image = np.squeeze(random.integers(0, 256, (height, width, channels), np.uint8), axis=2 if channels == 1 else ())
    assert dhash64(image) == expected_hash(image)
    assert 0 <= dhash64(image) < 2**64


@pytest.mark.parametrize("size", [(1, 1), (8, 9), (7, 31), (512, 64), (64, 512), (480, 640), (333, 100)])
def test_hash_of_smooth_pictures_is_that_of_imagehash(size: tuple[int, int]) -> None:
    image = photo_like(*size)
    grey = np.asarray(Image.fromarray(image).convert("L"))
    assert dhash64(image) == dhash64(grey) == expected_hash(image) == expected_hash(grey)


@pytest.mark.parametrize("image", WITHOUT_STRUCTURE.values(), ids=WITHOUT_STRUCTURE.keys())
def test_hash_of_plain_images_is_that_of_imagehash(image: Pixels) -> None:
    assert dhash64(image) == expected_hash(image)


def test_hash_of_real_pictures_is_that_of_imagehash() -> None:
    images = real_pictures()
    if not images:
        pytest.skip("shared/data is not here")
    for image in images:
        assert dhash64(image) == expected_hash(image)
        assert hash_and_information(image) == (dhash64(image), is_informative(image))
    trusted = [dhash64(image) for image in images if is_informative(image)]
    assert len(trusted) >= 0.9 * len(images)
    assert all(8 <= value.bit_count() <= 56 for value in trusted)  # far from plain areas and gradients


def test_smaller_and_coarser_copies_lie_near_and_other_pictures_far() -> None:
    image = photo_like(480, 640)
    small = np.asarray(Image.fromarray(image).resize((200, 150), Image.Resampling.BICUBIC))
    assert (dhash64(image) ^ dhash64(saved(small, quality=40))).bit_count() <= 4
    assert (dhash64(image) ^ dhash64(photo_like(480, 640))).bit_count() > 12


@pytest.mark.parametrize("image", WITHOUT_STRUCTURE.values(), ids=WITHOUT_STRUCTURE.keys())
def test_images_without_structure_are_mistrusted(image: Pixels) -> None:
    assert is_informative(image) is False
    assert is_informative(saved(image, quality=60)) is False


@pytest.mark.parametrize("size", [(300, 400), (64, 64), (9, 8)])
def test_pictures_with_structure_are_trusted(size: tuple[int, int]) -> None:
    image = photo_like(*size)
    assert is_informative(image) is True
    assert is_informative(saved(image, quality=60)) is True


def test_unlike_plain_images_share_a_hash_which_is_why_they_are_mistrusted() -> None:
    below = gradient().transpose(1, 0, 2)
    assert {dhash64(plain(level)) for level in (0, 128, 255)} == {dhash64(below)} == {0}
    assert dhash64(gradient()) == dhash64(gradient() // 2 + 100) == 2**64 - 1
    assert dhash64(vignette()) == dhash64(vignette() // 2)


def test_every_hash_has_a_column_for_its_trust() -> None:
    image = photo_like(40, 60)
    assert HASHES["dhash"](image) == hash_and_information(image)
    assert [trust_column(name) for name in HASHES] == ["phash_is_informative", "dhash_is_informative"]
