"""The scorer's protocol: what a backend must give, and the batches that it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from filters.clip.form import ImageForm

Tokens = npt.NDArray[np.int64]
"""int64 [n, length]: token ids, filled up with the model's own padding."""

Embedded = npt.NDArray[np.float32]
"""float32 [n, d], not normalised; not finite where the model overflowed."""


@dataclass(frozen=True)
class ScorerIdentity:
    """What decides a score beside image and text; holds no path, so that a moved folder stays the same scorer."""

    name: str
    weights_sha256: str
    preprocessing: str


@dataclass(frozen=True)
class ImageBatch:
    """Images that the model takes together: uint8 [n, height, width, 3].

    With `sizes` (of each image its height and width) they lie at the upper left of pixels that hold the largest, and
    the backend brings them to the model's size. Without, they have it. With `is_mirrored` the model is to see them as
    in a mirror, left for right: of a line of writing nothing is left to read.
    """

    pixels: npt.NDArray[np.uint8]
    sizes: tuple[tuple[int, int], ...] | None = None
    is_mirrored: bool = False

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, some: slice) -> "ImageBatch":
        return ImageBatch(self.pixels[some], None if self.sizes is None else self.sizes[some], self.is_mirrored)


class Towers(Protocol):
    """A loaded dual encoder: one tower for images, one for texts. Equal calls give equal results."""

    identity: ScorerIdentity
    form: ImageForm
    device: str
    resizes: bool
    """Whether it takes images as they were decoded, because its device resizes faster than the processors do."""

    def new_pixels(self, *shape: int) -> npt.NDArray[np.uint8]:
        """Room to decode into, holding anything, where the device copies from quickly."""
        ...

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Each text in the model's tokens, cut to its context length."""
        ...

    def embed_images(self, batch: ImageBatch) -> Any:
        """One vector an image, perhaps still under way on the device: `gathered` waits for it."""
        ...

    def embed_tokens(self, tokens: Tokens) -> Any:
        """One vector a text; columns that are padding in all rows are left out where that changes nothing."""
        ...

    def gathered(self, parts: Sequence[Any]) -> Embedded:
        """What `embed_images` or `embed_tokens` gave, one after the other."""
        ...
