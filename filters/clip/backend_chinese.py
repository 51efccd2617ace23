"""Chinese-CLIP: transformers' ChineseCLIPModel, from a folder as its authors release it, or from a hub."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.clip.hf_form import read_form, read_json
from filters.clip.settings import ScoreSettings
from filters.clip.torch_towers import TORCH_DTYPES, TorchTowers, device_of, prepare_torchvision, weights_sha256
from filters.clip.towers import ScorerIdentity
from filters.clip.weights import CHINESE_FILES, HF_HUB, INSTALL, local_folder
from filters.clip.wordpiece import load_tokenizer
from filters.users_faults import users_fault
from shards.errors import UsageError

if TYPE_CHECKING:
    import torch

CONTEXT_LENGTH = 52
"""Tokens of a text, [CLS] and [SEP] among them: what the released models were trained with."""


def load_towers(settings: ScoreSettings) -> TorchTowers:
    """The model on its device. Raises UsageError where it cannot be had."""
    folder = local_folder(settings) or _from_hub(settings)
    prepare_torchvision()
    try:
        from transformers import ChineseCLIPModel
    except ImportError as error:
        raise UsageError(f"scoring needs transformers, which cannot be imported ({error}): {INSTALL}") from error
    device = device_of(settings)
    with users_fault(f"score.model {settings.model!r} could not be loaded"):
        model = ChineseCLIPModel.from_pretrained(folder, local_files_only=True, weights_only=True)
    _halved(model, settings).eval().to(device)
    text_config: Any = model.config.text_config
    context_length = min(CONTEXT_LENGTH, text_config.max_position_embeddings)
    form = read_form(folder / "preprocessor_config.json")
    name = "local model" if local_folder(settings) else settings.model
    identity = ScorerIdentity(f"chinese-clip {name}", weights_sha256(model), form.words)
    padding = text_config.pad_token_id or 0
    return TorchTowers(
        identity,
        form,
        settings,
        device,
        partial(_encode_image, model, settings.precision),
        partial(_encode_text, model, settings.precision, padding),
        load_tokenizer(folder, context_length, padding),
        padding,
    )


def check_model(settings: ScoreSettings) -> None:
    """Brings a hub's files into the hub's own cache. Raises UsageError where they cannot be had."""
    if local_folder(settings) is None:
        _from_hub(settings)


def embedding_width(settings: ScoreSettings) -> int:
    """How wide the model's embeddings are, as its configuration says."""
    folder = local_folder(settings) or _from_hub(settings)
    config = read_json(folder / CHINESE_FILES[0], "how the model is built")
    return int(config.get("projection_dim", 512))  # 512 is transformers' own default


def _from_hub(settings: ScoreSettings) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [*CHINESE_FILES, "vocab.txt", "tokenizer.json", "*.safetensors", "pytorch_model.bin"]
    how = (
        f". Without a network, copy {', '.join(CHINESE_FILES)}, vocab.txt and the weights into a folder and say "
        "score.model: local-dir:FOLDER"
    )
    with users_fault(f"score.model {settings.model!r} could not be had", then=how):
        return Path(snapshot_download(settings.model.removeprefix(HF_HUB), allow_patterns=patterns))


def _halved(model: Any, settings: ScoreSettings) -> Any:
    """The weights of products in the recipe's numbers, once and for all; autocast keeps the rest in fp32."""
    import torch

    if settings.precision != "fp32":
        for module in model.modules():
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
                module.to(getattr(torch, TORCH_DTYPES[settings.precision]))
    return model.to(memory_format=torch.channels_last)


def _encode_image(model: Any, precision: str, pixels: "torch.Tensor") -> "torch.Tensor":
    with _autocast(pixels.device.type, precision):
        vectors: torch.Tensor = model.get_image_features(pixel_values=pixels).pooler_output
    return vectors


def _encode_text(model: Any, precision: str, padding: int, tokens: "torch.Tensor") -> "torch.Tensor":
    with _autocast(tokens.device.type, precision):
        made = model.get_text_features(input_ids=tokens, attention_mask=(tokens != padding).long())
    vectors: torch.Tensor = made.pooler_output
    return vectors


def _autocast(kind: str, precision: str) -> Any:
    import torch

    return torch.autocast(kind, getattr(torch, TORCH_DTYPES[precision]), enabled=precision != "fp32")
