"""Measures of originals and of the pixels of stored copies."""

import math

import numpy as np
import pyarrow as pa
import pytest

from filters import colour_kernels, pixel_kernels
from filters.image import Pixels, Rgb, fetched_measures, image_measures
from filters.measures import MEASURES, measures_of
from filters.models.files import MODEL_MEASURES

NOT_OF_PIXELS_ALONE = {"phash", "dhash"} | MODEL_MEASURES
PIXEL_MEASURES = [name for name in measures_of(MEASURES, "measure", "image") if name not in NOT_OF_PIXELS_ALONE]


def flat(height: int, width: int, colour: tuple[int, int, int]) -> Rgb:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def chequered(height: int, width: int) -> Rgb:
    board = (np.indices((height, width)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, axis=2)


def padded(image: Rgb, top: int, bottom: int, left: int, right: int, level: int = 255) -> Rgb:
    return np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=level)


def two_by_two(level: int) -> Rgb:
    return np.array([[0, level], [level, 0]], np.uint8)[..., None].repeat(3, axis=2)


NOISE = np.random.default_rng(7).integers(0, 256, (60, 80, 3), dtype=np.uint8)
LEVELS = np.repeat(np.tile(np.arange(256, dtype=np.uint8), (4, 1))[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("sharpness", flat(9, 9, (7, 8, 9)), 0.0),
        ("sharpness", flat(2, 50, (0, 0, 0)), 0.0),
        ("sharpness", chequered(10, 10), (4 * 255) ** 2),
        ("brightness", flat(3, 3, (0, 0, 0)), 0.0),
        ("brightness", flat(3, 3, (255, 255, 255)), 1.0),
        ("brightness", flat(3, 3, (255, 0, 0)), round(76 / 255, 6)),
        ("contrast", flat(3, 3, (9, 9, 9)), 0.0),
        ("contrast", chequered(10, 10), 0.5),
        ("entropy", flat(5, 5, (1, 2, 3)), 0.0),
        ("entropy", chequered(10, 10), 1.0),
        ("entropy", LEVELS, 8.0),
        ("colorfulness", chequered(10, 10), 0.0),
        ("colorfulness", flat(4, 4, (255, 0, 0)), round(0.3 * math.hypot(255, 127.5), 4)),
        ("is_grayscale", chequered(10, 10), True),
        ("is_grayscale", flat(4, 4, (100, 110, 116)), True),
        ("is_grayscale", flat(4, 4, (100, 110, 117)), False),
        ("is_grayscale", NOISE, False),
        ("border_share", NOISE, 0.0),
        ("border_share", flat(5, 5, (1, 1, 1)), 1.0),
        ("border_share", padded(NOISE, 30, 10, 0, 0), 0.4),
        ("border_share", padded(NOISE, 0, 0, 20, 0, level=0), 0.2),
        ("border_share", padded(NOISE, 20, 20, 10, 10), 0.52),
        # Levels that span 12 are plain, 13 are not; a lone row has plain columns.
        ("border_share", two_by_two(12), 1.0),
        ("border_share", two_by_two(13), 0.0),
        ("border_share", two_by_two(13)[:1], 1.0),
    ],
)
def test_pixels_measure_what_can_be_worked_out_by_hand(name: str, image: Rgb, expected: float | bool) -> None:
    assert image_measures(Pixels(image), [name]) == {name: expected}


@pytest.mark.parametrize("image", [flat(1, 1, (3, 2, 1)), flat(1, 700, (0, 0, 0)), NOISE, NOISE[::-1, ::2], LEVELS])
def test_every_measure_is_a_plain_finite_value_of_its_type(image: Rgb) -> None:
    found = image_measures(Pixels(image), PIXEL_MEASURES)
    assert list(found) == PIXEL_MEASURES
    for name, value in found.items():
        assert pa.array([value], MEASURES[name].dtype).to_pylist() == [value]
        assert math.isfinite(value)
        if isinstance(value, float):
            assert value == float(f"{value:.6g}")


def test_blurring_lowers_sharpness() -> None:
    blurred = ((NOISE[:-1].astype(int) + NOISE[1:]) // 2).astype(np.uint8)
    assert (
        image_measures(Pixels(blurred), ["sharpness"])["sharpness"]
        < image_measures(Pixels(NOISE), ["sharpness"])["sharpness"]
    )


def test_large_images_do_not_overflow() -> None:
    image = chequered(3000, 1200)
    found = image_measures(Pixels(image), ["sharpness", "contrast"])
    assert found == {"sharpness": 1.0404e6, "contrast": 0.5}


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3))],
)
def test_anything_but_rgb_pixels_is_our_own_fault(image: Rgb) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        Pixels(image)


def test_measures_of_originals_come_from_what_fetch_recorded() -> None:
    fetched = pa.table(
        {
            "original_width": pa.array([200, 50, None, 7, 0], pa.int32()),
            "original_height": pa.array([100, 150, 9, None, 5], pa.int32()),
            "bytes": pa.array([10_000, None, 5, 5, 5], pa.int64()),
        }
    )
    found = fetched_measures(fetched, ["aspect", "max_side", "min_side", "bytes_per_pixel", "sharpness", "nothing"])
    assert {name: column.to_pylist() for name, column in found.items()} == {
        "min_side": [100, 50, None, None, 0],
        "max_side": [200, 150, None, None, 5],
        "aspect": [2.0, 3.0, None, None, None],
        "bytes_per_pixel": [0.5, None, None, None, None],
    }
    for name, column in found.items():
        assert column.type == MEASURES[name].dtype


def test_originals_of_no_rows() -> None:
    kinds = [("original_width", pa.int32()), ("original_height", pa.int32()), ("bytes", pa.int64())]
    found = fetched_measures(pa.schema(kinds).empty_table(), ["aspect", "min_side"])
    assert [len(column) for column in found.values()] == [0, 0]


# The last holds more pixels than one block of the loops, and as many as fill a count of 16 bits.
@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (3, 3), (60, 80), (257, 31), (3, 2500), (90, 3001)])
def test_compiled_loops_give_what_numpy_gives(shape: tuple[int, int]) -> None:
    rgb = np.random.default_rng(shape[0]).integers(0, 256, (*shape, 3), dtype=np.uint8)
    rgb[0, 0] = (255, 255, 255)
    red, green, blue = (rgb[..., channel].astype(np.int64) for channel in range(3))
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    opponents = red - green, red + green - 2 * blue
    spread = rgb.max(axis=2).astype(int) - rgb.min(axis=2)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    colours = (rgb.reshape(-1, 3).astype(int) >> 4) @ [256, 16, 1]
    for image in (rgb, np.asfortranarray(rgb), rgb[::-1][::-1]):
        levels = Pixels(image).levels
        assert np.array_equal(pixel_kernels.grey_of(levels), grey.ravel())
        moments = [int(f) for values in opponents for f in (values.sum(), (values * values).sum())]
        assert list(colour_kernels.colour_sums(levels, 16)) == [*moments, (spread > 16).sum()]
        assert np.array_equal(colour_kernels.colour_counts(levels), np.bincount(colours, minlength=4096))
    as_bytes = grey.astype(np.uint8)
    assert np.array_equal(pixel_kernels.histogram_of(as_bytes.ravel()), np.bincount(grey.ravel(), minlength=256))
    assert pixel_kernels.laplacian_moments(as_bytes) == (around.sum(), (around * around).sum())


def test_many_pixels_of_one_colour_are_all_counted() -> None:
    """More than the loops count before they add up, in the one of their tables that takes what is left over."""
    counts = colour_kernels.colour_counts(np.full(3 * 300_001, 255, np.uint8))
    assert counts[4095] == counts.sum() == 300_001


@pytest.mark.parametrize(
    ("rows", "start", "end", "expected"),
    [
        ([[5, 5, 5]], 0, 3, (1, 0)),
        ([[0, 12], [12, 0]], 0, 2, (2, 0)),
        ([[0, 0], [0, 13], [0, 0], [0, 0]], 0, 2, (1, 2)),
        ([[0, 0], [0, 13], [0, 0], [0, 0]], 0, 1, (4, 0)),
        ([[0, 13], [0, 0], [13, 0]], 0, 2, (0, 0)),
    ],
)
def test_margins_end_where_a_row_is_busy(
    rows: list[list[int]], start: int, end: int, expected: tuple[int, int]
) -> None:
    assert pixel_kernels.plain_margins(np.array(rows, np.uint8), start, end, 12) == expected
