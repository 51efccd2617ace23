"""`curate export`: a release written in one of the released formats, into a folder that appears whole or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.evaluation_sets.writing import WRITERS as TEST_SETS
from pipelines.export_folder import appearing_whole, fresh_folder, seal_folder
from pipelines.strict_yaml import load_yaml
from shards.errors import BadInputError, CurateError, UsageError
from shards.export_hub import write_hf_imagefolder, write_hf_webdataset
from shards.export_images import write_chinese_clip
from shards.export_losses import Losses
from shards.export_parquet import write_coyo, write_datacomp, write_laion
from shards.export_text import write_wenlan, write_wukong, write_zero
from shards.export_wudaomm import write_wudaomm
from shards.released import Release, open_release

Write = Callable[[Release, Path, Losses], None]

WRITERS: dict[str, Write] = {
    "wukong": write_wukong,
    "zero": write_zero,
    "wudaomm": write_wudaomm,
    "wenlan": write_wenlan,
    "chinese-clip": write_chinese_clip,
    "laion": write_laion,
    "datacomp": write_datacomp,
    "coyo": write_coyo,
    "hf-imagefolder": write_hf_imagefolder,
    "hf-webdataset": write_hf_webdataset,
}
"""Format -> what writes it. `shards/layouts.py` says how each is read again; what carries images has no URLs."""

_TELLS_SPLITS_APART = ("chinese-clip", "hf-imagefolder", "hf-webdataset")

_NEEDED = ("uid", "url", "page_url", "text", "text_kind", "texts", "category", "strength", "status", "shard", "sha256")
_NEEDED_OF_IMAGES = ("original_width", "original_height", "width", "height", "stored_format", "stored_sha256")
_NEEDED_SCORES = ("phash", "clip_score")


@dataclass(frozen=True)
class Exported:
    """What was written, and what the format could not hold, a line each."""

    folder: Path
    samples: int
    files: int
    losses: list[str]


def export(folder: Path, layout: str, out: str, split: str | None = None) -> Exported:
    """Write the kept samples of a run's release, or of a release, in the format `layout` to the fresh folder `out`.

    With a `split`, those of that one alone.
    """
    if layout not in WRITERS:
        known = ", ".join([*WRITERS, *TEST_SETS])
        raise UsageError(f"--layout {layout}: no such format; known: {known}")
    release = open_release(folder)
    missing = release.missing_columns((*_NEEDED, *_NEEDED_OF_IMAGES, *_NEEDED_SCORES))
    if missing:
        raise BadInputError(
            f"{release.folder / 'manifest'}: no column {', '.join(missing)}; expected curate's manifest"
        )
    splits = _checked_splits(release, split)
    release = replace(release, scorer=_scorer_of(release), split=split)
    target = fresh_folder(out, release)
    losses = Losses()
    if split is None and len(splits) > 1 and layout not in _TELLS_SPLITS_APART:
        losses.say(f"the splits {', '.join(splits)} lie in it together: --split {splits[0]} leaves out the others")
    with appearing_whole(target) as staging:
        WRITERS[layout](release, staging, losses)
        files = seal_folder(staging)
    return Exported(target, release.num_samples(), files, losses.lines())


def _checked_splits(release: Release, split: str | None) -> list[str]:
    """The splits of a release. Raises `UsageError` where the one that is asked for is not among them."""
    splits = release.split_names()
    if split is not None and split not in splits:
        there = f"it has {', '.join(splits)}" if splits else "it has none; `release.splits` makes them"
        raise UsageError(f"--split {split}: {release.folder} has no such split, {there}")
    return splits


def export_lines(folder: Path, layout: str, out: str, split: str | None = None) -> list[str]:
    """Export, and what the command says of it."""
    done = export(folder, layout, out, split)
    files = "1 file" if done.files == 1 else f"{done.files:,} files"
    told = [f"  {line}" for line in done.losses]
    return [f"{layout}: {done.samples:,} samples in {files}", *told, "", out]


def _scorer_of(release: Release) -> str | None:
    """The model that the recipe of the release names; null where no recipe lies there."""
    for path in (release.folder / "recipe.yaml", release.folder.parent / "recipe.yaml"):
        try:
            score = load_yaml(path).get("score")
        except (CurateError, OSError):
            continue
        model = score.get("model") if isinstance(score, dict) else None
        return model if isinstance(model, str) else None
    return None
