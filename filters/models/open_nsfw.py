"""How likely an image is not safe for work: Yahoo's Open NSFW (2016), in ONNX."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from filters.models.scaling import Rgb, scaled
from filters.models.session import Floats, Session

# Open NSFW's classify_nsfw.py: squeezed to 256 x 256, the middle 224 x 224, blue first, less the mean of ImageNet.
_SIDE_PX, _CUT_PX = 256, 224
_MEAN = np.array([104, 117, 123], np.float32)
_DIGITS = 4


class OpenNsfw:
    """A classifier of two classes; the second is the one that is told."""

    batch_size = 16

    def __init__(self, path: Path) -> None:
        self._session = Session(path, "models.nsfw")
        if self._session.input_shape[1:] != (_CUT_PX, _CUT_PX, 3) or self._session.input_shape[0] is not None:
            raise self._session.unfit(f"an input of [n, {_CUT_PX}, {_CUT_PX}, 3] for any n")

    def prepared(self, rgb: Rgb) -> Floats:
        margin = (_SIDE_PX - _CUT_PX) // 2
        square = scaled(rgb, _SIDE_PX, _SIDE_PX)[margin : margin + _CUT_PX, margin : margin + _CUT_PX]
        return square[..., ::-1].astype(np.float32) - _MEAN

    def measured(self, images: Sequence[Floats]) -> list[dict[str, object]]:
        (found,) = self._session.run(np.stack(images))
        if found.shape != (len(images), 2):
            raise self._session.unfit("an output of [n, 2]")
        return [{"nsfw": _score(value)} for value in found[:, 1].tolist()]


def _score(value: float) -> float | None:
    return round(value, _DIGITS) if np.isfinite(value) else None
