"""How many faces an image shows, and how much of it they are: YuNet (Wu et al. 2023), in ONNX.

Faces are counted and nothing else: no landmarks are read, nobody is recognised, and no embedding of a face is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from filters.models.boxes import Boxes, clipped, covered_share
from filters.models.scaling import Rgb, framed, whole_steps, within
from filters.models.session import Floats, Session

_STRIDES = (8, 16, 32)
_HEADS = tuple(f"{head}_{stride}" for head in ("cls", "obj", "bbox") for stride in _STRIDES)
_LONGEST_PX = 640

# The defaults of OpenCV's FaceDetectorYN.
_CERTAIN_FROM = 0.9
_SAME_FACE_FROM = 0.3
_MOST_BOXES = 5000


@dataclass(frozen=True)
class _Framed:
    values: Floats
    height: int
    width: int


class YuNet:
    """Finds faces of 10 px and more. The graph takes one image, of its own size or of any in steps of 32 px."""

    batch_size = 1

    def __init__(self, path: Path) -> None:
        self._session = Session(path, "models.faces", _HEADS)
        shape = self._session.input_shape
        sides = [side for side in shape[2:] if side is not None]
        if len(shape) != 4 or shape[1] != 3 or len(sides) == 1 or any(side % _STRIDES[-1] for side in sides):
            raise self._session.unfit("an input of [1, 3, height, width], both fixed or both open, in steps of 32")
        self._frame = (sides[0], sides[1]) if sides else None

    def prepared(self, rgb: Rgb) -> _Framed:
        longest = _LONGEST_PX if self._frame is None else min(self._frame)
        small = within(rgb, longest)
        height, width = small.shape[:2]
        frame = self._frame or (whole_steps(height, _STRIDES[-1]), whole_steps(width, _STRIDES[-1]))
        return _Framed(framed(small[..., ::-1].astype(np.float32), *frame), height, width)

    def measured(self, images: Sequence[_Framed]) -> list[dict[str, object]]:
        return [self._measured(image) for image in images]

    def _measured(self, image: _Framed) -> dict[str, object]:
        heads = dict(zip(_HEADS, self._session.run(image.values), strict=True))
        faces = clipped(faces_of(heads, *image.values.shape[2:]), image.height, image.width)
        return {"num_faces": len(faces), "face_area": covered_share(faces, image.height, image.width)}


def faces_of(heads: dict[str, Floats], height: int, width: int) -> Boxes:
    """The faces in a frame, the most certain first: each cell of each stride says of one box how certain it is of it.

    `cls_*` and `obj_*` are [1, cells, 1], `bbox_*` is [1, cells, 4].
    """
    cells = [_cells(heads, stride, height, width) for stride in _STRIDES]
    boxes, scores = (np.concatenate([cell[part] for cell in cells]) for part in (0, 1))
    likely = np.flatnonzero(scores >= _CERTAIN_FROM)
    order = likely[np.argsort(-scores[likely], kind="stable")][:_MOST_BOXES]
    return _apart(boxes[order])


def _cells(heads: dict[str, Floats], stride: int, height: int, width: int) -> tuple[Boxes, Boxes]:
    """Boxes and certainties of one stride's cells, row by row."""
    across, down = width // stride, height // stride
    cls, obj, told = (heads[f"{head}_{stride}"].astype(np.float64) for head in ("cls", "obj", "bbox"))
    told = told.reshape(down * across, 4)
    scores = np.sqrt(np.clip(cls, 0, 1).ravel() * np.clip(obj, 0, 1).ravel())
    rows, columns = np.divmod(np.arange(down * across), across)
    middles = (np.stack([columns, rows], axis=1) + told[:, :2]) * stride
    halves = np.exp(np.clip(told[:, 2:], -20, 20)) * stride / 2
    # To 1e-4, so that no last bit of a processor's arithmetic decides.
    boxes: Boxes = np.concatenate([middles - halves, middles + halves], axis=1)
    return np.round(boxes, 4), np.round(scores, 4).astype(np.float64)


def _apart(boxes: Boxes) -> Boxes:
    """Boxes without those that overlap a more certain one too much (intersection over union)."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    for place in range(len(boxes)):
        sides = np.minimum(boxes[kept, 2:], boxes[place, 2:]) - np.maximum(boxes[kept, :2], boxes[place, :2])
        common = np.clip(sides, 0, None).prod(axis=1)
        if not np.any(common > _SAME_FACE_FROM * (areas[kept] + areas[place] - common)):
            kept.append(place)
    return boxes[kept]
