"""The one table of measures: what each is called, belongs to, where it exists, and which function computes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import pyarrow as pa

from shards.schema import FETCHED, STAGES

Level = Literal["text", "image", "sample"]


@dataclass(frozen=True)
class Measure:
    """A column that is computed once and stored.

    `compute` names the function as `module:function`, imported when first needed: of a `filters.characters.TextColumn`
    for texts, of a fetched table for images at fetch, of `filters.image.Pixels` for images at measure. Where it
    names a module alone, that module's stage fills the column for all rows together. `version` rises whenever
    stored values would change: it is part of the fingerprints. Relative measures are not stored truths: they
    are recomputed over the rows that stand whenever a rule names them.
    """

    name: str
    level: Level
    stage: str
    dtype: pa.DataType
    unit: str
    source: str
    compute: str
    needs: tuple[str, ...] = ()
    relative: bool = False
    version: int = 1


@dataclass(frozen=True)
class BaseColumn:
    """A column that rows have without being measured."""

    name: str
    level: Level
    stage: str
    dtype: pa.DataType


# Recomputed over the rows that stand whenever a rule's turn comes, never stored as a truth.
_RANKS = frozenset({"dup_rank", "pair_rank"})
_RELATIVE = _RANKS | {"clip_pct"}

_INT, _FLOAT, _BOOL, _STRING = pa.int32(), pa.float64(), pa.bool_(), pa.string()


def _of_text(name: str, dtype: pa.DataType, unit: str, source: str = "") -> Measure:
    return Measure(name, "text", "collect", dtype, unit, source, f"filters.wording:{name}")


def _of_original(name: str, dtype: pa.DataType, unit: str, source: str = "") -> Measure:
    return Measure(name, "image", "fetch", dtype, unit, source, f"filters.image:{name}")


def _of_stored(name: str, dtype: pa.DataType, unit: str, source: str = "") -> Measure:
    return Measure(name, "image", "measure", dtype, unit, source, f"filters.image:{name}")


def _by_stage(name: str, level: Level, stage: str, dtype: pa.DataType, unit: str, compute: str, *needs: str) -> Measure:
    return Measure(name, level, stage, dtype, unit, "", compute, needs, relative=name in _RELATIVE)


_TABLE = (
    _of_text("zh_chars", _INT, "count", "Unicode Script=Han"),
    _of_text("zh_ratio", _FLOAT, "0.0-1.0, of all characters but spaces", "Unicode Script=Han"),
    _of_text("text_len", _INT, "count of characters", "Wukong, arXiv 2202.06767"),
    _of_text("is_filename", _BOOL, "true for a file's name or a camera's number", "shared/data real-alt-strings"),
    _of_text("is_url", _BOOL, "true where the text is an address"),
    _of_text("special_ratio", _FLOAT, "0.0-1.0, neither letter, digit nor space", "Data-Juicer, special characters"),
    _of_text("digit_ratio", _FLOAT, "0.0-1.0, decimal digits"),
    _by_stage("text_count", "text", "admit", pa.int64(), "distinct uids that share it, of all candidates", "pipelines"),
    _of_original("min_side", _INT, "px, of the original", "Wukong, arXiv 2202.06767"),
    _of_original("max_side", _INT, "px, of the original"),
    _of_original("aspect", _FLOAT, ">= 1.0, long side / short side of the original", "Wukong, arXiv 2202.06767"),
    _of_original("bytes_per_pixel", _FLOAT, "bytes on the wire / pixels of the original"),
    _of_stored("sharpness", _FLOAT, "variance of the Laplacian of grey, 0 is flat", "Pech-Pacheco et al. 2000"),
    _of_stored("brightness", _FLOAT, "0.0-1.0, mean of grey"),
    _of_stored("contrast", _FLOAT, "0.0-0.5, standard deviation of grey", "RMS contrast"),
    _of_stored("entropy", _FLOAT, "bits, 0.0-8.0, of the histogram of grey", "Shannon 1948"),
    _of_stored("colorfulness", _FLOAT, ">= 0.0, 15 slight, 45 quite, 80 strong", "Hasler and Suesstrunk 2003"),
    _of_stored("is_grayscale", _BOOL, "true where at most 1 pixel in 1000 has channels over 16 apart"),
    _of_stored("border_share", _FLOAT, "0.0-1.0, area of plain rows and columns at the edges"),
    _by_stage("phash", "image", "measure", pa.uint64(), "64 bits, first is highest, as imagehash.phash", "dedup.phash"),
    _by_stage("dhash", "image", "measure", pa.uint64(), "64 bits, first is highest, as imagehash.dhash", "dedup.dhash"),
    _by_stage("dup_group", "sample", "dedup", _STRING, "uid of the group's leader", "dedup.groups"),
    _by_stage("dup_rank", "sample", "dedup", _INT, "place by dedup.keep, from 1", "dedup.survivors", "dup_group"),
    _by_stage("pair_rank", "text", "dedup", _INT, "place among equal texts of a group", "dedup.survivors", "dup_group"),
    _by_stage("seen_in", "sample", "dedup", _STRING, "first of dedup.against with it", "dedup.hamming", "dup_group"),
    _by_stage("eval_match", "sample", "dedup", _STRING, "first of dedup.evaluation", "dedup.hamming", "dup_group"),
    _by_stage("clip_score", "text", "score", _FLOAT, "-1.0-1.0, cosine, rounded to 1e-4", "filters.clip"),
    _by_stage("clip_pct", "sample", "select", _FLOAT, "0.0-1.0, share with a lower score", "pipelines", "clip_score"),
    Measure(
        "sem_dup_cos",
        "sample",
        "select",
        _FLOAT,
        "0.0-1.0, cosine with the nearest image before it by dedup.keep, 0.0 for the first",
        "SemDeDup, arXiv 2303.09540",
        "dedup.semantic",
        ("clip_score",),
        relative=True,
    ),
)

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _TABLE}

# A sample's own columns are settled where candidates merge, so only what all candidates of one image share,
# and what belongs to a text, can be judged before. Offsets in a tar are no property of a sample.
_AT_COLLECT: tuple[tuple[str, Level], ...] = (
    ("kind", "text"),
    ("text", "text"),
    ("host", "sample"),
    ("source", "sample"),
)
_AT_ADMIT = ("uid", "url", "canonical_url", "page_url", "query", "strength", "category", "license")
_NOT_JUDGED = ("uid", "drop_reason", "detail", "tar_offset", "tar_bytes")

BASE_COLUMNS: Mapping[str, BaseColumn] = {
    **{name: BaseColumn(name, level, "collect", _STRING) for name, level in _AT_COLLECT},
    **{name: BaseColumn(name, "sample", "admit", _STRING) for name in _AT_ADMIT},
    "num_pages": BaseColumn("num_pages", "sample", "admit", _INT),
    "query_rank": BaseColumn("query_rank", "sample", "admit", _INT),
    **{
        field.name: BaseColumn(field.name, "image", "fetch", field.type)
        for field in FETCHED
        if field.name not in _NOT_JUDGED
    },
}

_COLUMNS: tuple[BaseColumn | Measure, ...] = (*BASE_COLUMNS.values(), *_TABLE)

TEXT_LEVEL = frozenset(column.name for column in _COLUMNS if column.level == "text")
"""Columns that belong to one text: a rule that names any of them judges each text."""


def columns_at(stage: str, dup_rank_stage: str = "dedup") -> dict[str, pa.DataType]:
    """Columns that a rule may name at `stage`: what earlier stages left and what this one adds, in table order."""
    reached = STAGES.index(stage)
    return {
        column.name: column.dtype for column in _COLUMNS if STAGES.index(stage_of(column, dup_rank_stage)) <= reached
    }


def stage_of(column: BaseColumn | Measure, dup_rank_stage: str) -> str:
    """Where a column exists first: ranks move to `select` where the best score decides who stays in a group."""
    return dup_rank_stage if column.name in _RANKS else column.stage


def needed_measures(names: Iterable[str]) -> list[str]:
    """The measures among `names` and those they rest on, each after what it needs; base columns cost nothing."""
    wanted: set[str] = set()
    pending = [name for name in names if name in MEASURES]
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(MEASURES[name].needs)
    return [name for name in MEASURES if name in wanted]


def measures_of(names: Iterable[str], stage: str, level: Level) -> list[str]:
    """Those of `names` that are measures computed at `stage` on `level`, in table order."""
    wanted = set(names)
    return [m.name for m in _TABLE if m.name in wanted and m.stage == stage and m.level == level]


def code_version(name: str) -> str:
    """What a fingerprint says of a measure's code."""
    return f"{name}:{MEASURES[name].version}"


def compute_function(name: str) -> Any:
    """The function behind a measure that has one, imported now."""
    module, _, function = MEASURES[name].compute.partition(":")
    return getattr(import_module(module), function)
