"""open_clip_train takes one training step on the CPU over a release, through its own reader of shards.

Its `training` extra keeps webdataset below 1.0, hence an environment of its own.
"""

import contextlib
import math
from pathlib import Path

from consumer import Consumer, run
from expected import num_kept

_BATCH = 8
_OPERATORS = ("nms", "qnms")
"""For want of these a torchvision built for CUDA cannot be imported beside a CPU torch."""


def _step(release: Path) -> int:
    """All samples through get_wds_dataset's loader in whole batches, and a step of the optimiser on the first."""
    import torch

    with contextlib.suppress(RuntimeError):  # that torchvision has them already
        for operator in _OPERATORS:
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{operator}", signature)
    from open_clip.loss import ClipLoss
    from open_clip.model import CLIP
    from open_clip.transform import image_transform
    from open_clip_train.data import get_wds_dataset
    from open_clip_train.params import parse_args

    torch.manual_seed(0)
    shards = sorted((release / "shards").glob("*.tar"))
    pattern = "::".join(str(path) for path in shards)
    arguments = parse_args(["--train-data", pattern, "--dataset-type", "webdataset", "--batch-size", str(_BATCH)])
    samples = num_kept(release)
    arguments.train_num_samples, arguments.workers = samples, 1
    arguments.world_size, arguments.rank, arguments.distributed = 1, 0, False
    found = get_wds_dataset(arguments, image_transform(32, is_train=True), True, tokenizer=_tokens)
    tower = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32}
    words = {"context_length": 16, "vocab_size": 512, "width": 64, "heads": 2, "layers": 1}
    model = CLIP(embed_dim=32, vision_cfg=tower, text_cfg=words, output_dict=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    seen = 0
    for images, texts in found.dataloader:
        if not seen:
            before = model.visual.proj.detach().clone()
            loss = ClipLoss()(**model(images, texts))
            loss.backward()
            optimizer.step()
            if not math.isfinite(loss.item()) or torch.equal(before, model.visual.proj):
                raise ValueError(f"the step changed nothing, or the loss is {loss.item()}")
        seen += len(images)
    if seen < samples - _BATCH:
        raise ValueError(f"{seen} samples came through the loader, expected about {samples}")
    return seen


def _tokens(text: str) -> "object":
    """Token ids without a vocabulary from a hub: a character's code, folded into 512, to a length of 16."""
    import torch

    ids = [1 + ord(letter) % 510 for letter in text[:15]] + [511]
    return torch.tensor([ids + [0] * (16 - len(ids))])


if __name__ == "__main__":
    packages = ["open_clip_torch[training]==3.3.0"]
    run([Consumer("open_clip_train", "open_clip_torch", packages, _step, borrows=True)])
