"""Feeding models with decoded stored copies: each is made small as it comes, and run when enough have come."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from filters.models.files import MODELS, file_digest, model_file, models_behind
from filters.models.scaling import Rgb
from filters.models.settings import ModelSettings
from shards.errors import UsageError

Found = tuple[int, dict[str, object]]
"""The row that an image came with, and the values that were asked for it."""


class ImageModel(Protocol):
    """A loaded model. Equal images give equal values, whatever shares their batch."""

    batch_size: int

    def prepared(self, rgb: Rgb) -> Any:
        """What the model takes of one image: small, so that a batch of large images costs no memory."""
        ...

    def measured(self, images: Sequence[Any]) -> list[dict[str, object]]:
        """Every measure of the model for each prepared image."""
        ...


class ModelFeed:
    """One model with the images that wait for it."""

    def __init__(self, name: str, settings: ModelSettings) -> None:
        self._model = load_model(name, settings)
        self._measures = frozenset(MODELS[name].measures)
        self._waiting: list[tuple[int, list[str], Any]] = []

    def give(self, row: int, rgb: Rgb, names: Iterable[str]) -> Iterator[Found]:
        """Take an image for those of `names` that are the model's; yields what has been found meanwhile."""
        wanted = [name for name in names if name in self._measures]
        if wanted:
            self._waiting.append((row, wanted, self._model.prepared(rgb)))
            if len(self._waiting) >= self._model.batch_size:
                yield from self.rest()

    def rest(self) -> Iterator[Found]:
        """What the images give that still wait."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            found = self._model.measured([prepared for _, _, prepared in waiting])
            for (row, wanted, _), values in zip(waiting, found, strict=True):
                yield row, {name: values[name] for name in wanted}


def model_problems(measures: Iterable[str], settings: ModelSettings, loads: bool) -> list[tuple[str, str]]:
    """Place and message for each model behind some of `measures` that cannot be had.

    With `loads` each is loaded as well, since only then a file that is another model is known for one.
    """
    problems = []
    for model in models_behind(measures):
        try:
            if loads:
                load_model(model, settings)
            else:
                model_file(model, settings)
        except UsageError as error:
            problems.append((f"models.{model}", str(error).removeprefix(f"models.{model}: ")))
    return problems


def load_model(name: str, settings: ModelSettings) -> ImageModel:
    """A model of MODELS, loaded once a process. Raises UsageError where it cannot be had."""
    path = model_file(name, settings)
    return _loaded(name, str(path), file_digest(path))


@lru_cache(maxsize=len(MODELS))
def _loaded(name: str, path: str, _digest: str) -> ImageModel:
    module, _, loader = MODELS[name].loader.partition(":")
    model: ImageModel = getattr(import_module(module), loader)(Path(path))
    return model
