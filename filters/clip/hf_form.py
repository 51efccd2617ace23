"""What the JSON beside a model's weights says: of transformers' image processors, how images become its input."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filters.clip.form import ImageForm, Interpolation
from shards.errors import UsageError

_RESAMPLINGS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}
_MAX_BYTES = 1 << 20


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A small JSON object. Raises UsageError where it is missing or is none; `what` it should say."""
    if not path.is_file():
        raise UsageError(f"score.model: {str(path.parent)!r} lacks {path.name}, which says {what}")
    if path.stat().st_size > _MAX_BYTES:
        raise UsageError(f"score.model: {str(path)!r} is over 1 MiB: it should hold settings alone")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"score.model: {str(path)!r} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"score.model: {str(path)!r} should hold an object")
    return content


def read_form(path: Path) -> ImageForm:
    """The form that a preprocessor_config.json of transformers' CLIP family describes."""
    told = read_json(path, "how images are resized and normalised")
    try:
        return _form_of(told)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"score.model: {str(path)!r} says nothing that is understood ({type(error).__name__}: {error}); expected "
            "size, resample 2 or 3, image_mean and image_std"
        ) from error


def _form_of(told: dict[str, Any]) -> ImageForm:
    size, crop = told["size"], told.get("crop_size")
    mean, std = three_numbers(told["image_mean"]), three_numbers(told["image_std"])
    interpolation = _RESAMPLINGS[told.get("resample", 3)]
    if abs(told.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise ValueError(f"rescale_factor {told['rescale_factor']} is not 1/255")
    if isinstance(size, dict) and "shortest_edge" not in size:
        return ImageForm(int(size["height"]), int(size["width"]), "squash", interpolation, mean, std)
    side = int(size["shortest_edge"] if isinstance(size, dict) else size)
    cut = crop if isinstance(crop, dict) else {"height": crop or side, "width": crop or side}
    if (cut["height"], cut["width"]) != (side, side):
        raise ValueError(f"a crop of {cut['width']}x{cut['height']} from a shorter side of {side}")
    return ImageForm(side, side, "shortest", interpolation, mean, std)


def three_numbers(told: Sequence[Any]) -> tuple[float, float, float]:
    """One number a channel. Raises ValueError where there are others."""
    if len(told) != 3:
        raise ValueError("mean and std have three numbers")
    red, green, blue = told
    return float(red), float(green), float(blue)
