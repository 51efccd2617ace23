"""How well each text fits its image: cosine similarities of an open_clip dual encoder, on CPU or GPU."""

import hashlib
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from filters.clip_settings import ScoreSettings
from filters.clip_weights import HF_HUB, INSTALL, LOCAL_DIR, check_files
from shards.errors import UsageError

if TYPE_CHECKING:
    import torch

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
"""uint8 [height, width, 3], sRGB: one decoded stored copy."""

Vectors = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
"""float64 [n, d], L2-normalised."""

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class ScorerIdentity:
    """What decides a score beside image and text; holds no path, so that a moved folder stays the same scorer."""

    name: str
    weights_sha256: str  # over the loaded parameters, in order of name
    preprocessing: str


class Scorer:
    """A loaded dual encoder. Equal calls give equal scores, whatever else the machine does."""

    def __init__(
        self, model: Any, preprocess: Callable[[Any], Any], tokenize: Any, settings: ScoreSettings, device: str
    ) -> None:
        self.identity = _identity_of(model, preprocess, settings)
        self.device = device
        self._model, self._preprocess, self._tokenize = model, preprocess, tokenize
        self._settings = settings

    def score(self, images: Sequence[Pixels], texts: Sequence[Sequence[str]]) -> list[list[float | None]]:
        """Cosine of each image with each of its own texts, -1.0 to 1.0, rounded to 1e-4, shaped as `texts`.

        None stands where the model overflowed (possible in fp16). Images and distinct texts are taken
        `batch_size` at a time in the order given and in sorted order: what shares a batch is fixed by the call.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images stand beside {len(texts)} lists of texts")
        if not any(texts):
            return [[] for _ in texts]
        return self.score_embedded(self.embed_images(images), texts)

    def score_embedded(self, image_vectors: Vectors, texts: Sequence[Sequence[str]]) -> list[list[float | None]]:
        """As `score`, of images that are embedded already."""
        distinct = sorted({text for own in texts for text in own})
        place = {text: index for index, text in enumerate(distinct)}
        text_vectors = self.embed_texts(distinct)
        return [
            [_cosine(vector, text_vectors[place[text]]) for text in own]
            for vector, own in zip(image_vectors, texts, strict=True)
        ]

    def embed_images(self, images: Sequence[Pixels]) -> Vectors:
        """One vector an image, after the model's own resize, crop and normalisation."""
        import torch
        from PIL import Image

        dtype = getattr(torch, _TORCH_DTYPES[self._settings.precision])

        def encode(batch: Sequence[Pixels]) -> "torch.Tensor":
            ready = torch.stack([self._preprocess(Image.fromarray(pixels)) for pixels in batch])
            vectors: torch.Tensor = self._model.encode_image(ready.to(self.device, dtype), normalize=True)
            return vectors

        return self._embed(images, encode)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, cut to the model's context length."""

        def encode(batch: Sequence[str]) -> "torch.Tensor":
            tokens = self._tokenize(list(batch)).to(self.device)
            vectors: torch.Tensor = self._model.encode_text(tokens, normalize=True)
            return vectors

        return self._embed(texts, encode)

    def _embed(self, items: Sequence[_Item], encode: Callable[[Sequence[_Item]], "torch.Tensor"]) -> Vectors:
        import torch

        if not items:
            return np.zeros((0, 0))
        # Set at every call: another library in the same process may have changed it since.
        torch.set_num_threads(self._settings.cpu_threads)
        size = self._settings.batch_size
        with torch.inference_mode():
            parts = [
                part.to("cpu", torch.float64)
                for start in range(0, len(items), size)
                for part in _halving_where_memory_ends(encode, items[start : start + size])
            ]
        vectors: Vectors = torch.nn.functional.normalize(torch.cat(parts)).numpy()
        return vectors


def load_scorer(settings: ScoreSettings) -> Scorer:
    """The model on its device, ready to score. Raises UsageError where it cannot be had."""
    check_files(settings)
    open_clip = import_open_clip()
    device = _device_of(settings)
    from safetensors import SafetensorError

    unreadable = (SafetensorError, UnpicklingError)
    named = settings.model.startswith((LOCAL_DIR, HF_HUB))
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(
            settings.model,
            pretrained=None if named else settings.pretrained,
            precision=settings.precision,
            device=device,
        )
        tokenize = open_clip.get_tokenizer(settings.model)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, EOFError, *unreadable) as error:
        # open_clip raises all of these for a wrong name, unfit weights, or a hub that does not answer.
        raise UsageError(f"{_naming(settings)} could not be loaded: {error}") from error
    model.eval()
    return Scorer(model, preprocess, tokenize, settings, device)


def check_scorer(settings: ScoreSettings) -> None:
    """Raises UsageError, before anything is fetched, where the model or its weights cannot be had.

    Local weights are judged from their files alone, without importing torch. Weights of a hub are brought into the
    hub's own cache now, so that no worker has to.
    """
    check_files(settings)
    if settings.model.startswith(LOCAL_DIR):
        return
    open_clip = import_open_clip()
    try:
        if settings.model.startswith(HF_HUB):
            open_clip.pretrained.download_pretrained_from_hf(settings.model.removeprefix(HF_HUB))
        else:
            _check_released(open_clip, settings)
        open_clip.get_tokenizer(settings.model)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{_naming(settings)} could not be had: {str(error).rstrip('.')}. Without a network, copy "
            "open_clip_config.json, the weights and the tokenizer into a folder and say score.model: local-dir:FOLDER"
        ) from error


def import_open_clip() -> Any:
    """The open_clip module, also where torchvision's compiled operators do not fit the installed torch.

    The published torchvision wheel is built for CUDA; beside a CPU build of torch its import fails, because operators
    that it describes were never registered. Their schemas are enough here: nothing in open_clip calls them.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(f"scoring needs torch, which cannot be imported ({error}): {INSTALL}") from error
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in _UNREGISTERED:
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    try:
        return importlib.import_module("open_clip")
    except ImportError as error:
        raise UsageError(f"scoring needs open_clip, which cannot be imported ({error}): {INSTALL}") from error


_UNREGISTERED = ("nms", "qnms")
"""torchvision 0.28.0 describes both outside its own check that the compiled operators are there."""

_TORCH_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def _check_released(open_clip: Any, settings: ScoreSettings) -> None:
    name = settings.model.replace("/", "-")
    if open_clip.get_model_config(name) is None:
        near = get_close_matches(name, open_clip.list_models(), n=3, cutoff=0.5)
        raise UsageError(f"score.model: open_clip knows no model {name!r}; near it: {', '.join(near) or 'none'}")
    if settings.pretrained is None or Path(settings.pretrained).is_file():
        return
    released = open_clip.pretrained.get_pretrained_cfg(name, settings.pretrained)
    if not released:
        known = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise UsageError(f"score.pretrained: {name} has no weights {settings.pretrained!r}; released: {known}")
    open_clip.download_pretrained(released)


def _device_of(settings: ScoreSettings) -> str:
    """The device to run on, with the GPU's shortcuts off that would make scores vary."""
    import torch

    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise UsageError(f"score.device: {device}, but torch sees no CUDA device here; say auto or cpu")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return device


def _halving_where_memory_ends(
    encode: Callable[[Sequence[_Item]], "torch.Tensor"], batch: Sequence[_Item]
) -> list["torch.Tensor"]:
    import torch

    try:
        return [encode(batch)]
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    return [
        vectors for half in (batch[:middle], batch[middle:]) for vectors in _halving_where_memory_ends(encode, half)
    ]


def _cosine(image: Vectors, text: Vectors) -> float | None:
    cosine = float(image @ text)
    if not math.isfinite(cosine):
        return None
    # The sum turns -0.0 into 0.0, which print and compare as two values in some readers.
    return round(max(-1.0, min(1.0, cosine)), 4) + 0.0


def _identity_of(model: Any, preprocess: Any, settings: ScoreSettings) -> ScorerIdentity:
    digest = hashlib.sha256()
    for name, parameter in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
    local = settings.model.startswith(LOCAL_DIR)
    pretrained = settings.pretrained or ""
    weights = "" if local or Path(pretrained).is_file() else f" {pretrained}"
    name = "local model" if local else settings.model + weights
    return ScorerIdentity(name, digest.hexdigest(), " ".join(str(preprocess).split()))


def _naming(settings: ScoreSettings) -> str:
    if settings.model.startswith((LOCAL_DIR, HF_HUB)):
        return f"score.model {settings.model!r}"
    return f"score.model {settings.model!r} with pretrained {settings.pretrained!r}"
