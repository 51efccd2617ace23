"""The perceptual hash: the same as imagehash's, and mistrusted where an image has no structure."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from dedup.phash import hash_and_information, is_informative, phash64
from dedup.shrinking import Pixels
from tests.dedup.pictures import WITHOUT_STRUCTURE, photo_like, real_pictures, saved


def distance(left: Pixels, right: Pixels) -> int:
    return (phash64(left) ^ phash64(right)).bit_count()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 33), (64, 512), (480, 640), (333, 100)])
def test_hash_is_bit_for_bit_that_of_imagehash(size: tuple[int, int]) -> None:
    image = photo_like(*size)
    assert phash64(image) == int(str(imagehash.phash(Image.fromarray(image))), 16)
    assert 0 <= phash64(image) < 2**64


def test_hash_of_real_pictures_is_that_of_imagehash() -> None:
    images = real_pictures()
    if not images:
        pytest.skip("shared/data is not here")
    for image in images:
        assert phash64(image) == int(str(imagehash.phash(Image.fromarray(image))), 16)
        assert hash_and_information(image) == (phash64(image), is_informative(image))


def test_smaller_and_coarser_copies_lie_near_and_other_pictures_far() -> None:
    image = photo_like(480, 640)
    small = np.asarray(Image.fromarray(image).resize((200, 150), Image.Resampling.BICUBIC))
    assert distance(image, saved(small, quality=40)) <= 4
    assert distance(image, photo_like(480, 640)) > 12


@pytest.mark.parametrize("image", WITHOUT_STRUCTURE.values(), ids=WITHOUT_STRUCTURE.keys())
def test_images_without_structure_are_mistrusted(image: Pixels) -> None:
    assert is_informative(image) is False
    assert is_informative(saved(image, quality=60)) is False


@pytest.mark.parametrize("size", [(300, 400), (64, 64)])
def test_pictures_with_structure_are_trusted(size: tuple[int, int]) -> None:
    image = photo_like(*size)
    assert is_informative(image) is True
    assert is_informative(saved(image, quality=60)) is True
