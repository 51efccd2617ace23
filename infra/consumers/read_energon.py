"""Megatron-Energon reads a release as it lies, and prepares a copy of it to the same index."""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from consumer import Consumer, run
from expected import check_samples

_INDEXED = ("index.sqlite", "index.uuid")


def _as_it_lies(release: Path) -> int:
    """The release's own `.nv-meta` and offsets serve its loader, two workers, each sample once."""
    return _load(release)


def _prepared(release: Path) -> int:
    """`energon prepare --tar-index-only` writes the same offsets and adds what access by key needs."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "release"
        shutil.copytree(release, copy)
        tool = [str(Path(sys.executable).parent / "energon"), "prepare", "--tar-index-only", "--no-progress", str(copy)]
        subprocess.run([*tool, "--num-workers", "2"], check=True, stdout=sys.stderr)
        for path in (release / "shards").rglob("*.tar.idx"):
            if not filecmp.cmp(path, copy / path.relative_to(release), shallow=False):
                raise ValueError(f"{path}: energon writes other offsets")
        if not all((copy / ".nv-meta" / name).is_file() for name in _INDEXED):
            raise ValueError(f"energon prepare did not write {', '.join(_INDEXED)}")
        return _load(copy)


def _load(release: Path) -> int:
    from megatron.energon import WorkerConfig, get_loader, get_train_dataset, get_val_dataset

    workers = WorkerConfig(rank=0, world_size=1, num_workers=2)
    options = {"batch_size": 1, "worker_config": workers}
    train = get_train_dataset(release, shuffle_buffer_size=None, max_samples_per_sequence=None, repeat=False, **options)
    datasets = [train]
    for folder in (path for path in (release / "shards").iterdir() if path.is_dir()):
        datasets.append(get_val_dataset(release, split_part=folder.name, **options))
    found = []
    for dataset in datasets:
        for batch in get_loader(dataset):
            for key, caption, image in zip(batch.__key__, batch.caption, batch.image, strict=True):
                found.append((key, caption, (image.shape[2], image.shape[1])))
    check_samples(release, found)
    return len(found)


if __name__ == "__main__":
    packages = ["megatron-energon==7.4.1"]
    run(
        [
            Consumer("energon", "megatron-energon", packages, _as_it_lies, borrows=True),
            Consumer("energon-prepare", "megatron-energon", packages, _prepared, borrows=True),
        ]
    )
