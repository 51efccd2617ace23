"""Places in groups: a pair beside its neighbours, by hand and against a plain loop."""

from typing import Any

import numpy as np
import pytest

from filters.clip.groups import group_ranks
from filters.clip.scorer import EncodedTexts

Floats = np.ndarray[Any, np.dtype[np.float64]]


def normalised(rows: Any) -> Floats:
    made = np.asarray(rows, np.float64)
    return np.asarray(made / np.linalg.norm(made, axis=1)[:, None])


def ranks(images: Floats, texts: Floats, owners: list[int], size: int, order: list[int] | None = None) -> list[Any]:
    """Each text once; what `group_ranks` says of its own place and of its image's."""
    encoded = EncodedTexts(texts, np.arange(len(texts)))
    order = list(range(len(images))) if order is None else order
    found = group_ranks(images, encoded, np.array(owners), np.array(order), size)
    return [some.tolist() for some in found]


def test_pair_that_fits_best_is_first_on_both_sides_and_a_swapped_one_is_not() -> None:
    axes = np.eye(4)
    assert ranks(axes, axes, [0, 1, 2, 3], 4) == [[1, 1, 1, 1], [1, 1, 1, 1]]
    swapped = axes[[1, 0, 2, 3]]
    assert ranks(axes, swapped, [0, 1, 2, 3], 4) == [[2, 2, 1, 1], [2, 2, 1, 1]]


def test_only_the_own_group_counts() -> None:
    axes, swapped = np.eye(4), np.eye(4)[[2, 3, 0, 1]]
    assert ranks(axes, swapped, [0, 1, 2, 3], 2) == [[1, 1, 1, 1], [1, 1, 1, 1]]  # nothing near in its own half
    assert ranks(axes, swapped, [0, 1, 2, 3], 2, [0, 2, 1, 3]) == [[2, 2, 2, 2], [2, 2, 2, 2]]


def test_other_texts_of_the_own_image_are_no_rivals_and_equal_texts_share_a_place() -> None:
    images = normalised([[1, 0], [0, 1]])
    texts = normalised([[1, 0.2], [1, 0.1], [1, 0.1], [0.1, 1]])
    by_text, by_image = ranks(images, texts, [0, 0, 1, 1], 2)
    assert by_text == [2, 1, 2, 1]  # the third is as good for the first image as its second text
    assert by_image == [1, 1, 2, 1]


def test_last_group_is_filled_up_with_the_first_images() -> None:
    axes = np.eye(3)
    texts = axes[[1, 1, 0]]  # the third image's text is that of the first
    assert ranks(axes, texts, [0, 1, 2], 2) == [[1, 1, 1], [2, 1, 2]]


@pytest.mark.parametrize("size", [2, 3, 5, 7, 100])
def test_places_are_those_of_a_plain_loop_over_padded_groups(size: int) -> None:
    rng = np.random.default_rng(size)
    images, texts = normalised(rng.standard_normal((11, 6))), normalised(rng.standard_normal((17, 6)))
    owners = sorted(rng.integers(0, 11, 17).tolist())
    order = rng.permutation(11).tolist()
    found = ranks(images, texts, owners, size, order)
    for start in range(0, 11, size):
        own = order[start : start + size]
        group = [*own, *order[: min(size - len(own), start)]]
        for text in (place for place, owner in enumerate(owners) if owner in own):
            score = round(float(images[owners[text]] @ texts[text]), 4)
            rivals = [other for other, owner in enumerate(owners) if owner in group and owner != owners[text]]
            better = [round(float(images[owners[text]] @ texts[rival]), 4) > score for rival in rivals]
            nearer = [round(float(images[image] @ texts[text]), 4) > score for image in group]
            assert (found[0][text], found[1][text]) == (1 + sum(better), 1 + sum(nearer))


def test_pair_without_a_vector_has_no_place_and_takes_nobodys() -> None:
    axes = np.eye(3)
    broken = axes.copy()
    broken[1] = np.nan
    assert ranks(broken, axes, [0, 1, 2], 3) == [[1, 0, 1], [1, 0, 1]]
    assert ranks(axes, broken, [0, 1, 2], 3) == [[1, 0, 1], [1, 0, 1]]


def test_text_that_is_null_and_image_without_texts_are_passed_over() -> None:
    encoded = EncodedTexts(np.eye(2), np.array([0, -1, 1]))
    by_text, by_image = group_ranks(np.eye(2)[[0, 1, 0]], encoded, np.array([0, 1, 1]), np.arange(3), 3)
    assert (by_text.tolist(), by_image.tolist()) == ([1, 0, 1], [1, 0, 1])


def test_nothing_has_no_places() -> None:
    encoded = EncodedTexts(np.zeros((0, 0)), np.zeros(0, np.int64))
    none = np.zeros(0, np.int64)
    assert [len(some) for some in group_ranks(np.zeros((0, 0)), encoded, none, none, 120)] == [0, 0]
    assert [len(some) for some in group_ranks(np.eye(2), encoded, none, np.arange(2), 120)] == [0, 0]
