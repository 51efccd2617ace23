"""How well each text fits its image: cosine similarities of a dual encoder, whichever backend runs it."""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.clip_feed import Feeder, Undecoded, decoded
from filters.clip_form import Pixels
from filters.clip_settings import Backend, ScoreSettings
from filters.clip_towers import ScorerIdentity, Towers
from filters.clip_weights import LOCAL_DIR, check_files

__all__ = ["Pixels", "Scorer", "ScorerIdentity", "Undecoded", "Vectors", "check_scorer", "load_scorer"]

Vectors = npt.NDArray[np.float64]
"""float64 [n, d], L2-normalised; rows of NaN where there is no image, or where the model overflowed."""

BACKENDS: dict[Backend, str] = {
    "open_clip": "filters.clip_open_clip",
    "chinese-clip": "filters.clip_chinese",
    "onnx": "filters.clip_onnx",
}
"""What loads a model: a module with `load_towers`, imported when it is needed."""

_PAIRS_AT_ONCE = 8192


class Scorer:
    """A loaded dual encoder. Equal calls give equal scores, whatever else the machine does."""

    def __init__(self, towers: Towers, settings: ScoreSettings) -> None:
        self.identity, self.device = towers.identity, towers.device
        self._towers, self._batch_size = towers, settings.batch_size
        self._feeder = Feeder(towers, settings.batch_size, _num_threads(settings, towers.device))

    def score(self, images: Sequence[Pixels], texts: Sequence[Sequence[str]]) -> list[list[float | None]]:
        """Cosine of each image with each of its own texts, -1.0 to 1.0, rounded to 1e-4, shaped as `texts`.

        None stands where the model overflowed (possible in fp16). What shares a batch is fixed by the call.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images stand beside {len(texts)} lists of texts")
        if not any(texts):
            return [[] for _ in texts]
        owners = np.repeat(np.arange(len(texts)), [len(own) for own in texts])
        found = self.score_pairs(self.embed_images(images), owners, [text for own in texts for text in own])
        scores = iter(None if np.isnan(score) else float(score) for score in found)
        return [[next(scores) for _ in own] for own in texts]

    def score_pairs(
        self, image_vectors: Vectors, owners: npt.NDArray[np.integer[Any]], texts: Sequence[str | None]
    ) -> npt.NDArray[np.float64]:
        """The score of each text with the image of its owner, a place in `image_vectors`; NaN where there is none.

        Each distinct text is encoded once.
        """
        distinct = sorted({text for text in texts if text is not None})
        place = {text: index for index, text in enumerate(distinct)}
        found = np.full(len(texts), np.nan)
        told = np.array([index for index, text in enumerate(texts) if text is not None], np.int64)
        if not len(told):
            return found
        text_vectors = self.embed_texts(distinct)
        places = np.array([place[text] for text in texts if text is not None])
        for start in range(0, len(told), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            found[told[some]] = _cosines(image_vectors[owners[told[some]]], text_vectors[places[some]])
        return found

    def embed_images(self, images: Sequence[Pixels]) -> Vectors:
        """One vector an image, after the model's own resize, crop and normalisation."""
        return self.embed_undecoded([decoded(pixels) for pixels in images])

    def embed_undecoded(self, images: Sequence[Undecoded]) -> Vectors:
        """One vector an image, `batch_size` at a time in the order given; threads decode ahead of the model."""
        if not images:
            return np.zeros((0, 0))
        made, missing = [], []
        for number, fed in enumerate(self._feeder.batches(images)):
            made.append(self._towers.embed_images(fed.batch))
            missing += [number * self._batch_size + place for place in fed.missing]
        vectors = _normalised(self._towers.gathered(made))
        vectors[missing] = np.nan
        return vectors

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, cut to the model's context length; those of like length share a batch."""
        if not texts:
            return np.zeros((0, 0))
        size = self._batch_size
        tokens = np.concatenate([self._towers.tokens(texts[at : at + size]) for at in range(0, len(texts), size)])
        order = np.argsort(_lengths(tokens), kind="stable")
        made = [self._towers.embed_tokens(tokens[order[at : at + size]]) for at in range(0, len(texts), size)]
        sorted_vectors = _normalised(self._towers.gathered(made))
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors


def load_scorer(settings: ScoreSettings) -> Scorer:
    """The model on its device, ready to score. Raises UsageError where it cannot be had."""
    check_files(settings)
    load_towers: Callable[[ScoreSettings], Towers] = import_module(BACKENDS[settings.backend]).load_towers
    return Scorer(load_towers(settings), settings)


def check_scorer(settings: ScoreSettings) -> None:
    """Raises UsageError, before anything is fetched, where the model or its weights cannot be had.

    Local weights are judged from their files alone, without importing torch. Weights of a hub are brought into the
    hub's own cache now, so that no worker has to.
    """
    check_files(settings)
    if not settings.model.startswith(LOCAL_DIR):
        import_module(BACKENDS[settings.backend]).check_model(settings)


def _num_threads(settings: ScoreSettings, device: str) -> int:
    if settings.decode_threads is not None:
        return settings.decode_threads
    return 1 if device == "cpu" else max(1, round((os.cpu_count() or 1) * settings.gpu_share))


def _lengths(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How long each text is, up to what all share at their ends (padding, where a text is short)."""
    differs = tokens != tokens[:, -1:]
    lengths: npt.NDArray[np.int64] = tokens.shape[1] - np.argmax(differs[:, ::-1], axis=1)
    return np.where(differs.any(axis=1), lengths, 1)


def _normalised(vectors: npt.NDArray[np.float32]) -> Vectors:
    """In double precision, so that a cosine is exact far beyond its rounding; NaN where a number is not finite."""
    doubled = vectors.astype(np.float64)
    doubled[~np.isfinite(doubled).all(axis=1)] = np.nan
    norms = np.sqrt(np.einsum("nd,nd->n", doubled, doubled))
    return np.asarray(doubled / np.maximum(norms, 1e-12)[:, None])


def _cosines(images: Vectors, texts: Vectors) -> npt.NDArray[np.float64]:
    # The sum turns -0.0 into 0.0, which print and compare as two values in some readers.
    return np.asarray(np.round(np.clip(np.einsum("nd,nd->n", images, texts), -1.0, 1.0), 4) + 0.0)
