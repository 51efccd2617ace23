"""Colours, plain squares and straight lines, by images whose answers can be worked out by hand."""

import numpy as np
import pytest

from filters import drawn_kernels
from filters.image import Pixels, Rgb, image_measures


def flat(height: int, width: int, level: int = 255) -> Rgb:
    return np.full((height, width, 3), level, np.uint8)


def page(height: int = 256, width: int = 256) -> Rgb:
    """White, with lines of letters of different lengths, a bar above and a rule below it."""
    random = np.random.default_rng(5)
    image = flat(height, width)
    image[:20] = (40, 60, 120)
    image[28] = 128
    for number, top in enumerate(range(40, height - 16, 16)):
        end = width - 20 - 23 * (number % 4)
        letters = random.random((8, (end - 20) // 2)) < 0.5
        image[top : top + 8, 20 : 20 + 2 * letters.shape[1]][np.repeat(letters, 2, axis=1)] = 0
    return image


def photograph(height: int = 256, width: int = 256) -> Rgb:
    """Waves of colours, and the grain of a sensor."""
    random = np.random.default_rng(6)
    across, down = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    waves = [np.sin(across + turn) * np.cos(down - turn) for turn in (0, 1, 2)]
    grain = random.normal(0, 3, (height, width, 3))
    return np.clip(128 + 90 * np.stack(waves, axis=2) + grain, 0, 255).astype(np.uint8)


def thing_on_white() -> Rgb:
    """What shops show: one thing in the middle."""
    image = flat(256, 256)
    down, across = np.indices((256, 256)) - 128
    is_thing = down**2 + across**2 < 64**2
    image[is_thing] = photograph()[is_thing]
    return image


COLOURS = np.repeat(np.arange(0, 256, 16, dtype=np.uint8), 16)[:, None].repeat(32, axis=1)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("num_colors", flat(1, 1), 1),
        ("num_colors", flat(50, 50), 1),
        ("num_colors", COLOURS, 16),
        # A colour that 1 pixel in 1,000 has counts, and one that fewer have does not.
        ("num_colors", np.concatenate([flat(1, 999), flat(1, 1, 0)], axis=1), 2),
        ("num_colors", np.concatenate([flat(1, 1000), flat(1, 1, 0)], axis=1), 1),
        ("num_colors", np.array([[[15, 15, 15], [0, 0, 0], [16, 15, 15]]], np.uint8), 2),
        ("flat_share", flat(1, 1), 1.0),
        ("flat_share", flat(16, 16), 1.0),
        ("flat_share", np.concatenate([flat(8, 8), flat(8, 4, 9), flat(8, 4, 12)], axis=1), 0.5),
        ("flat_share", np.concatenate([flat(8, 8), flat(8, 4, 9), flat(8, 4, 11)], axis=1), 1.0),
        ("flat_share", np.concatenate([flat(8, 16), flat(8, 1, 0), flat(8, 1)], axis=1), round(2 / 3, 6)),
        ("flat_share", photograph(), 0.0),
        ("is_screenshot", page(), True),
        ("is_screenshot", page(512, 300), True),
        ("is_screenshot", photograph(), False),
        ("is_screenshot", thing_on_white(), False),
        ("is_screenshot", flat(1, 1), False),
        ("is_screenshot", flat(300, 200, 17), False),
    ],
)
def test_drawn_images_measure_what_can_be_worked_out(name: str, image: Rgb, expected: float) -> None:
    assert image_measures(Pixels(image), [name]) == {name: expected}


@pytest.mark.parametrize("least", [1, 3, 8, 20, 40])
def test_lines_are_found_wherever_they_begin(least: int) -> None:
    random = np.random.default_rng(least)
    grey = random.choice(np.array([0, 7, 8, 16], np.uint8), (60, 40), p=[0.45, 0.05, 0.45, 0.05])
    grey[10:30] = random.choice(np.array([0, 8], np.uint8), (20, 1))
    grey[20, 5:25] += 16
    jumps = grey[1:].astype(int) - grey[:-1]
    runs = [
        any((way * row[start : start + least] >= 8).all() for way in (1, -1) for start in range(41 - least))
        for row in jumps
    ]
    assert drawn_kernels.straight_rows(grey, 8, least) == sum(runs)


def test_a_page_of_a_dark_theme_is_as_much_a_screenshot() -> None:
    assert image_measures(Pixels(255 - page()), ["is_screenshot"]) == {"is_screenshot": True}


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (8, 8), (60, 83), (257, 31)])
def test_compiled_loops_give_what_numpy_gives(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(shape[0])
    rgb = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    grey = np.ascontiguousarray(rgb[..., 0]) // 100 * 2
    squares = [
        [np.ptp(grey[top : top + 8, left : left + 8]) <= 2 for left in range(0, shape[1], 8)]
        for top in range(0, shape[0], 8)
    ]
    assert np.array_equal(drawn_kernels.flat_squares(grey, 2), squares)

    lines = np.zeros(shape, np.uint8)
    lines[shape[0] // 2, : shape[1] // 2] = 8
    edges = [boundary for boundary in (shape[0] // 2, shape[0] // 2 + 1) if 0 < boundary < shape[0]]
    least = max(1, shape[1] // 2)
    assert drawn_kernels.straight_rows(lines, 8, least) == (len(edges) if shape[1] > 1 else 0)
    assert drawn_kernels.straight_rows(lines, 9, least) == 0
    assert drawn_kernels.straight_rows(lines, 8, least + 1) == 0
