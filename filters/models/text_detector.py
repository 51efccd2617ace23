"""Where an image shows text: PaddleOCR's detector with differentiable binarization (Liao et al. 2020), in ONNX.

Boxes stand upright: slanted text has the box that holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from filters.models.boxes import Boxes, as_shares, clipped, covered_share, in_reading_order
from filters.models.scaling import Rgb, framed, whole_steps, within
from filters.models.session import Floats, Session

_LONGEST_PX = 960
_STEP_PX = 32
"""The graph halves its input five times."""

# As rapidocr 3.10's config.yaml has them: the pixels of text, and how far the shrunken region that the model marks is
# grown again (Liao et al. 2020, section 3.5). A region's certainty is the mean over its own pixels, and not over a
# rectangle around it, so more is asked of it than rapidocr's 0.5.
_TEXT_ABOVE = 0.3
_GROWTH = 1.6
_CERTAIN_FROM = 0.6
_MIN_REGION_PX = 3
_MIN_BOX_PX = 5
_MOST_BOXES = 1000

# Where there is one round thing, or nothing at all, the model takes the whole for one letter, with certainty 0.6-0.95:
# so it was in 41 of 99 photographs of dishes. Lines of text so high for their length are hardly ever met; letters that
# fill an image are missed with them. The share is of the side of a square as large as the image.
_HIGH_SHARE, _LINE_LENGTH = 0.2, 4.0

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


@dataclass(frozen=True)
class _Framed:
    """An image as the model takes it, and its size in there."""

    values: Floats
    height: int
    width: int


class TextDetector:
    """Finds lines of text. Images differ in size, and one at a time is as fast on a CPU as several."""

    batch_size = 1

    def __init__(self, path: Path) -> None:
        self._session = Session(path, "models.text_boxes")
        shape = self._session.input_shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] is not None or shape[3] is not None:
            raise self._session.unfit("an input of [n, 3, height, width] for any height and width")

    def prepared(self, rgb: Rgb) -> _Framed:
        small = within(rgb, _LONGEST_PX)
        height, width = small.shape[:2]
        # The model was trained on blue first; its 0.5 for mean and deviation is rapidocr's.
        values = small[..., ::-1].astype(np.float32) / np.float32(127.5) - np.float32(1)
        return _Framed(framed(values, whole_steps(height, _STEP_PX), whole_steps(width, _STEP_PX)), height, width)

    def measured(self, images: Sequence[_Framed]) -> list[dict[str, object]]:
        return [self._measured(image) for image in images]

    def _measured(self, image: _Framed) -> dict[str, object]:
        (found,) = self._session.run(image.values)
        if found.shape[:2] != (1, 1) or found.shape[2:] != image.values.shape[2:]:
            raise self._session.unfit("an output of [n, 1, height, width]")
        boxes = text_boxes(found[0, 0, : image.height, : image.width])
        return {
            "text_area": covered_share(boxes, image.height, image.width),
            "num_text_boxes": len(boxes),
            "text_boxes": as_shares(boxes, image.height, image.width),
        }


def text_boxes(certainty: Floats) -> Boxes:
    """Boxes of the regions that are text, in reading order, in pixels of the map: float32 [height, width], 0 to 1."""
    height, width = certainty.shape
    regions, number = ndimage.label(certainty > _TEXT_ABOVE, _EIGHT_NEIGHBOURS)
    if not number:
        return np.zeros((0, 4))
    sizes = np.bincount(regions.ravel(), minlength=number + 1)[1:]
    means = np.bincount(regions.ravel(), certainty.ravel().astype(np.float64), number + 1)[1:] / sizes
    slices = ndimage.find_objects(regions)
    ends = np.array([(x.start, y.start, x.stop, y.stop) for y, x in slices], np.float64)
    sides = ends[:, 2:] - ends[:, :2]
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    is_blob = (shorter > _HIGH_SHARE * (height * width) ** 0.5) & (longer < _LINE_LENGTH * shorter)
    stands = (np.rint(means * 1e4) >= _CERTAIN_FROM * 1e4) & (shorter >= _MIN_REGION_PX) & ~is_blob
    boxes = clipped(_grown(ends[stands], sizes[stands]), height, width)
    boxes = boxes[np.min(boxes[:, 2:] - boxes[:, :2], axis=1) >= _MIN_BOX_PX]
    return in_reading_order(_largest(boxes))


def _grown(ends: Boxes, sizes: npt.NDArray[np.int64]) -> Boxes:
    """Each box by what its region was shrunk: area times growth over the length of the outline."""
    outline = 2 * (ends[:, 2:] - ends[:, :2]).sum(axis=1)
    by = np.floor(sizes * _GROWTH / outline + 0.5)[:, None]
    return np.concatenate([ends[:, :2] - by, ends[:, 2:] + by], axis=1)


def _largest(boxes: Boxes) -> Boxes:
    if len(boxes) <= _MOST_BOXES:
        return boxes
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return boxes[np.sort(np.argsort(-areas, kind="stable")[:_MOST_BOXES])]
