"""Pairs against their neighbours, as TaiSu has it: the place of a text and of its image in a group of pairs."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from filters.clip.scorer import EncodedTexts, Vectors, rounded_cosines

Ints = npt.NDArray[np.int64]

UNKNOWN = 0
"""The rank of a text whose image, or which itself, has no vector."""


def group_ranks(images: Vectors, texts: EncodedTexts, owners: Ints, order: Ints, size: int) -> tuple[Ints, Ints]:
    """Of each text its place, from 1, among the texts of its group for its image; and its image's among the images.

    Groups are runs of `size` images in `order`, a permutation of the places in `images`; `owners` are the places of
    the texts' images. The last group is filled up with the first images of the order, which are rivals there and
    get no second rank. Other texts of one's own image are no rivals. Cosines are compared rounded to 1e-4, and a tie
    is to the pair's favour. After Liu et al., TaiSu, NeurIPS 2022, which keeps a pair where either place is 1.
    """
    by_text, by_image = (np.full(len(owners), UNKNOWN, np.int64) for _ in range(2))
    by_owner = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[by_owner], np.arange(len(images) + 1))
    for own, rivals in _groups(order, size):
        members = np.concatenate([own, rivals])
        columns = np.concatenate([by_owner[starts[image] : starts[image + 1]] for image in members])
        columns = columns[texts.places[columns] >= 0]
        if not len(columns):
            continue
        cosines = _cosines(images[members], texts.vectors[texts.places[columns]])
        row_of = np.full(len(images), -1)
        row_of[members] = np.arange(len(members))
        rows = row_of[owners[columns]]
        is_ranked = rows < len(own)
        for place in np.flatnonzero(is_ranked):
            text, row = columns[place], rows[place]
            own_cosine = cosines[row, place]
            if not np.isnan(own_cosine):
                by_text[text] = 1 + np.count_nonzero(cosines[row, rows != row] > own_cosine)
                by_image[text] = 1 + np.count_nonzero(cosines[:, place] > own_cosine)
    return by_text, by_image


def _groups(order: Ints, size: int) -> Iterator[tuple[Ints, Ints]]:
    """The images of each group, and those that fill it up."""
    for start in range(0, len(order), size):
        own = order[start : start + size]
        yield own, order[: min(size - len(own), start)]


def _cosines(images: Vectors, texts: Vectors) -> npt.NDArray[np.float64]:
    """[images, texts]; NaN, which beats nothing, where either has no vector."""
    left, right = (np.nan_to_num(some, nan=0.0) for some in (images, texts))
    found = rounded_cosines(left @ right.T)
    found[np.flatnonzero(np.isnan(images).any(axis=1))] = np.nan
    found[:, np.flatnonzero(np.isnan(texts).any(axis=1))] = np.nan
    return found
