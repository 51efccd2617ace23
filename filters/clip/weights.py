"""Where a scorer's weights lie: told from files alone where that is possible, before anything is fetched."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from filters.clip.hf_form import read_form, read_json
from filters.clip.settings import ScoreSettings
from shards.errors import UsageError

LOCAL_DIR = "local-dir:"
HF_HUB = "hf-hub:"
INSTALL = "install it with: pip install 'curate[clip]'"
INSTALL_ONNX = "install it with: pip install 'curate[onnx]'"
ONNX_DESCRIPTION = "curate_onnx.json"
CHINESE_FILES = ("config.json", "preprocessor_config.json")
_CONFIG = "open_clip_config.json"
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model")
_WORD_PIECES = ("tokenizer.json", "vocab.txt")
_HOW = "; infra/docs/score.md says how to get it"


def check_files(settings: ScoreSettings) -> None:
    """Raises UsageError for what files alone tell is missing or broken; imports no library that runs models."""
    check = {"open_clip": _check_open_clip, "chinese-clip": _check_chinese, "onnx": _check_onnx}
    check[settings.backend](settings)


def local_folder(settings: ScoreSettings) -> Path | None:
    """The folder of a `local-dir:` model, else None."""
    if not settings.model.startswith(LOCAL_DIR):
        return None
    return Path(settings.model.removeprefix(LOCAL_DIR))


def folder_width(settings: ScoreSettings) -> int | None:
    """How wide the embeddings of a local model are, where a file beside its weights says so."""
    folder = local_folder(settings)
    if folder is None or settings.backend == "onnx":
        return None
    if settings.backend == "chinese-clip":
        width = read_json(folder / CHINESE_FILES[0], f"how the model is built{_HOW}").get("projection_dim", 512)
    else:
        width = read_json(folder / _CONFIG, "how the model is built")["model_cfg"]["embed_dim"]
    return width if isinstance(width, int) else None


def score_identity(settings: ScoreSettings) -> dict[str, str | int | None]:
    """What of the settings decides scores, for fingerprints: local files count by content and not by place.

    The files of a folder hold weights, tokenizer and preprocessing; a hub's are known by their name.
    """
    folder = local_folder(settings)
    model, pretrained = settings.model, settings.pretrained
    if folder is not None:
        model, pretrained = LOCAL_DIR + _digest_of(sorted(p for p in folder.iterdir() if p.is_file())), None
    elif model.startswith(HF_HUB):
        pretrained = None
    elif pretrained is not None and Path(pretrained).is_file():
        pretrained = _digest_of([Path(pretrained)])
    return {
        "backend": settings.backend,
        "model": model,
        "pretrained": pretrained,
        "precision": settings.precision,
        "batch_size": settings.batch_size,
        "cpu_threads": settings.cpu_threads,
    }


def _check_open_clip(settings: ScoreSettings) -> None:
    folder = local_folder(settings)
    if folder is not None:
        _check_open_clip_folder(folder)
    elif settings.model.startswith(HF_HUB):
        _check_hub_name(settings)
    elif settings.pretrained is None:
        raise UsageError(
            f"score.pretrained is missing: name the weights of {settings.model!r} (a released name such as "
            "laion5b_s13b_b90k, or a file); random weights score nothing"
        )
    elif _looks_like_path(settings.pretrained) and not Path(settings.pretrained).is_file():
        raise UsageError(f"score.pretrained: no weights file at {settings.pretrained!r}")
    _check_installed("open_clip and torch", ("open_clip", "torch"), INSTALL)


def _check_chinese(settings: ScoreSettings) -> None:
    folder = local_folder(settings)
    if folder is None:
        _check_hub_name(settings)
    else:
        _check_is_folder(folder)
        config = read_json(folder / CHINESE_FILES[0], f"how the model is built{_HOW}")
        if config.get("model_type") != "chinese_clip":
            raise UsageError(
                f"score.model: {str(folder / CHINESE_FILES[0])!r} is of a model of type {config.get('model_type')!r}; "
                "the chinese-clip backend loads 'chinese_clip'"
            )
        read_form(folder / CHINESE_FILES[1])
        _check_weights(folder, "model.safetensors")
        _check_has_one(folder, _WORD_PIECES, "tokenizer")
    _check_installed("transformers and torch", ("transformers", "torch"), INSTALL)


def _check_onnx(settings: ScoreSettings) -> None:
    folder = local_folder(settings)
    if folder is None:
        raise UsageError(
            f"score.model: {settings.model!r} is no folder; the onnx backend reads one: say local-dir:FOLDER{_HOW}"
        )
    _check_is_folder(folder)
    for name in ("image.onnx", "text.onnx", ONNX_DESCRIPTION):
        _check_has_one(folder, (name,), "part of the model")
    _check_has_one(folder, _WORD_PIECES, "tokenizer")
    if settings.precision != "fp32":
        raise UsageError(
            f"score.precision: the onnx backend computes as its graphs say; {settings.precision} is not told"
        )
    if settings.device not in ("auto", "cpu"):
        raise UsageError(f"score.device: the onnx backend runs on the CPU, not on {settings.device}; say auto or cpu")
    _check_installed("onnxruntime and tokenizers", ("onnxruntime", "tokenizers"), INSTALL_ONNX)


def _check_hub_name(settings: ScoreSettings) -> None:
    if not settings.model.startswith(HF_HUB) or settings.model.count("/") != 1:
        also = " or local-dir:FOLDER" if settings.backend != "open_clip" else ""
        raise UsageError(f"score.model: {settings.model!r} should read hf-hub:OWNER/NAME{also}")


def _check_installed(names: str, modules: tuple[str, ...], how: str) -> None:
    if any(find_spec(module) is None for module in modules):
        raise UsageError(f"scoring needs {names}, which are not installed: {how}")


def _check_open_clip_folder(folder: Path) -> None:
    _check_is_folder(folder)
    content = read_json(folder / _CONFIG, "how the model is built")
    model = content.get("model_cfg")
    if not isinstance(model, dict) or any(key not in model for key in _CONFIG_KEYS):
        raise UsageError(f"score.model: {str(folder / _CONFIG)!r} should hold model_cfg with {', '.join(_CONFIG_KEYS)}")
    _check_weights(folder, "open_clip_model.safetensors")
    text_config = model["text_cfg"]
    if isinstance(text_config, dict) and text_config.get("hf_tokenizer_name"):
        _check_has_one(folder, _TOKENIZER_FILES, "tokenizer")


def _check_is_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"score.model: no folder at {str(folder)!r}, which local-dir: names{_HOW}")


def _check_weights(folder: Path, usual: str) -> None:
    if not any(path.suffix in _WEIGHT_SUFFIXES for path in folder.iterdir()):
        raise UsageError(f"score.model: {str(folder)!r} holds no weights; put {usual} there{_HOW}")


def _check_has_one(folder: Path, names: tuple[str, ...], what: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise UsageError(f"score.model: {str(folder)!r} holds no {what}; put {' or '.join(names)} there{_HOW}")


def _looks_like_path(pretrained: str) -> bool:
    """Released weights have plain names; open_clip takes anything else for a file."""
    return "/" in pretrained or "\\" in pretrained or Path(pretrained).suffix != ""


def _digest_of(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
