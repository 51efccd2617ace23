"""Who is meant: the samples of a run that tombstones match, and where the crawl's pages that show them lie."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.flow.taken_down import near_stored, taken_down
from shards.parts import StepFolder
from shards.table_purge import rows_of
from shards.tables import iter_batches, read_rows
from shards.tombstones import Tombstones

_STEPS = ("collect", "fetch", "measure")
_TELLING = (
    *("uid", "host", "page_url", "final_url", "phash"),
    *("sha256", "stored_sha256", "expected_sha256"),
)
_NAMES = ("url", "canonical_url", "final_url")


@dataclass
class Traces:
    """What samples leave outside of their own rows: where pages that show them lie in WARC files, and their URLs.

    `offsets`: by the name that `origin` calls a file.
    """

    offsets: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    urls: set[str] = field(default_factory=set)


def matched_uids(run: Path, tombstones: Tombstones) -> set[str]:
    """The uids of a run's samples that tombstones match, by candidates, downloads and hashes of all of its recipes.

    And those of pages that it visited, which are digests of their URLs too.
    """
    found: set[str] = set()
    for step in _STEPS:
        for path in _rows_files(run, step):
            found |= matched_in([path], tombstones)
    found |= matched_in(_files(run, "crawl", "pages"), tombstones)
    if tombstones.phashes:
        found |= _near_unmeasured(run, tombstones)
    return found


def matched_in(paths: list[Path], tombstones: Tombstones) -> set[str]:
    """The uids in some files of rows with any of the columns that tell."""
    found: set[str] = set()
    for path in paths:
        names = [name for name in pq.read_schema(path).names if name in _TELLING]
        for batch in iter_batches([path], names):
            table = pa.Table.from_batches([batch])
            found.update(table["uid"].filter(pa.array(taken_down(table, tombstones))).to_pylist())
    return found


def _near_unmeasured(run: Path, tombstones: Tombstones) -> set[str]:
    """Stored copies that no recipe measured, such as of samples that fell before: they are decoded now."""
    measured = _measured_uids(run)
    folder = StepFolder(run, "fetch")
    found: set[str] = set()
    for record in folder.records():
        rows = read_rows(folder.file(record, "rows"))
        known = measured.get(record.fingerprint, pa.array([], pa.string()))
        rows = rows.filter(pa.array(~rows_of(rows, known)))
        if rows.num_rows:
            near = near_stored(rows, folder.file(record, "tar"), tombstones)
            found.update(rows["uid"].filter(pa.array(near)).to_pylist())
    return found


def _measured_uids(run: Path) -> dict[str, pa.Array]:
    """By fetch part, the uids that have a phash in a measure part."""
    folder = StepFolder(run, "measure")
    found: dict[str, pa.Array] = {}
    for record in folder.records():
        path = folder.file(record, "rows")
        if "phash" in pq.read_schema(path).names:
            rows = read_rows(path, ["uid", "phash"])
            uids = rows["uid"].filter(pc.is_valid(rows["phash"])).combine_chunks()
            fetched = str(record.meta.get("fetched"))
            found[fetched] = pa.concat_arrays([found.get(fetched, uids[:0]), uids])
    return found


def samples_of(run: Path, uids: pa.Array) -> set[str]:
    """Those of `uids` that the run knows, as candidates or samples."""
    found: set[str] = set()
    for step in ("collect", "admit"):
        for batch in iter_batches(_rows_files(run, step), ["uid"]):
            table = pa.Table.from_batches([batch])
            found.update(table["uid"].filter(pa.array(rows_of(table, uids))).to_pylist())
    return found


def traces_of(run: Path, uids: pa.Array) -> Traces:
    """What is still written of samples in the parts of collect and fetch."""
    traces = Traces()
    for step in ("collect", "fetch"):
        for path in _rows_files(run, step):
            names = [name for name in pq.read_schema(path).names if name in ("uid", "origin", *_NAMES)]
            for batch in iter_batches([path], names):
                table = pa.Table.from_batches([batch])
                _note(table.filter(pa.array(rows_of(table, uids))), traces)
    return traces


def _note(rows: pa.Table, traces: Traces) -> None:
    for name in set(_NAMES).intersection(rows.column_names):
        traces.urls.update(rows[name].drop_null().to_pylist())
    for origin in rows["origin"].drop_null().unique().to_pylist() if "origin" in rows.column_names else ():
        name, _, offset = origin.rpartition(":")
        if offset.isdecimal():
            traces.offsets[name].add(int(offset))


def _rows_files(run: Path, step: str) -> list[Path]:
    return _files(run, step, "rows")


def _files(run: Path, step: str, role: str) -> list[Path]:
    folder = StepFolder(run, step)
    return [folder.path / file.name for record in folder.records() for file in record.files if file.role == role]
