"""Shrinking: the very bytes of Pillow's Lanczos, which imagehash's hashes rest on."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from dedup.shrinking import grey_of, shrunk
from tests.dedup.pictures import photo_like


@pytest.mark.parametrize(("width_px", "height_px"), [(32, 32), (9, 8)])
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32 - 1))
@example(1, 1, 0)
@example(8, 9, 0)
@example(9, 8, 0)
@example(32, 32, 0)
@example(700, 1, 0)
@example(1, 700, 0)
@example(20, 15, 0)  # one pixel of height from where it lowers first
@example(21, 15, 0)
def test_shrinking_is_to_the_bit_what_pillow_does(
    width_px: int, height_px: int, height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    grey = random.choice(np.array([0, 1, 127, 254, 255], np.uint8), (height, width))
    expected = Image.fromarray(grey).resize((width_px, height_px), Image.Resampling.LANCZOS)
    assert np.array_equal(shrunk(grey, width_px, height_px), np.asarray(expected))
    turned = np.ascontiguousarray(grey.T)
    assert np.array_equal(shrunk(grey, width_px, height_px, turned), np.asarray(expected))


def test_grey_is_taken_as_it_is() -> None:
    image = photo_like(20, 30)
    grey = grey_of(image)
    assert np.array_equal(grey, np.asarray(Image.fromarray(image).convert("L")))
    assert grey_of(grey) is grey
