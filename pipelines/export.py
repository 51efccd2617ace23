"""`curate export`: a release written in one of the released formats, into a folder that appears whole or not at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.strict_yaml import load_yaml
from shards.errors import BadInputError, CurateError, UsageError
from shards.export_images import write_chinese_clip
from shards.export_losses import Losses
from shards.export_parquet import write_coyo, write_datacomp, write_laion
from shards.export_text import write_wenlan, write_wukong, write_zero
from shards.export_wudaomm import write_wudaomm
from shards.released import Release, open_release
from shards.storage import disk_faults, open_run_folder, put_whole, sha256_of, sync_file, sync_folder

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
}
"""Format -> what writes it. `shards/layouts.py` says how each is read again; Chinese-CLIP's has no URLs to read."""

_SUMS = "SHA256SUMS"
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


def export(folder: Path, layout: str, out: str) -> Exported:
    """Write the kept samples of a run's release, or of a release, in the format `layout` to the fresh folder `out`."""
    if layout not in WRITERS:
        raise UsageError(f"--layout {layout}: no such format; known: {', '.join(WRITERS)}")
    release = open_release(folder)
    missing = release.missing_columns((*_NEEDED, *_NEEDED_OF_IMAGES, *_NEEDED_SCORES))
    if missing:
        raise BadInputError(
            f"{release.folder / 'manifest'}: no column {', '.join(missing)}; expected curate's manifest"
        )
    release = replace(release, scorer=_scorer_of(release))
    target = _fresh_folder(out, release)
    losses = Losses()
    with _appearing_whole(target) as staging:
        WRITERS[layout](release, staging, losses)
        files = _seal(staging)
    return Exported(target, release.num_samples(), files, losses.lines())


def export_lines(folder: Path, layout: str, out: str) -> list[str]:
    """Export, and what the command says of it."""
    done = export(folder, layout, out)
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


def _fresh_folder(out: str, release: Release) -> Path:
    """The folder to make. Raises `UsageError` where something lies there already, or nothing can."""
    target = open_run_folder(out)
    if os.path.ismount(target):
        raise UsageError(f"--out {out}: is a mount point; name a folder below it")
    if target.is_relative_to(release.folder):
        raise UsageError(f"--out {out}: lies in the release itself, whose files are all listed; choose another folder")
    try:
        if any(target.iterdir()):
            raise UsageError(f"--out {out}: is not empty; choose a new folder")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}; expected a new folder") from error
    return target


@contextmanager
def _appearing_whole(target: Path) -> Iterator[Path]:
    """A folder beside `target`, which takes its name once the block has ended well, and goes away if it has not."""
    staging = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"--out {target}: cannot be made: {error.strerror}; choose another folder") from error
    try:
        with disk_faults(target):
            yield staging
            sync_folder(staging)
            os.rename(staging, target)
            sync_folder(target.parent)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise UsageError(f"--out {target}: somebody else wrote there meanwhile; choose a new folder") from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _seal(staging: Path) -> int:
    """Brings all files to disk and lists their digests in SHA256SUMS. Returns how many they are."""
    files = sorted(path for path in staging.rglob("*") if path.is_file())
    lines = []
    for path in files:
        sync_file(path)
        lines.append((path.relative_to(staging).as_posix(), sha256_of(path)))
    for folder in {path.parent for path in files} - {staging}:
        sync_folder(folder)
    put_whole(staging / _SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(lines)).encode())
    return len(files)
