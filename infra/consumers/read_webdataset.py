"""webdataset and wids read a release: with a DataLoader of two workers, and by index."""

import json
from pathlib import Path
from typing import Any

from consumer import Consumer, run
from expected import check_samples, num_kept

_Told = tuple[str, str, tuple[int, int]]
"""Uid, caption, width and height."""


def _stream(release: Path) -> int:
    """Each sample once an epoch, whatever worker it comes from; images decoded, captions as the manifest has them."""
    import webdataset
    from torch.utils.data import DataLoader

    shards = sorted(str(path) for path in (release / "shards").rglob("*.tar"))
    dataset = webdataset.WebDataset(shards, shardshuffle=len(shards), seed=0, empty_check=False)
    samples = dataset.shuffle(100, seed=0).decode("pil").map(_told)
    loader = DataLoader(samples, batch_size=None, num_workers=2, collate_fn=_as_it_is)
    for _ in range(2):
        found = list(loader)
        check_samples(release, found)
    return len(found)


def _as_it_is(sample: Any) -> Any:
    return sample


def _told(sample: dict[str, Any]) -> _Told:
    image = next(sample[extension] for extension in ("jpg", "png", "webp") if extension in sample)
    return sample["__key__"], sample["txt"], image.size


def _by_index(release: Path) -> int:
    """Any sample by its number, through wids.json, in place of a copy."""
    import wids

    found = []
    for index in sorted(release.glob("wids*.json")):
        dataset = wids.ShardListDataset(str(index), keep=True)
        if len(dataset) != sum(shard["nsamples"] for shard in json.loads(index.read_bytes())["shardlist"]):
            raise ValueError(f"{index.name}: another length than its shards have")
        for number in reversed(range(len(dataset))):
            sample = {name.removeprefix("."): value for name, value in dataset[number].items()}
            found.append(_told(sample))
    check_samples(release, found)
    return num_kept(release)


if __name__ == "__main__":
    run(
        [
            Consumer("webdataset", "webdataset", ["webdataset==1.0.2"], _stream, borrows=True),
            Consumer("wids", "wids", ["wids==0.1.11"], _by_index, borrows=True),
        ]
    )
