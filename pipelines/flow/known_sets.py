"""Known sets: releases not to repeat, evaluation sets to keep apart from; found, read and matched."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from dedup.hamming import Hashes, Join, pairs_in_tables, plan_join
from dedup.hash_file import KnownHashes, hash_file_fault, read_known, sha256_heads
from dedup.hashes import HashName
from dedup.settings import DedupSettings
from pipelines.fingerprints import folder_hashes, image_files
from pipelines.flow.cells import HASH_BITS, num_parts, read_cells
from pipelines.flow.set_marks import mark_of_files, mark_of_folder
from pipelines.problems import Problem
from pipelines.tasks import Batch, Flow, Job, Outcome, tasks_of
from shards.errors import UsageError
from shards.tables import TableWriter, read_rows, write_table

_VERSION = 2
_MATCHED = pa.schema([("known", pa.int16()), ("hash", pa.uint64())])
_HEADS = pa.schema([("sha256_head", pa.uint64())])
_HASHES = pa.schema([("hash", pa.uint64())])

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
        if fault := _fault(section, given, settings.hash):
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


def _fault(section: str, given: str, name: HashName) -> str | None:
    path = Path(given).expanduser()
    if "://" in given:
        return "only local files and folders can be matched with in this version"
    if not path.exists():
        return "is not there"
    if path.is_file():
        return hash_file_fault(path, name)
    if manifests := _manifests(path):
        return next((fault for file in manifests if (fault := hash_file_fault(file, name))), None)
    if section == "against":
        return "is neither a run nor a release; expected one of these, or a hash file (`curate fingerprint`)"
    return None if image_files(path) else "is neither a run nor a release, nor a folder with images"


def refuse_own_folder(run: Path, settings: DedupSettings) -> None:
    """A run cannot keep apart from itself: all that it has would be known. Raises `UsageError`."""
    for section, _, given in _entries(settings):
        path = Path(given).expanduser().resolve()
        if path == run or run / "release" in (path, *path.parents):
            raise UsageError(
                f"dedup.{section}: {given} is the run's own folder (--out); name earlier runs, or other releases"
            )


def _manifests(folder: Path) -> list[Path]:
    """The kept files of a run's release, or of a release."""
    release = folder / "release" if (folder / "release").is_dir() else folder
    return sorted((release / "manifest").glob("kept-*.parquet"))


def _name(path: Path) -> str:
    resolved = path.resolve()
    named = resolved.parent if resolved.name == "release" else resolved
    return named.stem if resolved.is_file() else named.name


def known_sets(settings: DedupSettings, run: Path) -> list[KnownSet]:
    """The sets as they lie there now, in the order of the recipe; `run` remembers the marks of image folders."""
    found = []
    for section, _, given in _entries(settings):
        path = Path(given).expanduser().resolve()
        files = [path] if path.is_file() else _manifests(path)
        column: Column = "seen_in" if section == "against" else "eval_match"
        mark = mark_of_files(files) if files else mark_of_folder(path, run)
        found.append(KnownSet(column, _name(path), str(path), tuple(str(file) for file in files), mark))
    return found


def read_batch(flow: Flow, sets: list[KnownSet]) -> Batch:
    """One task for each set."""
    given = [{"known": known} for known in sets]
    settings = [flow.recipe.dedup.hash, flow.recipe.image.model_dump(exclude={"store"})]
    return tasks_of("dedup-known", _VERSION, settings, given, [[known.mark, bool(known.files)] for known in sets])


def read_set(job: Job) -> Outcome:
    """The hashes of one set, each once, and apart the beginnings of its sha256s."""
    known: KnownSet = job.task.inputs["known"]
    name = job.recipe.dedup.hash
    if known.files:
        found = read_known([Path(file) for file in known.files], name)
    else:
        table, _ = folder_hashes(Path(known.given), job.recipe.image)
        found = KnownHashes(
            np.unique(table[name].drop_null().to_numpy()), np.unique(sha256_heads(table["sha256"].drop_null()))
        )
    write_table(job.attempt.path("rows", "parquet"), pa.table({"hash": found.hashes}, schema=_HASHES))
    heads = pa.table({"sha256_head": found.sha256_heads}, schema=_HEADS)
    write_table(job.attempt.path("heads", "heads.parquet"), heads)
    return Outcome(len(found.hashes))


def match_batch(flow: Flow) -> Batch:
    """One task for each set, family of tables of its join with the run's distinct hashes, and range of their cells."""
    num = sum(record.rows for record in flow.records("dedup-distinct"))
    given, keys = [], []
    for number, (ref, record) in enumerate(zip(flow.refs("dedup-known"), flow.records("dedup-known"), strict=True)):
        plan = plan_join(HASH_BITS, flow.recipe.dedup.distance, num, record.rows)
        ranges = num_parts(num + record.rows)
        for family in range(len(plan.families)):
            for part in range(ranges):
                shared = {"distinct": flow.refs("dedup-distinct"), "set": ref, "number": number}
                given.append({"plan": plan, "family": family, "part": (part, ranges), **shared})
                keys.append([number, family, part, ranges, plan.agreeing])
    settings = [flow.recipe.dedup.distance, flow.chain("dedup-distinct", "dedup-known")]
    return tasks_of("dedup-match", _VERSION, settings, given, keys)


def match(job: Job) -> Outcome:
    """The run's hashes that one family of tables, or a range of its cells, finds near one of a set's."""
    plan: Join = job.task.inputs["plan"]
    family, part = job.task.inputs["family"], job.task.inputs["part"]
    ours = read_cells(plan, family, part, job.paths("distinct"))
    theirs = read_cells(plan, family, part, [job.path("set")])
    found = [np.unique(pairs[:, 0, 0]) for pairs in pairs_in_tables(plan, family, ours, theirs)]
    matched = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]))
    number = np.full(len(matched), job.task.inputs["number"], np.int16)
    with TableWriter(job.attempt.path("rows", "parquet"), _MATCHED, read_once=True) as writer:
        writer.write(pa.table({"known": number, "hash": matched}, schema=_MATCHED))
    return Outcome(len(matched))


def marked(table: pa.Table, job: Job) -> pa.Table:
    """`seen_in` and `eval_match` of rows with `hash` and `sha256_head`: the first set of the recipe that has each."""
    sets: list[KnownSet] = job.task.inputs["sets"]
    matched = pa.concat_tables([_MATCHED.empty_table(), *(read_rows(path) for path in job.paths("matched"))])
    numbers, hashes = matched["known"].to_numpy(), matched["hash"].to_numpy()
    ours, heads = table["hash"], table["sha256_head"]
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
