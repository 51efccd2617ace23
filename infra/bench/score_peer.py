"""The score bench's peer: a plain loop as clip-retrieval has it, a DataLoader and open_clip's own calls."""

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from PIL import Image


class TarImages(torch.utils.data.IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Preprocessed images and tokens of one text each; every worker takes its share of the members."""

    def __init__(self, tar: Path, texts: list[str], num: int, preprocess: Callable[[Any], Any], tokenize: Any) -> None:
        super().__init__()
        self._tar, self._texts, self._num = tar, texts, num
        self._preprocess, self._tokenize = preprocess, tokenize

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        told = torch.utils.data.get_worker_info()
        first, step = (0, 1) if told is None else (told.id, told.num_workers)
        with tarfile.open(self._tar) as tar:
            members = tar.getmembers()
            for place in range(first, self._num, step):
                file = tar.extractfile(members[place % len(members)])
                assert file is not None
                image = Image.open(io.BytesIO(file.read())).convert("RGB")
                yield self._preprocess(image), self._tokenize([self._texts[place]])[0]


def plain_loop(
    model: Any,
    images: TarImages,
    batch_size: int,
    num_workers: int,
    device: str,
    dtype: torch.dtype,
    limit: int | None = None,
) -> int:
    """Cosines of all pairs; returns how many images went through."""
    pinned = device.startswith("cuda")
    loader = torch.utils.data.DataLoader(images, batch_size=batch_size, num_workers=num_workers, pin_memory=pinned)
    casting = torch.autocast(device.partition(":")[0], dtype) if dtype != torch.float32 else nullcontext()
    scores, seen = [], 0
    with torch.inference_mode(), casting:
        for pixels, tokens in loader:
            of_images = model.encode_image(pixels.to(device, non_blocking=pinned), normalize=True)
            of_texts = model.encode_text(tokens.to(device, non_blocking=pinned), normalize=True)
            scores.append((of_images * of_texts).sum(dim=1).float().cpu())
            seen += len(pixels)
            if limit is not None and seen >= limit:
                break
    return seen
