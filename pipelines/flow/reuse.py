"""Reuse: the earlier runs and releases whose stored copies a run may take, found once and listed for its tasks."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import ValidationError

from pipelines.flow.holders import Ranges, as_ranges
from pipelines.problems import Problem
from pipelines.recipe import Recipe, ReuseSettings
from pipelines.strict_yaml import load_yaml
from shards.catalog import committed_files
from shards.errors import CurateError, UsageError
from shards.image_settings import ImageSettings
from shards.parts import StepFolder, fingerprint
from shards.storage import put_whole

COPIES_VERSION = 2
"""Of the code that makes stored copies: another one's copies are not taken."""

INDEX_FILE = "reuse.json"
IMAGE_SETTINGS = b"image_settings"
"""Metadata of a released manifest file: the `image:` section that its copies were made under, as JSON."""


@dataclass(frozen=True)
class CopiesPart:
    """Some rows of an earlier run or release and where their stored copies are.

    `tar` is null for a release, whose rows name their shards. `is_same_form`: the copies are what this recipe would
    make; if not, the rows still say what the servers sent. `uids` says where its uids lie, if that is known.
    """

    given: str
    recheck: bool
    rows: str
    tar: str | None
    is_same_form: bool
    uids: Ranges | None


def copies_form(image: ImageSettings) -> str:
    """What decides the bytes of a stored copy, once the bytes on the wire are given."""
    return fingerprint("stored copy", COPIES_VERSION, image.model_dump(exclude={"store"}))


def reuse_problems(recipe: Recipe) -> list[Problem]:
    """Entries that are no folder of a run or a release."""
    problems = []
    for place, entry in enumerate(recipe.reused):
        path = Path(entry.run).expanduser()
        if "://" in entry.run:
            problems.append(Problem(f"reuse.{place}", f"{entry.run}: only local folders can be reused in this version"))
        elif not path.is_dir():
            problems.append(Problem(f"reuse.{place}", f"{entry.run}: no such folder; {_EXPECTED}"))
        elif not (_is_run(path) or _is_release(path)):
            problems.append(Problem(f"reuse.{place}", f"{entry.run}: is neither a run nor a release; {_EXPECTED}"))
    return problems


_EXPECTED = "expected the folder of an earlier `curate run`, or its release folder"


def write_index(run: Path, recipe: Recipe) -> list[str]:
    """Find what may be taken, write it to RUN/reuse.json for the tasks, and say so, a line an entry.

    A run cannot take from itself: raises `UsageError`. One line of some 300 bytes a fetch part: 3 MB for 10^8 images.
    """
    parts: list[CopiesPart] = []
    lines = []
    for entry in recipe.reused:
        if Path(entry.run).expanduser().resolve() in (run, run / "release"):
            raise UsageError(f"reuse: {entry.run} is the run's own folder (--out); it takes nothing from itself")
        found = list(_parts_of(entry, recipe.image))
        parts += found
        lines.append(_told(entry, found, recipe.image))
    if parts or (run / INDEX_FILE).is_file():
        put_whole(run / INDEX_FILE, json.dumps([asdict(part) for part in parts], ensure_ascii=False).encode())
    return lines


def read_index(run: Path) -> list[CopiesPart]:
    """The parts that RUN/reuse.json lists, best first."""
    path = run / INDEX_FILE
    if not path.is_file():
        return []
    entries = json.loads(path.read_bytes())
    return [CopiesPart(**(entry | {"uids": as_ranges(entry["uids"])})) for entry in entries]


def reuse_outlook(recipe: Recipe) -> list[str]:
    """What `curate plan` says of each entry."""
    return [_told(entry, list(_parts_of(entry, recipe.image)), recipe.image) for entry in recipe.reused]


def _parts_of(entry: ReuseSettings, image: ImageSettings) -> Iterator[CopiesPart]:
    path = Path(entry.run).expanduser().resolve()
    if not _is_run(path):
        yield from _released_parts(entry, path, image)
        return
    folder = StepFolder(path, "fetch")
    for record in reversed(folder.records()):  # what was fetched last is nearest to what a server would send
        if folder.is_whole(record):
            is_same_form = record.meta.get("copies") == copies_form(image)
            rows, tar = (str(folder.file(record, role)) for role in ("rows", "tar"))
            yield CopiesPart(entry.run, entry.recheck, rows, tar, is_same_form, as_ranges(record.meta.get("uids")))


def _released_parts(entry: ReuseSettings, release: Path, image: ImageSettings) -> Iterator[CopiesPart]:
    for path in sorted((release / "manifest").glob("kept-*.parquet")):
        with pq.ParquetFile(path) as file:
            said = (file.schema_arrow.metadata or {}).get(IMAGE_SETTINGS)
            column = file.schema_arrow.names.index("uid")
            groups = [file.metadata.row_group(number).column(column) for number in range(file.num_row_groups)]
        theirs = json.loads(said) if said else _settings_of_the_run_around(path)
        ends = [(group.statistics.min, group.statistics.max) for group in groups if group.statistics is not None]
        uids = tuple(ends) if len(ends) == len(groups) else None
        yield CopiesPart(entry.run, entry.recheck, str(path), None, _makes_same_form(theirs, image), uids)


def _settings_of_the_run_around(manifest: Path) -> dict[str, object] | None:
    """A release that still lies in its run, and is the one that the run's recipe made, was made under that recipe."""
    run = manifest.parents[2]
    try:
        is_current = _is_run(run) and manifest in committed_files(run, "release", "manifest")
    except CurateError:
        return None
    return _image_settings(run) if is_current else None


def _told(entry: ReuseSettings, parts: list[CopiesPart], image: ImageSettings) -> str:
    same = sum(_num_stored(part) for part in parts if part.is_same_form)
    other = sum(_num_stored(part) for part in parts if not part.is_same_form)
    how = "are asked for again, conditionally" if entry.recheck else "are taken by uid"
    told = f"reuse    {entry.run}: {same:,} stored copies {how}"
    if other:
        why = _difference(Path(entry.run).expanduser(), image)
        told += f"; {other:,} were made under other image settings ({why}) and are fetched again"
    return told


def _num_stored(part: CopiesPart) -> int:
    with pq.ParquetFile(part.rows) as file:
        names = file.schema_arrow.names
        if "tar_bytes" not in names:
            return int(file.metadata.num_rows)
        column = file.read(["tar_bytes"], use_threads=False)["tar_bytes"]
        return len(column) - int(column.null_count)


def _difference(path: Path, image: ImageSettings) -> str:
    theirs = _image_settings(path if _is_run(path) else path.parent)
    if theirs is None:
        return "which ones is not said there"
    ours = json.loads(image.model_dump_json(exclude={"store"}))
    odd = [name for name, value in ours.items() if theirs.get(name) != value]
    return (
        ", ".join(f"{name} {theirs.get(name)} there, {ours[name]} here" for name in odd) or "another version of curate"
    )


def _makes_same_form(settings: object, image: ImageSettings) -> bool:
    try:
        return settings is not None and copies_form(ImageSettings.model_validate(settings)) == copies_form(image)
    except ValidationError:
        return False


def _image_settings(run: Path) -> dict[str, object] | None:
    """The `image:` section that a run wrote down with every default."""
    try:
        section = load_yaml(run / "recipe.yaml").get("image")
    except (CurateError, OSError):
        return None
    return section if isinstance(section, dict) else None


def _is_run(path: Path) -> bool:
    return (path / "recipe.yaml").is_file() and (path / "parts.json").is_file()


def _is_release(path: Path) -> bool:
    return (path / "shards").is_dir() and any((path / "manifest").glob("kept-*.parquet"))
