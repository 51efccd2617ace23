"""Measures of images: of the original as fetch recorded it, and of the pixels of the stored copy."""

import functools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.measures import compute_function, measures_of

Rgb = npt.NDArray[np.uint8]

_SIGNIFICANT_DIGITS = 6
_LEVELS = np.arange(256, dtype=np.int64)
_GREY_TOLERANCE, _GREY_EXCEPTIONS = 16, 0.001
_PLAIN_RANGE = 12
"""Levels within which a line counts as plain: twice the most that JPEG left in photographs' white borders (q 60-92)."""

_FLAT_RANGE = 2
"""What JPEG's quality 92 leaves of change in its own squares of 8 px that were plain."""


class Pixels:
    """A decoded image, `uint8 [height, width, 3]` in sRGB; what several measures rest on is worked out once."""

    def __init__(self, rgb: Rgb) -> None:
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
            raise ValueError(f"expected uint8 [height, width, 3] with pixels, got {rgb.dtype} {list(rgb.shape)}")
        self.rgb = rgb

    @functools.cached_property
    def levels(self) -> npt.NDArray[np.uint8]:
        """Red, green and blue of one pixel after the other: `uint8 [height x width x 3]`."""
        return self.rgb.reshape(-1)

    @functools.cached_property
    def grey(self) -> npt.NDArray[np.uint8]:
        """ITU-R BT.601 luma in whole levels, `uint8 [height, width]`."""
        from filters import pixel_kernels  # the compiler takes most of a second to load

        return pixel_kernels.grey_of(self.levels).reshape(self.rgb.shape[:2])

    @functools.cached_property
    def turned_grey(self) -> npt.NDArray[np.uint8]:
        """Grey on its side, `uint8 [width, height]`: columns are taken much faster as rows."""
        from shards import turning_kernels

        return turning_kernels.turned(self.grey)

    @functools.cached_property
    def histogram(self) -> npt.NDArray[np.int64]:
        from filters import pixel_kernels

        return pixel_kernels.histogram_of(self.grey.ravel())

    @functools.cached_property
    def colour_sums(self) -> tuple[int, int, int, int, int]:
        """Sum and sum of squares of R - G, then of R + G - 2 B; and how many pixels are no grey."""
        from filters import colour_kernels

        return colour_kernels.colour_sums(self.levels, _GREY_TOLERANCE)

    @functools.cached_property
    def colour_counts(self) -> npt.NDArray[np.int64]:
        """How many pixels have each colour of 4 bits a channel: `int64 [4096]`."""
        from filters import colour_kernels

        return colour_kernels.colour_counts(self.levels)

    @functools.cached_property
    def flat_squares(self) -> npt.NDArray[np.bool_]:
        """Which squares of 8 px span at most 2 levels of grey: `bool [rows, columns]`."""
        from filters import drawn_kernels

        return drawn_kernels.flat_squares(self.grey, _FLAT_RANGE)

    @functools.cached_property
    def grey_moments(self) -> tuple[int, int]:
        """Sum and sum of squares of grey."""
        return int(self.histogram @ _LEVELS), int(self.histogram @ (_LEVELS * _LEVELS))


def image_measures(pixels: Pixels, names: Iterable[str]) -> dict[str, float | bool]:
    """The named measures of one stored copy. Floats have 6 significant digits; none is NaN or infinite."""
    return {name: compute_function(name)(pixels) for name in names}


def fetched_measures(fetched: pa.Table, names: Iterable[str]) -> dict[str, pa.Array]:
    """The named measures of originals, from a table with FETCHED columns; null where the size is."""
    return {name: compute_function(name)(fetched) for name in measures_of(names, "fetch", "image")}


def min_side(fetched: pa.Table) -> pa.Array:
    return pc.min_element_wise(fetched["original_width"], fetched["original_height"], skip_nulls=False)


def max_side(fetched: pa.Table) -> pa.Array:
    return pc.max_element_wise(fetched["original_width"], fetched["original_height"], skip_nulls=False)


def aspect(fetched: pa.Table) -> pa.Array:
    return _quotient(max_side(fetched), min_side(fetched))


def bytes_per_pixel(fetched: pa.Table) -> pa.Array:
    width, height = (fetched[f"original_{side}"].cast(pa.int64()) for side in ("width", "height"))
    return _quotient(fetched["bytes"], pc.multiply(width, height))


def sharpness(pixels: Pixels) -> float:
    """Variance of the four-neighbour Laplacian of grey; 0.0 for an image under 3 px."""
    from filters import pixel_kernels

    height, width = pixels.grey.shape
    if min(height, width) < 3:
        return 0.0
    return rounded(_variance(*pixel_kernels.laplacian_moments(pixels.grey), (height - 2) * (width - 2)))


def brightness(pixels: Pixels) -> float:
    return rounded(pixels.grey_moments[0] / pixels.grey.size / 255)


def contrast(pixels: Pixels) -> float:
    return rounded(_variance(*pixels.grey_moments, pixels.grey.size) ** 0.5 / 255)


def entropy(pixels: Pixels) -> float:
    """Bits of the histogram of grey: 0.0 for one level, 8.0 where all 256 are as frequent."""
    shares = pixels.histogram[pixels.histogram > 0] / pixels.grey.size
    return rounded(max(0.0, -float(np.sum(shares * np.log2(shares)))))


def colorfulness(pixels: Pixels) -> float:
    """Hasler and Suesstrunk 2003, equation for natural images: spread and mean of the opponent colours."""
    total, squares, total_blue, squares_blue, _ = pixels.colour_sums  # twice the second opponent: whole numbers
    size = pixels.grey.size
    spread = (_variance(total, squares, size) + _variance(total_blue, squares_blue, size) / 4) ** 0.5
    return rounded(spread + 0.3 * ((total / size) ** 2 + (total_blue / size / 2) ** 2) ** 0.5)


def is_grayscale(pixels: Pixels) -> bool:
    """Whether hardly a pixel has channels further apart than JPEG's colour noise."""
    return pixels.colour_sums[-1] <= _GREY_EXCEPTIONS * pixels.grey.size


def border_share(pixels: Pixels) -> float:
    """Share of the area in plain rows and columns at the four edges; 1.0 for a plain image."""
    from filters import pixel_kernels

    height, width = pixels.grey.shape
    top, bottom = pixel_kernels.plain_margins(pixels.grey, 0, width, _PLAIN_RANGE)
    if top == height:
        return 1.0
    left, right = pixel_kernels.plain_margins(pixels.turned_grey, top, height - bottom, _PLAIN_RANGE)
    inner = (height - top - bottom) * (width - left - right)
    return rounded(1 - inner / (height * width))


def _variance(total: int, squares: int, size: int) -> float:
    """Population variance from exact sums."""
    return (squares * size - total * total) / (size * size)


def rounded(value: float) -> float:
    """To the digits that measures of pixels are stored with."""
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def _quotient(above: pa.ChunkedArray, below: pa.ChunkedArray) -> pa.ChunkedArray:
    """float64, null where either is null or the divisor is 0."""
    divisor = below.cast(pa.float64())
    safe = pc.if_else(pc.equal(divisor, 0.0), pa.scalar(None, pa.float64()), divisor)
    return pc.divide(above.cast(pa.float64()), safe)
