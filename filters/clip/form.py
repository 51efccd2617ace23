"""How an image becomes a model's input: the size, how it comes there, and what its channels are scaled by."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""uint8 [height, width, 3], sRGB: one decoded stored copy."""

Resize = Literal["shortest", "longest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class Placement:
    """An image of one size on its way to another: resampled to `height` x `width`, then cut at `top`, `left`."""

    height: int
    width: int
    top: int
    left: int


@dataclass(frozen=True)
class ImageForm:
    """What a model takes: uint8 pixels of `height` x `width`, divided by 255, less `mean`, divided by `std`.

    `resize` says what is kept of an image of other proportions: `shortest` fits the shorter side and cuts the middle
    out, `longest` fits the longer side and fills the rest with `fill`, `squash` keeps no proportions.
    """

    height: int
    width: int
    resize: Resize = "shortest"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's CLIP, as its successors'
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    fill: int = 0

    @cached_property
    def words(self) -> str:
        """The form in one line, for fingerprints and for people."""
        return (
            f"{self.resize} to {self.width}x{self.height}, {self.interpolation}, "
            f"mean {list(self.mean)}, std {list(self.std)}" + (f", fill {self.fill}" if self.fill else "")
        )

    def placement(self, height: int, width: int) -> Placement:
        """How an image of this size is resampled and cut; its `top` and `left` are below 0 where it is filled up."""
        tall, wide = self._resampled(height, width)
        return Placement(tall, wide, _margin(tall, self.height), _margin(wide, self.width))

    def fitted(self, pixels: Pixels) -> Pixels:
        """The image in the model's size, uint8 [height, width, 3], by Pillow's resampling."""
        from PIL import Image

        place = self.placement(*pixels.shape[:2])
        image = Image.fromarray(pixels)
        if image.size != (place.width, place.height):
            method = Image.Resampling.BICUBIC if self.interpolation == "bicubic" else Image.Resampling.BILINEAR
            image = image.resize((place.width, place.height), method)
        if image.size == (self.width, self.height):
            return np.asarray(image)
        filled = Image.new("RGB", (self.width, self.height), (self.fill,) * 3)
        filled.paste(image, (-place.left, -place.top))
        return np.asarray(filled)

    def _resampled(self, height: int, width: int) -> tuple[int, int]:
        if self.resize == "squash":
            return self.height, self.width
        ratios = height / self.height, width / self.width
        if self.resize == "longest":
            return max(1, round(height / max(ratios))), max(1, round(width / max(ratios)))
        if self.height != self.width:
            return round(height / min(ratios)), round(width / min(ratios))
        # torchvision's Resize with one number: the shorter side is exact, the longer is cut off to whole pixels.
        side = self.height
        return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)


def _margin(have: int, want: int) -> int:
    """What is cut off before the middle; below 0, what is filled in before it."""
    return -((want - have) // 2) if have < want else round((have - want) / 2.0)
