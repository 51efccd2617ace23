"""Images on their side: what numpy's transposing gives, whatever the sides."""

import numpy as np
import pytest

from shards.turning_kernels import turned


@pytest.mark.parametrize("height", [1, 7, 8, 9, 15, 16, 67])
@pytest.mark.parametrize("width", [1, 8, 33, 300])
def test_rows_take_the_place_of_columns(height: int, width: int) -> None:
    grey = np.random.default_rng(height * width).integers(0, 256, (height, width), dtype=np.uint8)
    for image in (grey, np.asfortranarray(grey), grey[:, ::-1]):
        found = turned(image)
        assert np.array_equal(found, image.T)
        assert found.flags.c_contiguous
