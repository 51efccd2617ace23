"""Known sets: releases not to repeat, evaluation sets to keep apart from; found, read and matched."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from dedup.hamming import Hashes, Join, pairs_in_table, plan_join
from dedup.hash_file import KnownHashes, hash_file_fault, read_known, sha256_heads
from dedup.settings import DedupSettings
from pipelines.fingerprints import folder_hashes, image_files
from pipelines.flow.cells import HASH_BITS, num_parts, read_cells
from pipelines.problems import Problem
from pipelines.tasks import Batch, Flow, Job, Outcome, tasks_of
from shards.tables import TableWriter, read_rows, write_table

_VERSION = 1
_MATCHED = pa.schema([("known", pa.int16()), ("phash", pa.uint64())])
_HEADS = pa.schema([("sha256_head", pa.uint64())])
_PHASHES = pa.schema([("phash", pa.uint64())])

Column = Literal["seen_in", "eval_match"]


@dataclass(frozen=True)
class KnownSet:
    """One entry of `dedup.against` (`seen_in`) or `dedup.evaluation` (`eval_match`).

    `files` are hash files or manifests; none for a folder of images. `mark` changes when the set does.
    """

    column: Column
    name: str
    given: str
    files: tuple[str, ...]
    mark: str


def known_set_problems(settings: DedupSettings) -> list[Problem]:
    """Entries that are neither of what they may be, and names that two sets would share."""
    problems = []
    names: set[tuple[str, str]] = set()
    for section, place, given in _entries(settings):
        path = Path(given).expanduser()
        if fault := _fault(section, given):
            problems.append(Problem(f"dedup.{section}.{place}", f"{given}: {fault}"))
        elif (section, _name(path)) in names:
            problems.append(
                Problem(f"dedup.{section}.{place}", f"{given}: another set is called {_name(path)} already")
            )
        names.add((section, _name(path)))
    return problems


def _entries(settings: DedupSettings) -> Iterator[tuple[Literal["against", "evaluation"], int, str]]:
    for place, given in enumerate(settings.against):
        yield "against", place, given
    for place, given in enumerate(settings.evaluation):
        yield "evaluation", place, given


def _fault(section: str, given: str) -> str | None:
    path = Path(given).expanduser()
    if "://" in given:
        return "only local files and folders can be matched with in this version"
    if not path.exists():
        return "is not there"
    if path.is_file():
        return hash_file_fault(path)
    if manifests := _manifests(path):
        return next((fault for file in manifests if (fault := hash_file_fault(file))), None)
    if section == "against":
        return "is neither a run nor a release; expected one of these, or a hash file (`curate fingerprint`)"
    return None if image_files(path) else "is neither a run nor a release, nor a folder with images"


def _manifests(folder: Path) -> list[Path]:
    """The kept files of a run's release, or of a release."""
    release = folder / "release" if (folder / "recipe.yaml").is_file() else folder
    return sorted((release / "manifest").glob("kept-*.parquet"))


def _name(path: Path) -> str:
    resolved = path.resolve()
    named = resolved.parent if resolved.name == "release" else resolved
    return named.stem if resolved.is_file() else named.name


def known_sets(settings: DedupSettings) -> list[KnownSet]:
    """The sets as they lie there now, in the order of the recipe."""
    found = []
    for section, _, given in _entries(settings):
        path = Path(given).expanduser().resolve()
        files = [path] if path.is_file() else _manifests(path)
        column: Column = "seen_in" if section == "against" else "eval_match"
        mark = _mark_of_files(files) if files else _mark_of_folder(path)
        found.append(KnownSet(column, _name(path), str(path), tuple(str(file) for file in files), mark))
    return found


def _mark_of_files(files: list[Path]) -> str:
    """Sizes and ends: a Parquet file ends in what it says of each of its columns."""
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 65_536))
            digest.update(f"{path.name} {size} ".encode() + file.read())
    return digest.hexdigest()


def _mark_of_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in image_files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_batch(flow: Flow, sets: list[KnownSet]) -> Batch:
    """One task for each set."""
    given = [{"known": known} for known in sets]
    settings = flow.recipe.image.model_dump(exclude={"store"})
    return tasks_of("dedup-known", _VERSION, settings, given, [[known.mark, bool(known.files)] for known in sets])


def read_set(job: Job) -> Outcome:
    """The hashes of one set: distinct phashes, and apart the beginnings of its sha256s."""
    known: KnownSet = job.task.inputs["known"]
    if known.files:
        hashes = read_known([Path(file) for file in known.files])
    else:
        table, _ = folder_hashes(Path(known.given), job.recipe.image)
        hashes = KnownHashes(
            np.unique(table["phash"].drop_null().to_numpy()), np.unique(sha256_heads(table["sha256"].drop_null()))
        )
    write_table(job.attempt.path("rows", "parquet"), pa.table({"phash": hashes.phashes}, schema=_PHASHES))
    heads = pa.table({"sha256_head": hashes.sha256_heads}, schema=_HEADS)
    write_table(job.attempt.path("heads", "heads.parquet"), heads)
    return Outcome(len(hashes.phashes))


def match_batch(flow: Flow) -> Batch:
    """One task for each set, table of its join with the run's distinct hashes, and range of that table's cells."""
    num = sum(record.rows for record in flow.records("dedup-distinct"))
    given, keys = [], []
    for number, (ref, record) in enumerate(zip(flow.refs("dedup-known"), flow.records("dedup-known"), strict=True)):
        plan = plan_join(HASH_BITS, flow.recipe.dedup.distance, num, record.rows)
        ranges = num_parts(num + record.rows)
        for table in range(len(plan.tables)):
            for part in range(ranges):
                shared = {"distinct": flow.refs("dedup-distinct"), "set": ref, "number": number}
                given.append({"plan": plan, "table": table, "part": (part, ranges), **shared})
                keys.append([number, table, part, ranges, plan.agreeing])
    settings = [flow.recipe.dedup.distance, flow.chain("dedup-distinct", "dedup-known")]
    return tasks_of("dedup-match", _VERSION, settings, given, keys)


def match(job: Job) -> Outcome:
    """The run's hashes that one table, or a range of its cells, finds near one of a set's."""
    plan: Join = job.task.inputs["plan"]
    table, part = job.task.inputs["table"], job.task.inputs["part"]
    ours = read_cells(plan, table, part, job.paths("distinct"))
    theirs = read_cells(plan, table, part, [job.path("set")])
    found = [np.unique(pairs[:, 0, 0]) for pairs in pairs_in_table(plan, table, ours, theirs)]
    matched = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))
    number = np.full(len(matched), job.task.inputs["number"], np.int16)
    with TableWriter(job.attempt.path("rows", "parquet"), _MATCHED, read_once=True) as writer:
        writer.write(pa.table({"known": number, "phash": matched}, schema=_MATCHED))
    return Outcome(len(matched))


def marked(table: pa.Table, job: Job) -> pa.Table:
    """`seen_in` and `eval_match` of rows with `phash` and `sha256_head`: the first set of the recipe that has each."""
    sets: list[KnownSet] = job.task.inputs["sets"]
    matched = pa.concat_tables([_MATCHED.empty_table(), *(read_rows(path) for path in job.paths("matched"))])
    numbers, hashes = matched["known"].to_numpy(), matched["phash"].to_numpy()
    ours, heads = table["phash"], table["sha256_head"]
    columns: dict[Column, list[str | None]] = {"seen_in": [None] * len(table), "eval_match": [None] * len(table)}
    for number, (known, path) in reversed(list(enumerate(zip(sets, job.paths("known", "heads"), strict=True)))):
        near = _is_among(ours, hashes[numbers == number])
        same = _is_among(heads, read_rows(path)["sha256_head"].to_numpy())
        for row in np.flatnonzero(near | same).tolist():
            columns[known.column][row] = known.name
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, pa.string()))
    return table


def _is_among(values: pa.ChunkedArray, wanted: Hashes) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which of the values, nulls aside, are wanted ones."""
    valid = values.is_valid().to_numpy()
    found = np.zeros(len(values), np.bool_)
    found[valid] = np.isin(values.drop_null().to_numpy(), wanted)
    return found
