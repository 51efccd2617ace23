"""Dual encoders that open_clip builds: any of its architectures, by name, from a hub or from a folder."""

import importlib
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.clip.form import ImageForm
from filters.clip.settings import ScoreSettings
from filters.clip.torch_towers import TorchTowers, device_of, prepare_torchvision, weights_sha256
from filters.clip.towers import ScorerIdentity, Tokens
from filters.clip.weights import HF_HUB, INSTALL, LOCAL_DIR
from filters.users_faults import users_fault
from shards.errors import UsageError

if TYPE_CHECKING:
    import torch


def load_towers(settings: ScoreSettings) -> TorchTowers:
    """The model on its device. Raises UsageError where it cannot be had."""
    open_clip = import_open_clip()
    device = device_of(settings)
    named = settings.model.startswith((LOCAL_DIR, HF_HUB))
    with users_fault(f"{_naming(settings)} could not be loaded"):
        model, _, _ = open_clip.create_model_and_transforms(
            settings.model,
            pretrained=None if named else settings.pretrained,
            precision=settings.precision,
            device=device,
            weights_only=True,
        )
        tokenize = open_clip.get_tokenizer(settings.model)
    return towers_of(model, tokenize, settings, device)


def towers_of(model: Any, tokenize: Any, settings: ScoreSettings, device: str) -> TorchTowers:
    """A model that open_clip has built, with its tokenizer, as the scorer takes it."""
    import torch

    model.eval().to(memory_format=torch.channels_last)
    form = _form_of(model.visual.preprocess_cfg)
    identity = ScorerIdentity(_name_of(settings), weights_sha256(model), form.words)

    def tokens(texts: Sequence[str]) -> Tokens:
        ids: Tokens = tokenize(list(texts)).numpy()
        return ids

    encode_text, padding = _text_tower(model, tokenize)
    encode_image = partial(model.encode_image, normalize=True)
    return TorchTowers(identity, form, settings, device, encode_image, encode_text, tokens, padding)


def check_model(settings: ScoreSettings) -> None:
    """Brings a hub's weights into the hub's own cache. Raises UsageError where they cannot be had."""
    open_clip = import_open_clip()
    how = (
        ". Without a network, copy open_clip_config.json, the weights and the tokenizer into a folder and say "
        "score.model: local-dir:FOLDER"
    )
    with users_fault(f"{_naming(settings)} could not be had", then=how):
        if settings.model.startswith(HF_HUB):
            open_clip.pretrained.download_pretrained_from_hf(settings.model.removeprefix(HF_HUB))
        else:
            _check_released(open_clip, settings)
        open_clip.get_tokenizer(settings.model)


def embedding_width(settings: ScoreSettings) -> int:
    """How wide the model's embeddings are, as its configuration says."""
    open_clip = import_open_clip()
    with users_fault(f"{_naming(settings)} could not be had"):
        name = settings.model if settings.model.startswith(HF_HUB) else settings.model.replace("/", "-")
        return int(open_clip.get_model_config(name)["embed_dim"])


def import_open_clip() -> Any:
    """The open_clip module, also where torchvision's compiled operators do not fit the installed torch."""
    prepare_torchvision()
    try:
        return importlib.import_module("open_clip")
    except ImportError as error:
        raise UsageError(f"scoring needs open_clip, which cannot be imported ({error}): {INSTALL}") from error


def _form_of(told: dict[str, Any]) -> ImageForm:
    size = told["size"]
    height, width = (size, size) if isinstance(size, int) else size
    resize, interpolation = told.get("resize_mode", "shortest"), told.get("interpolation", "bicubic")
    if interpolation not in ("bicubic", "bilinear"):
        raise UsageError(f"score.model: images are resized by {interpolation!r} there; bicubic and bilinear are known")
    mean, std = tuple(told["mean"]), tuple(told["std"])
    return ImageForm(height, width, resize, interpolation, mean, std, told.get("fill_color", 0))


def _text_tower(model: Any, tokenize: Any) -> tuple[Callable[["torch.Tensor"], "torch.Tensor"], int | None]:
    """How texts are encoded, and the padding before which they may be cut, where that changes no result.

    Behind a causal mask what follows a text's end has no effect on it, and towers of transformers mask their padding.
    """
    whole = partial(model.encode_text, normalize=True)
    tower = getattr(model, "text", model)
    padding = getattr(getattr(tokenize, "tokenizer", None), "pad_token_id", 0)
    if type(tower).__name__ == "HFTextEncoder":
        return whole, tower.config.pad_token_id
    is_causal = getattr(tower, "attn_mask", None) is not None and getattr(tower, "cls_emb", None) is None
    if not is_causal or getattr(tower, "pool_type", getattr(tower, "text_pool_type", "")) not in ("argmax", "eos"):
        return whole, None
    return partial(_encode_short_text, model, tower), padding


def _encode_short_text(model: Any, tower: Any, tokens: "torch.Tensor") -> "torch.Tensor":
    """As the model's `encode_text`, which takes texts of its full context length alone."""
    import torch

    length = tokens.shape[1]
    shorter = {
        "positional_embedding": tower.positional_embedding[:length],
        "attn_mask": tower.attn_mask[:length, :length],
    }
    if tower is not model:
        raw: torch.Tensor = torch.func.functional_call(tower, shorter, (tokens,))
        return torch.nn.functional.normalize(raw, dim=-1)
    vectors: torch.Tensor
    made: Any = torch.func.functional_call(model, shorter, (), {"text": tokens})
    vectors = made["text_features"] if isinstance(made, dict) else made[1]
    return vectors


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


def _name_of(settings: ScoreSettings) -> str:
    local = settings.model.startswith(LOCAL_DIR)
    pretrained = settings.pretrained or ""
    weights = "" if local or Path(pretrained).is_file() else f" {pretrained}"
    return "local model" if local else settings.model + weights


def _naming(settings: ScoreSettings) -> str:
    if settings.model.startswith((LOCAL_DIR, HF_HUB)):
        return f"score.model {settings.model!r}"
    return f"score.model {settings.model!r} with pretrained {settings.pretrained!r}"
