"""Makes the demo's scorer, a tiny dual encoder that open_clip loads: `python -m pipelines.demo.train`.

It learns a closed world: the photographs of `pipelines.demo.photos`, the wordings of `pipelines.demo.captions`, and
what junk looks like. It does not know any other picture. The same seed on the same versions gives the same weights.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from filters.clip.backend_open_clip import import_open_clip
from pipelines.demo.captions import JUNK_ALTS, TAUGHT
from pipelines.demo.examples import crop_of, junk_image
from pipelines.demo.photos import NAMES

if TYPE_CHECKING:
    import torch

SCORER_FOLDER = Path(__file__).parent / "scorer"
_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CONTEXT_LENGTH = 24
_TEMPLATES = ("{}", "{}", "{}", "图为{}", "{}。", "{}的照片", "一张照片：{}", "{}（图）", "这是{}")
_SLOPE, _OFFSET = 12.0, -6.0
"""A pair's odds of belonging together are a logistic of its cosine with its middle at 0.5, so that one threshold on
`clip_score` means the same for every photograph."""


@dataclass(frozen=True)
class Training:
    """How long and how wide: a test trains a smaller one through the same code."""

    names: tuple[str, ...] = NAMES
    width: int = 16
    crops_per_photo: int = 120
    junk_images: int = 360
    steps: int = 320
    images_per_photo: int = 2
    learning_rate: float = 3e-3
    seed: int = 20240701
    threads: int = 1


def train_scorer(folder: Path, training: Training) -> float:
    """Write config, tokenizer and fp16 weights into `folder`; returns the mean loss of the last tenth of the steps."""
    import torch

    open_clip = import_open_clip()
    torch.manual_seed(training.seed)
    torch.set_num_threads(training.threads)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary(training.names)
    _write_tokenizer(folder, vocabulary)
    _write_config(folder, training, len(vocabulary))
    source = f"local-dir:{folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(source, load_weights=False)
    loss = _fit(model, preprocess, open_clip.get_tokenizer(source), training)
    _write_weights(folder, model)
    return loss


def _vocabulary(names: Sequence[str]) -> list[str]:
    """Special tokens, then every character of the training texts, as open_clip's own cleaner and BERT leave them."""
    from open_clip.tokenizer import get_clean_fn

    clean = get_clean_fn("whitespace")
    texts = [*JUNK_ALTS, *_TEMPLATES, *(text for name in names for text in TAUGHT[name])]
    ascii_characters = {chr(code) for code in range(33, 127)}
    characters = sorted(({c for text in texts for c in clean(text).lower()} | ascii_characters) - {" "})
    continued = sorted(f"##{c}" for c in characters if c.isascii() and c.isalnum())
    return [*_SPECIAL_TOKENS, *characters, *continued]


def _write_tokenizer(folder: Path, vocabulary: Sequence[str]) -> None:
    from transformers import BertTokenizer

    tokenizer = BertTokenizer(
        vocab={token: place for place, token in enumerate(vocabulary)},
        do_lower_case=True,
        tokenize_chinese_chars=True,
        model_max_length=_CONTEXT_LENGTH,
    )
    tokenizer.save_pretrained(folder)


def _write_config(folder: Path, training: Training, vocab_size: int) -> None:
    """open_clip's default mean, std and resize: loading by `pretrained=FILE` would ignore any others."""
    model = {
        "embed_dim": 64,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": training.width, "image_size": 64},
        "text_cfg": {
            "context_length": _CONTEXT_LENGTH,
            "vocab_size": vocab_size,
            "hf_tokenizer_name": "tokenizer",
            "width": 64,
            "heads": 4,
            "layers": 1,
            "pool_type": "eos",
            "eos_id": _SPECIAL_TOKENS.index("[SEP]"),
            "pad_id": _SPECIAL_TOKENS.index("[PAD]"),
        },
    }
    text = json.dumps({"model_cfg": model, "preprocess_cfg": {}}, indent=2)
    (folder / "open_clip_config.json").write_text(text + "\n", encoding="utf-8")


def _fit(model: Any, preprocess: Any, tokenize: Any, training: Training) -> float:
    import torch

    rng = np.random.default_rng(training.seed)
    photos, junk = _prepared_images(preprocess, training, rng)
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, total_steps=training.steps)
    model.train()
    losses = []
    for _ in range(training.steps):
        loss = _step_loss(model, tokenize, photos, junk, training, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses[-max(1, training.steps // 10) :]))


def _prepared_images(
    preprocess: Any, training: Training, rng: np.random.Generator
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Photographs [photo, crop, 3, 64, 64] and junk [n, 3, 64, 64], through the model's own preprocessing."""
    import torch
    from PIL import Image

    def ready(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> "torch.Tensor":
        tensor: torch.Tensor = preprocess(Image.fromarray(pixels))
        return tensor

    photos = [
        torch.stack([ready(crop_of(name, rng)) for _ in range(training.crops_per_photo)]) for name in training.names
    ]
    return torch.stack(photos), torch.stack([ready(junk_image(rng)) for _ in range(training.junk_images)])


def _step_loss(
    model: Any,
    tokenize: Any,
    photos: "torch.Tensor",
    junk: "torch.Tensor",
    training: Training,
    rng: np.random.Generator,
) -> "torch.Tensor":
    """Pairs of one photograph belong together, all others do not; junk on either side belongs to nothing.

    Junk images go through the model in the same batch as photographs: BatchNorm learns both from one batch.
    """
    import torch

    num, each = len(training.names), training.images_per_photo
    picks = rng.integers(0, photos.shape[1], size=(num, each))
    chosen = photos[torch.arange(num)[:, None], torch.from_numpy(picks)].flatten(0, 1)
    junk_picks = torch.from_numpy(rng.integers(0, len(junk), size=max(4, num * each // 4)))
    images = model.encode_image(torch.cat([chosen, junk[junk_picks]]), normalize=True)
    wordings = [_wording(str(rng.choice(TAUGHT[name])), rng) for name in training.names for _ in range(each)]
    junk_texts = [_junk_text(training, rng) for _ in range(num * each // 2)]
    texts = model.encode_text(tokenize([*wordings, *junk_texts]), normalize=True)
    owner = torch.arange(num).repeat_interleave(each)
    fits = torch.zeros(len(images), len(texts))
    fits[: num * each, : num * each] = (owner[:, None] == owner[None, :]).float()
    logits = _SLOPE * (images @ texts.T) + _OFFSET
    pair_loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, fits, reduction="none")
    return pair_loss.sum() / (num * each)


def _wording(caption: str, rng: np.random.Generator) -> str:
    """The caption in another dress: framed, with characters lost or unknown, or cut short."""
    characters = list(caption)
    if rng.random() < 0.6:
        for place in range(len(characters)):
            if rng.random() < 0.15:
                characters[place] = "" if rng.random() < 0.6 else "〆"
    if rng.random() < 0.3 and len(characters) > 8:
        start = int(rng.integers(0, len(characters) - 6))
        characters = characters[start : start + int(rng.integers(6, 14))]
    return str(rng.choice(_TEMPLATES)).format("".join(characters))


def _junk_text(training: Training, rng: np.random.Generator) -> str:
    """A text that fits nothing: a junk alt string, or characters of many captions in no order."""
    if rng.random() < 0.7:
        return str(rng.choice(JUNK_ALTS))
    pool = "".join(str(rng.choice(TAUGHT[str(name)])) for name in rng.choice(training.names, size=6))
    return "".join(rng.choice(list(pool), size=int(rng.integers(3, 14))))


def _write_weights(folder: Path, model: Any) -> None:
    import torch
    from safetensors.torch import save_file

    halves = {
        name: (value.half() if value.dtype == torch.float32 else value).contiguous()
        for name, value in sorted(model.state_dict().items())
    }
    path = folder / "open_clip_model.safetensors"
    save_file(halves, path)
    path.chmod(0o644)  # safetensors creates it readable by its owner alone


def main() -> None:
    """Train, judge and write the shipped scorer."""
    from pipelines.demo.evaluation import evaluate

    parser = argparse.ArgumentParser(description="Make the demo's scorer.")
    parser.add_argument("--out", type=Path, default=SCORER_FOLDER)
    training = Training()
    folder = parser.parse_args().out
    started = time.process_time()
    loss = train_scorer(folder, training)
    cpu_s = time.process_time() - started
    evaluation = evaluate(folder, training.names, crops_per_photo=20)
    versions = {name: version(name) for name in ("torch", "open_clip_torch", "transformers", "pillow", "numpy")}
    report = {
        "training": asdict(training),
        "final_loss": round(loss, 4),
        "evaluation": evaluation,
        "made_with": versions,
    }
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    (folder / "evaluation.json").write_text(text, encoding="utf-8")
    print(f"{text}trained in {cpu_s:.0f} CPU-seconds")


if __name__ == "__main__":
    main()
