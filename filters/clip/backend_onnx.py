"""Dual encoders in ONNX, run by onnxruntime on the CPU, without torch: a folder with two graphs and a description."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.clip.form import ImageForm
from filters.clip.hf_form import read_json, three_numbers
from filters.clip.settings import ScoreSettings
from filters.clip.towers import Embedded, ImageBatch, ScorerIdentity, Tokens
from filters.clip.weights import INSTALL_ONNX, ONNX_DESCRIPTION, local_folder
from filters.clip.wordpiece import load_tokenizer
from filters.models.session import onnx_errors
from filters.users_faults import users_fault
from shards.errors import UsageError

IMAGE_GRAPH, TEXT_GRAPH = "image.onnx", "text.onnx"
_TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class OnnxTowers:
    """Two graphs. The image's takes float32 [n, 3, height, width]; the text's any of `input_ids`, `attention_mask` and
    `token_type_ids`, int64 [n, length]. The first output of each is its vectors.
    """

    device = "cpu"
    resizes = False

    def __init__(self, folder: Path, settings: ScoreSettings) -> None:
        described = _described(folder)
        self.form = _form_of(described, folder)
        self._pad_id = int(described.get("pad_id", 0))
        self._is_cut = bool(described.get("dynamic_length", False))
        self.tokens = load_tokenizer(folder, int(described["context_length"]), self._pad_id)
        self._image = _session(folder / IMAGE_GRAPH, settings)
        self._text = _session(folder / TEXT_GRAPH, settings)
        unknown = [given.name for given in self._text.get_inputs() if given.name not in _TEXT_INPUTS]
        if unknown:
            raise UsageError(
                f"score.model: {str(folder / TEXT_GRAPH)!r} takes {', '.join(unknown)}; known: {_TEXT_INPUTS}"
            )
        digest = hashlib.sha256()
        for path in sorted(folder.glob("*.onnx*")):  # large models keep their weights beside the graph
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        self.identity = ScorerIdentity("onnx local model", digest.hexdigest(), self.form.words)
        self._mean, self._std = (np.array(some, np.float32)[:, None, None] for some in (self.form.mean, self.form.std))

    def new_pixels(self, *shape: int) -> npt.NDArray[np.uint8]:
        return np.empty(shape, np.uint8)

    def embed_images(self, batch: ImageBatch) -> Embedded:
        pixels = batch.pixels[:, :, ::-1] if batch.is_mirrored else batch.pixels
        values = pixels.transpose(0, 3, 1, 2).astype(np.float32)
        values /= 255
        values -= self._mean
        values /= self._std
        (name,) = (given.name for given in self._image.get_inputs())
        return _first_output(self._image, {name: values})

    def embed_tokens(self, tokens: Tokens) -> Embedded:
        is_text = tokens != self._pad_id
        if self._is_cut:
            length = int(np.flatnonzero(is_text.any(axis=0))[-1]) + 1
            tokens, is_text = tokens[:, :length], is_text[:, :length]
        known = {"input_ids": tokens, "attention_mask": is_text.astype(np.int64), "token_type_ids": tokens * 0}
        return _first_output(
            self._text, {n: np.ascontiguousarray(known[n]) for n in (given.name for given in self._text.get_inputs())}
        )

    def gathered(self, parts: Sequence[Embedded]) -> Embedded:
        return np.concatenate(parts)


def load_towers(settings: ScoreSettings) -> OnnxTowers:
    """The graphs, ready to run. Raises UsageError where they cannot be had."""
    folder = local_folder(settings)
    if folder is None:
        raise UsageError("score.model: the onnx backend reads a folder: say score.model: local-dir:FOLDER")
    return OnnxTowers(folder, settings)


def embedding_width(settings: ScoreSettings) -> int:
    """How wide the model's embeddings are: its description says nothing of it, so one black image is asked."""
    towers = load_towers(settings)
    form = towers.form
    batch = ImageBatch(np.zeros((1, form.height, form.width, 3), np.uint8))
    return int(towers.embed_images(batch).shape[1])


def check_model(settings: ScoreSettings) -> None:
    """Nothing beyond what its files tell: the model is a folder."""


def _described(folder: Path) -> dict[str, Any]:
    return read_json(folder / ONNX_DESCRIPTION, "how images and texts become the graphs' inputs")


def _form_of(described: dict[str, Any], folder: Path) -> ImageForm:
    try:
        size = described["size"]
        height, width = (size, size) if isinstance(size, int) else size
        resize, interpolation = described.get("resize", "shortest"), described.get("interpolation", "bicubic")
        if resize not in ("shortest", "longest", "squash") or interpolation not in ("bicubic", "bilinear"):
            raise ValueError(f"resize {resize!r} by {interpolation!r}")
        mean, std = (three_numbers(described[name]) for name in ("mean", "std"))
        int(described["context_length"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"score.model: {str(folder / ONNX_DESCRIPTION)!r} is not as expected ({type(error).__name__}: {error}): it "
            "should hold size, mean, std and context_length, and may hold resize, interpolation, pad_id, dynamic_length"
        ) from error
    return ImageForm(height, width, resize, interpolation, mean, std)


def _session(path: Path, settings: ScoreSettings) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"scoring needs onnxruntime, which cannot be imported ({error}): {INSTALL_ONNX}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.cpu_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with users_fault(f"score.model: {str(path)!r} cannot be loaded", *onnx_errors()):
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _first_output(session: Any, inputs: dict[str, Any]) -> Embedded:
    vectors: Embedded = np.asarray(session.run(None, inputs)[0], np.float32)
    return vectors
