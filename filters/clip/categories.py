"""Categories without training: of each image the nearest of the recipe's labels, told by prompts for each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from filters.clip.scorer import Scorer, Vectors, rounded_cosines


@dataclass(frozen=True)
class Categories:
    """Labels in the recipe's order, and a vector for each: the mean of its prompts' vectors, normalised again."""

    labels: tuple[str, ...]
    vectors: Vectors

    def nearest(self, images: Vectors) -> tuple[list[str | None], list[float | None]]:
        """The label of each image, and its cosine, -1.0 to 1.0, rounded to 1e-4; None where the image has no vector.

        Of labels that are equally near the first in the recipe is told.
        """
        labels: list[str | None] = []
        cosines: list[float | None] = []
        for vector in images:
            found = rounded_cosines(np.einsum("d,cd->c", vector, self.vectors))
            best = None if np.isnan(found).all() else int(np.nanargmax(found))
            labels.append(None if best is None else self.labels[best])
            cosines.append(None if best is None else float(found[best]))
        return labels, cosines


def encode_categories(scorer: Scorer, prompts: Mapping[str, Sequence[str]]) -> Categories:
    """One vector a label, from its prompts (Radford et al. 2021, section 3.1.4); NaN where one of them overflowed."""
    encoded = scorer.encode_texts([text for own in prompts.values() for text in own])
    ends = np.cumsum([len(own) for own in prompts.values()])
    means = [vectors.mean(axis=0) for vectors in np.split(encoded.vectors[encoded.places], ends[:-1])]
    made = np.stack(means)
    norms = np.sqrt(np.einsum("cd,cd->c", made, made))
    return Categories(tuple(prompts), made / np.maximum(norms, 1e-12)[:, None])
