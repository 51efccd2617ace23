"""Where a scorer's weights lie: told from files alone where that is possible, before anything is fetched."""

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path

from filters.clip_settings import ScoreSettings
from shards.errors import UsageError

LOCAL_DIR = "local-dir:"
HF_HUB = "hf-hub:"
INSTALL = "install it with: pip install 'curate[clip]'"
_CONFIG = "open_clip_config.json"
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")
_MAX_CONFIG_BYTES = 1 << 20
_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model")


def check_files(settings: ScoreSettings) -> None:
    """Raises UsageError for what files alone tell is missing or broken; imports neither torch nor open_clip."""
    folder = local_folder(settings)
    if folder is not None:
        _check_folder(folder)
    elif settings.model.startswith(HF_HUB):
        if settings.model.count("/") != 1:
            raise UsageError(f"score.model: {settings.model!r} should read hf-hub:OWNER/NAME")
    elif settings.pretrained is None:
        raise UsageError(
            f"score.pretrained is missing: name the weights of {settings.model!r} (a released name such as "
            "laion5b_s13b_b90k, or a file); random weights score nothing"
        )
    elif _looks_like_path(settings.pretrained) and not Path(settings.pretrained).is_file():
        raise UsageError(f"score.pretrained: no weights file at {settings.pretrained!r}")
    if find_spec("open_clip") is None or find_spec("torch") is None:
        raise UsageError(f"scoring needs open_clip and torch, which are not installed: {INSTALL}")


def local_folder(settings: ScoreSettings) -> Path | None:
    """The folder of a `local-dir:` model, else None."""
    if not settings.model.startswith(LOCAL_DIR):
        return None
    return Path(settings.model.removeprefix(LOCAL_DIR))


def score_identity(settings: ScoreSettings) -> dict[str, str | int | None]:
    """What of the settings decides scores, for fingerprints: local files count by content and not by place."""
    folder = local_folder(settings)
    model, pretrained = settings.model, settings.pretrained
    if folder is not None:
        model, pretrained = LOCAL_DIR + _digest_of(sorted(p for p in folder.iterdir() if p.is_file())), None
    elif model.startswith(HF_HUB):
        pretrained = None
    elif pretrained is not None and Path(pretrained).is_file():
        pretrained = _digest_of([Path(pretrained)])
    return {
        "model": model,
        "pretrained": pretrained,
        "precision": settings.precision,
        "batch_size": settings.batch_size,
        "cpu_threads": settings.cpu_threads,
    }


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"score.model: no folder at {str(folder)!r}, which local-dir: names")
    config = _read_config(folder / _CONFIG)
    if not any(path.suffix in _WEIGHT_SUFFIXES for path in folder.iterdir()):
        raise UsageError(
            f"score.model: {str(folder)!r} holds no weights; put open_clip_model.safetensors beside {_CONFIG}"
        )
    text_config = config["text_cfg"]
    names_tokenizer = isinstance(text_config, dict) and text_config.get("hf_tokenizer_name")
    if names_tokenizer and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise UsageError(
            f"score.model: {str(folder)!r} holds no tokenizer; put its files (tokenizer.json, "
            f"tokenizer_config.json) beside {_CONFIG}"
        )


def _read_config(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise UsageError(f"score.model: {str(path.parent)!r} lacks {_CONFIG}, which says how the model is built")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise UsageError(f"score.model: {str(path)!r} is over 1 MiB: it should hold the model's settings alone")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"score.model: {str(path)!r} is not JSON: {error}") from error
    model = content.get("model_cfg") if isinstance(content, dict) else None
    if not isinstance(model, dict) or any(key not in model for key in _CONFIG_KEYS):
        raise UsageError(f"score.model: {str(path)!r} should hold model_cfg with {', '.join(_CONFIG_KEYS)}")
    return model


def _looks_like_path(pretrained: str) -> bool:
    """Released weights have plain names; open_clip takes anything else for a file."""
    return "/" in pretrained or "\\" in pretrained or Path(pretrained).suffix != ""


def _digest_of(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
