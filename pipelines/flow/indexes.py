"""What a release offers to programs that read it: indexes of its shards, commented views, and its Croissant file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from filters.measures import MEASURES
from pipelines.about.card import stored_extensions
from pipelines.about.croissant import CROISSANT_FILE, Described, ListedFile, render_croissant
from pipelines.release_settings import TRAIN
from pipelines.tasks import Job
from shards.columns import MANIFEST_COLUMNS
from shards.parts import PartFile, Record
from shards.release_views import VIEWS_FILE, release_views
from shards.training_indexes import Shard, training_indexes

IN_SHARDS = "in_shards"
"""In the commit record of a run of shards: how many samples each holds."""

_FOLDER = "shards/"


def index_files(job: Job, records: Sequence[Record]) -> dict[str, str]:
    """File name -> text: wids.json and energon's `.nv-meta` (where the release has shards), views.sql."""
    columns = list(dict.fromkeys(name for schema in _schemas(job, records).values() for name in schema.names))
    indexes = training_indexes(job.recipe.name, list(_shards(records)), stored_extensions(job.recipe))
    return indexes | {VIEWS_FILE: release_views(columns, column_notes(columns))}


def croissant_file(
    job: Job, stats: Mapping[str, Any], records: Sequence[Record], others: Sequence[ListedFile]
) -> dict[str, str]:
    """croissant.json, over the files of the records and all others."""
    files = [ListedFile(file.name, file.bytes, file.sha256) for record in records for file in record.files]
    schemas = _schemas(job, records)
    notes = column_notes([name for schema in schemas.values() for name in schema.names])
    listed = sorted([*files, *others], key=lambda file: file.name)
    return {CROISSANT_FILE: render_croissant(job.recipe, stats, Described(listed, schemas, notes))}


def column_notes(columns: Sequence[str]) -> dict[str, str]:
    """What each column means, as far as it is one of ours."""
    told = {name: f"{measure.level}: {measure.unit}" for name, measure in MEASURES.items()} | MANIFEST_COLUMNS
    return {name: told[name] for name in columns if name in told}


def _schemas(job: Job, records: Sequence[Record]) -> dict[str, pa.Schema]:
    """Columns of kept and of dropped rows, each of their first file."""
    found: dict[str, pa.Schema] = {}
    for record in records:
        for file in record.files:
            kind = file.name.removeprefix("manifest/").partition("-")[0]
            if file.name.startswith("manifest/") and kind not in found:
                found[kind] = pq.read_schema(job.context.folder(job.task.step).bring(file))
    return {kind: found[kind] for kind in ("kept", "dropped") if kind in found}


def _shards(records: Sequence[Record]) -> Iterator[Shard]:
    """Shards in the release's order: split after split, number after number."""
    for record in records:
        counts: dict[str, int] = record.meta.get(IN_SHARDS, {})
        files = {file.name.removeprefix(_FOLDER): file for file in record.files}
        yield from (_shard(files[name], counts[name]) for name in sorted(counts) if name in files)


def _shard(file: PartFile, samples: int) -> Shard:
    split = file.name.removeprefix(_FOLDER).rpartition("/")[0]
    return Shard(file.name, samples, file.bytes, file.sha256, split or TRAIN)
