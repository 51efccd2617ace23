"""Decoded pixels in the size and frame that a model takes."""

import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]


def scaled(rgb: Rgb, height: int, width: int) -> Rgb:
    """uint8 [height, width, 3] by Pillow's bilinear resampling, which reckons in whole numbers."""
    if rgb.shape[:2] == (height, width):
        return rgb
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


def within(rgb: Rgb, longest: int) -> Rgb:
    """The image with its longer side at most `longest`; never enlarged."""
    height, width = rgb.shape[:2]
    if max(height, width) <= longest:
        return rgb
    ratio = longest / max(height, width)
    return scaled(rgb, max(1, round(height * ratio)), max(1, round(width * ratio)))


def framed(values: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """float32 [h, w, 3] at the upper left of zeros, [1, 3, height, width]."""
    frame = np.zeros((1, 3, height, width), np.float32)
    frame[0, :, : values.shape[0], : values.shape[1]] = values.transpose(2, 0, 1)
    return frame


def whole_steps(side: int, step: int) -> int:
    """The least multiple of `step` that holds `side`."""
    return -(-side // step) * step
