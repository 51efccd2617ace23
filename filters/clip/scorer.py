"""How well each text fits its image: cosine similarities of a dual encoder, whichever backend runs it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from filters.clip.busy import Busy, busy_on
from filters.clip.feed import Feeder, Undecoded, decoded
from filters.clip.form import Pixels
from filters.clip.settings import Backend, ScoreSettings
from filters.clip.towers import ScorerIdentity, Towers
from filters.clip.weights import LOCAL_DIR, check_files

__all__ = ["Pixels", "Scorer", "ScorerIdentity", "Undecoded", "Vectors", "check_scorer", "load_scorer"]

Vectors = npt.NDArray[np.float64]
"""float64 [n, d], L2-normalised; rows of NaN where there is no image, or where the model overflowed."""

BACKENDS: dict[Backend, str] = {
    "open_clip": "filters.clip.backend_open_clip",
    "chinese-clip": "filters.clip.backend_chinese",
    "onnx": "filters.clip.backend_onnx",
}
"""What loads a model: a module with `load_towers`, imported when it is needed."""

_PAIRS_AT_ONCE = 8192


@dataclass(frozen=True)
class EncodedTexts:
    """Texts of which many are the same: the vectors of the distinct ones, and of each text its place among them.

    `places` is int64 [n], -1 for a text that is null.
    """

    vectors: Vectors
    places: npt.NDArray[np.int64]


class Scorer:
    """A loaded dual encoder. Equal calls give equal scores, whatever else the machine does."""

    def __init__(self, towers: Towers, settings: ScoreSettings, busy: Busy | None = None) -> None:
        self.identity, self.device = towers.identity, towers.device
        self._towers, self._batch_size = towers, settings.batch_size
        self._feeder = Feeder(towers, settings.batch_size, _num_threads(settings, towers.device))
        self._busy = busy or busy_on(towers.device)

    @property
    def busy_s(self) -> float:
        """Seconds in which the model had work, since it was loaded."""
        return self._busy.seconds()

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
        return pair_cosines(image_vectors, owners, self.encode_texts(texts))

    def encode_texts(self, texts: Sequence[str | None]) -> EncodedTexts:
        """The vectors of texts among which some are null or come more than once; each distinct one is encoded once."""
        distinct = sorted({text for text in texts if text is not None})
        place = {text: index for index, text in enumerate(distinct)}
        places = np.array([-1 if text is None else place[text] for text in texts], np.int64)
        return EncodedTexts(self.embed_texts(distinct), places)

    def embed_images(self, images: Sequence[Pixels]) -> Vectors:
        """One vector an image, after the model's own resize, crop and normalisation."""
        return self.embed_undecoded([decoded(pixels) for pixels in images])

    def embed_undecoded(self, images: Sequence[Undecoded]) -> Vectors:
        """One vector an image, `batch_size` at a time in the order given; threads decode ahead of the model."""
        return self._embed(images, (False,))[0]

    def embed_with_mirrored(self, images: Sequence[Undecoded]) -> tuple[Vectors, Vectors]:
        """As `embed_undecoded`; and of the same batches what the model sees with left and right changed."""
        plain, mirrored = self._embed(images, (False, True))
        return plain, mirrored

    def _embed(self, images: Sequence[Undecoded], mirrorings: tuple[bool, ...]) -> list[Vectors]:
        if not images:
            return [np.zeros((0, 0)) for _ in mirrorings]
        made: list[list[Any]] = [[] for _ in mirrorings]
        missing = []
        for number, fed in enumerate(self._feeder.batches(images)):
            for some, is_mirrored in zip(made, mirrorings, strict=True):
                with self._busy.working():
                    some.append(self._towers.embed_images(replace(fed.batch, is_mirrored=is_mirrored)))
            missing += [number * self._batch_size + place for place in fed.missing]
        found = [_normalised(self._towers.gathered(some)) for some in made]
        for vectors in found:
            vectors[missing] = np.nan
        return found

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """One vector a text, cut to the model's context length; those of like length share a batch."""
        if not texts:
            return np.zeros((0, 0))
        size = self._batch_size
        tokens = np.concatenate([self._towers.tokens(texts[at : at + size]) for at in range(0, len(texts), size)])
        order = np.argsort(_lengths(tokens), kind="stable")
        made = []
        for at in range(0, len(texts), size):
            with self._busy.working():
                made.append(self._towers.embed_tokens(tokens[order[at : at + size]]))
        sorted_vectors = _normalised(self._towers.gathered(made))
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        return vectors


def pair_cosines(
    image_vectors: Vectors, owners: npt.NDArray[np.integer[Any]], texts: EncodedTexts
) -> npt.NDArray[np.float64]:
    """The cosine of each text with the image of its owner, rounded to 1e-4; NaN where either has no vector."""
    found = np.full(len(texts.places), np.nan)
    told = np.flatnonzero(texts.places >= 0)
    for start in range(0, len(told), _PAIRS_AT_ONCE):
        some = told[start : start + _PAIRS_AT_ONCE]
        found[some] = rounded_cosines(
            np.einsum("nd,nd->n", image_vectors[owners[some]], texts.vectors[texts.places[some]])
        )
    return found


def rounded_cosines(products: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Products of normalised vectors as scores are stored: -1.0 to 1.0, rounded to 1e-4."""
    # The sum turns -0.0 into 0.0, which print and compare as two values in some readers.
    return np.asarray(np.round(np.clip(products, -1.0, 1.0), 4) + 0.0)


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
