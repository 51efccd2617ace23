"""Heads: small networks over an image's embedding (beauty, watermarks, unsafe content), from a file of weights."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from filters.clip.settings import Activation, HeadSettings, Output
from filters.clip.torch_towers import saved_by_torch
from filters.users_faults import users_fault
from shards.errors import UsageError

Floats = npt.NDArray[np.float64]

_MAX_BYTES = 256 << 20
_NAMES = re.compile(r"(?:(?P<layer>.+)\.)?(?P<part>weight|bias)")

_ACTIVATIONS: Mapping[Activation, Callable[[Floats], Floats]] = {
    "none": lambda values: values,
    "relu": lambda values: np.maximum(values, 0.0),
    "tanh": np.tanh,
}
_OUTPUTS: Mapping[Output, Callable[[Floats], Floats]] = {
    "linear": lambda values: values[:, 0],
    "sigmoid": lambda values: _sigmoid(values[:, 0]),
    "softmax": lambda values: _sigmoid(values[:, 1] - values[:, 0]),
}
"""What becomes of the last layer's values: as they are, the probability that they stand for, or the second of two."""


@dataclass(frozen=True)
class Head:
    """Linear layers over a normalised embedding. `sha256` is of the file that they were read from."""

    name: str
    layers: tuple[tuple[Floats, Floats], ...]
    activation: Activation
    output: Output
    sha256: str

    @property
    def width(self) -> int:
        """How wide the embeddings are that it takes."""
        return int(self.layers[0][0].shape[1])

    @property
    def identity(self) -> dict[str, str]:
        """What decides its values beside the embedding; holds no path."""
        return {"sha256": self.sha256, "activation": self.activation, "output": self.output}

    def __call__(self, vectors: Floats) -> Floats:
        """A number an image of [n, width] L2-normalised vectors, rounded to 1e-4; NaN where a vector is NaN."""
        if not len(vectors):
            return np.zeros(0)
        check_width(self, vectors.shape[1])
        known = np.asarray(np.isfinite(vectors).all(axis=1))
        values = np.where(known[:, None], vectors, 0.0)
        for place, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if place < len(self.layers) - 1:
                values = _ACTIVATIONS[self.activation](values)
        found = np.round(_OUTPUTS[self.output](values), 4) + 0.0
        return np.where(known & np.isfinite(found), found, np.nan)


def check_width(head: Head, width: int) -> None:
    """Raises UsageError where the model's embeddings are of another width than the head takes."""
    if head.width != width:
        raise UsageError(
            f"score.heads.{head.name}: it takes embeddings of {head.width} numbers, and the model of `score` makes "
            f"{width}: name the model that the head was trained on, or a head for this one"
        )


def read_head(name: str, told: HeadSettings) -> Head:
    """Read from safetensors, or by `torch.load(weights_only=True)`: linear layers, in the order of their names.

    Weights are [out, in]; a layer without a bias has none. Raises UsageError for anything else.
    """
    path, place = Path(told.path), f"score.heads.{name}"
    if not path.is_file():
        raise UsageError(f"{place}: no file at {told.path!r}; expected weights, in safetensors or as torch saves them")
    if path.stat().st_size > _MAX_BYTES:
        raise UsageError(f"{place}: {told.path!r} is over 256 MiB: it should hold a few linear layers alone")
    content = path.read_bytes()
    with users_fault(f"{place}: {told.path!r} cannot be read as weights"):
        tensors = _safetensors(content) if path.suffix == ".safetensors" else saved_by_torch(path)
    layers = _layers(tensors, f"{place}: {told.path!r}")
    outputs = 2 if told.output == "softmax" else 1
    if len(layers[-1][0]) != outputs:
        raise UsageError(
            f"{place}: {told.path!r} gives {len(layers[-1][0])} numbers an image; output {told.output} takes {outputs}"
        )
    return Head(name, layers, told.activation, told.output, hashlib.sha256(content).hexdigest())


def _safetensors(content: bytes) -> dict[str, Floats]:
    from safetensors.numpy import load

    return {name: np.asarray(values, np.float64) for name, values in load(content).items()}


def _layers(tensors: Mapping[str, Floats], place: str) -> tuple[tuple[Floats, Floats], ...]:
    weights, biases = _by_layer(tensors, place)
    layers: list[tuple[Floats, Floats]] = []
    for name in sorted(weights, key=_in_order):
        weight = weights[name]
        bias = biases.get(name, np.zeros(weight.shape[0]))
        if weight.ndim != 2 or not weight.size or bias.shape != weight.shape[:1]:
            raise UsageError(
                f"{place}: {name or 'weight'} is {list(weight.shape)} with a bias of {list(bias.shape)}; expected the "
                "[out, in] of a linear layer, and a bias of [out]"
            )
        if layers and layers[-1][0].shape[0] != weight.shape[1]:
            raise UsageError(
                f"{place}: {name} takes {weight.shape[1]} numbers, and the layer before it gives "
                f"{layers[-1][0].shape[0]}: layers are taken in the order of their names"
            )
        if not np.isfinite(weight).all() or not np.isfinite(bias).all():
            raise UsageError(f"{place}: {name or 'weight'} holds a number that is not finite")
        layers.append((weight, bias))
    return tuple(layers)


def _by_layer(tensors: Mapping[str, Floats], place: str) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The weights and the biases by the name of their layer."""
    found: dict[str, dict[str, Floats]] = {"weight": {}, "bias": {}}
    for name, values in tensors.items():
        match = _NAMES.fullmatch(name)
        if match is None:
            raise UsageError(f"{place}: {name} is of no linear layer: a head holds NAME.weight and NAME.bias alone")
        found[match["part"]][match["layer"] or ""] = values
    lonely = sorted(set(found["bias"]) - set(found["weight"]))
    if lonely or not found["weight"]:
        lacks = f"{lonely[0]}.weight" if any(lonely) else "weight"
        raise UsageError(f"{place}: there is no {lacks} in it")
    return found["weight"], found["bias"]


def _in_order(name: str) -> list[tuple[int, str]]:
    """layers.2 before layers.10."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", name)]


def _sigmoid(values: Floats) -> Floats:
    # By way of tanh nothing overflows, however large the value.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))
