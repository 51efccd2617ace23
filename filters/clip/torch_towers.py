"""Dual encoders that torch runs, on CPU or GPU: devices, precision, copies, and what happens where memory ends."""

import hashlib
import importlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from filters.clip.form import ImageForm
from filters.clip.resize import resized
from filters.clip.settings import ScoreSettings
from filters.clip.towers import Embedded, ImageBatch, ScorerIdentity, Tokens
from filters.clip.weights import INSTALL
from shards.errors import UsageError

if TYPE_CHECKING:
    import torch


class _Sliced(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, some: slice, /) -> Self: ...


_Batch = TypeVar("_Batch", bound=_Sliced)

TORCH_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_LENGTH_STEP = 8
"""Texts are as long as their longest, up to a multiple of this: few shapes, and ones that tensor cores like."""
_MOST_COPIES = 2
"""Batches on their way to a GPU beside the one that it works on."""


class TorchTowers:
    """Two towers behind what differs between libraries: how each tower is called, and how a text becomes tokens.

    `encode_image` takes normalised pixels [n, 3, h, w] in the model's number type, `encode_text` token ids. `padding`
    is the token that fills texts up where they may be cut before it, else None.
    """

    def __init__(
        self,
        identity: ScorerIdentity,
        form: ImageForm,
        settings: ScoreSettings,
        device: str,
        encode_image: Callable[["torch.Tensor"], "torch.Tensor"],
        encode_text: Callable[["torch.Tensor"], "torch.Tensor"],
        tokenize: Callable[[Sequence[str]], Tokens],
        padding: int | None,
    ) -> None:
        import torch

        self.identity, self.form, self.device = identity, form, device
        self.tokens = tokenize
        self.is_cuda = device.startswith("cuda")
        self.resizes = self.is_cuda and form.resize != "longest"
        self._encode_image, self._encode_text, self._padding = encode_image, encode_text, padding
        self._dtype: torch.dtype = getattr(torch, TORCH_DTYPES[settings.precision])
        self._cpu_threads = settings.cpu_threads
        self._mean, self._std = (torch.tensor(some, device=device)[:, None, None] for some in (form.mean, form.std))
        self._copies = _Copies(device) if self.is_cuda else None

    def new_pixels(self, *shape: int) -> npt.NDArray[np.uint8]:
        import torch

        room: npt.NDArray[np.uint8] = torch.empty(shape, dtype=torch.uint8, pin_memory=self.is_cuda).numpy()
        return room

    def embed_images(self, batch: ImageBatch) -> list["torch.Tensor"]:
        """Raises torch.OutOfMemoryError where one image alone is too much."""
        return self._run(self._images, batch)

    def embed_tokens(self, tokens: Tokens) -> list["torch.Tensor"]:
        """Raises torch.OutOfMemoryError where one text alone is too much."""
        return self._run(self._texts, self._cut(tokens))

    def gathered(self, parts: Sequence[list["torch.Tensor"]]) -> Embedded:
        import torch

        vectors: Embedded = torch.cat([piece for part in parts for piece in part]).cpu().numpy()
        return vectors

    def _run(self, encode: Callable[[_Batch], "torch.Tensor"], batch: _Batch) -> list["torch.Tensor"]:
        import torch

        # Set at every call: another library in the same process may have changed it since.
        torch.set_num_threads(self._cpu_threads)
        with torch.inference_mode():
            return halving_where_memory_ends(encode, batch)

    def _images(self, batch: ImageBatch) -> "torch.Tensor":
        import torch

        pixels = torch.from_numpy(batch.pixels)
        pixels = pixels if self._copies is None else self._copies.to_device(pixels)
        needs = batch.sizes is not None and set(batch.sizes) != {(self.form.height, self.form.width)}
        values = resized(pixels, batch.sizes, self.form) if needs and batch.sizes is not None else pixels.float()
        values = values.flip(2) if batch.is_mirrored else values
        # [n, h, w, 3] seen as [n, 3, h, w] lies channels-last. The steps are torchvision's, so that bits are too.
        ready = values.div_(255).permute(0, 3, 1, 2).sub_(self._mean).div_(self._std)
        return self._encode_image(ready.to(self._dtype)).float()

    def _texts(self, tokens: Tokens) -> "torch.Tensor":
        import torch

        return self._encode_text(torch.from_numpy(np.ascontiguousarray(tokens)).to(self.device)).float()

    def _cut(self, tokens: Tokens) -> Tokens:
        if self._padding is None or not len(tokens):
            return tokens
        used = np.flatnonzero((tokens != self._padding).any(axis=0))
        length = int(used[-1]) + 1 if len(used) else 1
        return tokens[:, : -(-length // _LENGTH_STEP) * _LENGTH_STEP]


class _Copies:
    """Copies to a GPU on a stream of their own, so that the next batch travels while the model works on this one."""

    def __init__(self, device: str) -> None:
        import torch

        cuda: Any = torch.cuda  # its classes are untyped in builds without CUDA
        self._stream = cuda.Stream(device)
        self._device = device
        self._under_way: deque[tuple[Any, torch.Tensor]] = deque()

    def to_device(self, pixels: "torch.Tensor") -> "torch.Tensor":
        import torch

        while len(self._under_way) >= _MOST_COPIES:
            self._under_way.popleft()[0].synchronize()
        with torch.cuda.stream(self._stream):
            there = pixels.to(self._device, non_blocking=True)
        main = torch.cuda.current_stream(self._device)
        main.wait_stream(self._stream)
        there.record_stream(main)
        # Kept until the copy has ended: the memory that it reads from must not be given to the next batch before.
        self._under_way.append((self._stream.record_event(), pixels))
        return there


def cuda_of_torch() -> Any:
    """What torch knows of GPUs; its classes are untyped in builds without CUDA."""
    import torch

    return torch.cuda


def prepare_torchvision() -> None:
    """Makes torchvision importable, which open_clip and transformers' image models import, beside a CPU build of torch.

    The published wheel is built for CUDA; beside a CPU build its import fails, because operators that it describes
    were never registered. Their schemas are enough here: no model calls them. Raises UsageError without torch.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(f"scoring needs torch, which cannot be imported ({error}): {INSTALL}") from error
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in _UNREGISTERED:
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_UNREGISTERED = ("nms", "qnms")
"""torchvision 0.28.0 describes both outside its own check that the compiled operators are there."""


def device_of(settings: ScoreSettings) -> str:
    """The device to run on, with the GPU's shortcuts off that would make scores vary.

    Raises UsageError where a GPU is asked for, or was given to this worker, and torch cannot use one.
    """
    import torch

    device, given = settings.device, os.environ.get("CUDA_VISIBLE_DEVICES", "")
    has_cuda = torch.cuda.is_available()
    if device == "auto":
        if not has_cuda and given not in ("", "-1", "NoDevFiles"):
            raise UsageError(
                f"score.device: auto, and this worker was given GPU {given}, but torch {torch.__version__} sees no "
                "CUDA device: install a CUDA build of torch, or say score.device: cpu"
            )
        device = "cuda" if has_cuda else "cpu"
    if device.startswith("cuda"):
        if not has_cuda:
            raise UsageError(f"score.device: {device}, but torch sees no CUDA device here; say auto or cpu")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return device


def halving_where_memory_ends(encode: Callable[[_Batch], "torch.Tensor"], batch: _Batch) -> list["torch.Tensor"]:
    """What `encode` gives of the batch, in halves and their halves as far as the device's memory asks for it."""
    import torch

    try:
        return [encode(batch)]
    except torch.OutOfMemoryError:
        if len(batch) == 1:
            raise
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    return [vectors for half in (batch[:middle], batch[middle:]) for vectors in halving_where_memory_ends(encode, half)]


def saved_by_torch(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """The tensors of a state dict in a file, by name; nothing in it is executed. Raises what torch raises of others."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickles that it may not read: it says so again where it cannot
        told: Any = torch.load(path, map_location="cpu", weights_only=True)
    told = told.get("state_dict", told) if isinstance(told, Mapping) else told
    if not isinstance(told, Mapping) or not all(isinstance(values, torch.Tensor) for values in told.values()):
        raise ValueError("it holds no mapping from names to tensors")
    return {str(name): values.double().numpy() for name, values in told.items()}


def weights_sha256(model: Any) -> str:
    """Over the loaded parameters, in order of name, as float32: the same for every way to store the same numbers."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(parameter.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
