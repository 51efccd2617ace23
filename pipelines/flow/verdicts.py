"""Verdicts that lie apart from what was gathered: of each sample only what was decided, row by row beside the rest.

So a run is decided again without shards: samples are read whole where the manifest is made of them, and nowhere else.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from filters.measures import MEASURES
from pipelines.flow.final import selected_schema, text_struct
from pipelines.flow.gather import GATHERED_ROWS
from pipelines.flow.rows import count_reasons, put, standing
from pipelines.flow.text_verdicts import TEXT_REASONS, with_judged_texts, with_text_reasons
from pipelines.tasks import Context, Job, Outcome, PartRef, Plan
from shards.tables import (
    ROW_GROUP_ROWS,
    TableWriter,
    fit,
    read_names,
    read_row_groups,
    read_rows,
    row_group_runs,
    row_group_sizes,
)
from shards.tombstones import tombstones_of

VERDICTS = "verdicts"
"""The role of their file in a select part, whose role `kept` then lists who is kept, by the columns `_LISTED`."""

OF_TEXTS = "texts.list.element."
"""Before a field of texts, where it is named as a column."""

_LISTED = ("uid", "dup_group")
_CAPTION = ("text", "text_kind")
_DECIDED = (*_CAPTION, "status", "drop_reason", "failed_rules", "dropped_at", "detail")
Places = npt.NDArray[np.int64]


def lie_apart(context: Context) -> bool:
    """Whether select writes verdicts alone: where a run is decided again without shards.

    Not where anything was taken down, since such rows are emptied whole, nor where splits are drawn.
    """
    splits = context.plan.recipe.release.splits
    return context.below is not None and not context.writes_shards and not splits and not tombstones_of(context.run)


def decided_parts(job: Job) -> "dict[PartRef, DecidedPart]":
    """The parts of a release's task whose verdicts lie apart, in order: all or none of them."""
    selected, gathered = job.task.inputs["selected"], job.task.inputs.get("gathered")
    if not gathered:
        return {}
    paths = zip(job.paths("selected", VERDICTS), job.paths("gathered"), job.paths("judged"), strict=True)
    return {ref: DecidedPart(*files, job.plan) for ref, files in zip(selected, paths, strict=True)}


def write_verdicts(job: Job, judged: Iterator[pa.Table]) -> Outcome:
    """What was decided of the samples of a range, in the pieces in which they were judged, and who is kept."""
    first = next(judged)
    judged_names, gathered_names = (read_names(job.path(name)) for name in ("judged", "gathered"))
    told = told_by_judging(job.plan, judged_names, gathered_names)
    schema = _decided_schema(job.plan, first.column_names, gathered_names, told)
    listed = pa.schema([field for field in selected_schema(job.plan) if field.name in _LISTED])
    fates = listed.append(schema.field("drop_reason"))
    counts = Counter[str]()
    with (
        TableWriter(job.attempt.path(VERDICTS, "verdicts.parquet"), schema, read_once=True) as decided,
        TableWriter(job.attempt.path("kept", "kept.parquet"), listed, read_once=True) as released,
    ):
        for piece in itertools.chain([first], judged):
            decided.write(_with_fates(piece), GATHERED_ROWS)
            count_reasons(counts, piece)
            released.write(standing(fit(piece, fates)), GATHERED_ROWS)
    return Outcome(decided.num_rows, dict(counts), {"kept": released.num_rows})


def told_by_judging(plan: Plan, judged: Sequence[str], gathered: Sequence[str]) -> frozenset[str]:
    """The columns of a judged part without texts that nothing changes any more: captions, and why texts fell."""
    if TEXT_REASONS not in judged:
        return frozenset()
    measured = {name for name in plan.measures if MEASURES[name].level == "text" and not _is_relative(name)}
    return frozenset({*_CAPTION, TEXT_REASONS, *(measured - {*gathered})} & {*judged})


def _decided_schema(plan: Plan, judged: Sequence[str], gathered: Sequence[str], told: Collection[str]) -> pa.Schema:
    """The columns that deciding makes or may change, and the verdict on each text; without those `told` before."""
    own = {*_DECIDED, *(field.name for field in text_struct(plan)), *judged} - {"texts"}
    own -= {name for name in gathered if name not in _DECIDED and not _is_relative(name)}
    fields = [field for field in selected_schema(plan) if field.name in own]
    fields.append(pa.field(TEXT_REASONS, pa.list_(pa.string())))
    return pa.schema([field for field in fields if field.name not in told])


def _is_relative(name: str) -> bool:
    return name in MEASURES and MEASURES[name].relative


def _with_fates(table: pa.Table) -> pa.Table:
    return put(with_text_reasons(table), "status", pc.if_else(pc.is_null(table["drop_reason"]), "kept", "dropped"))


@dataclass(frozen=True)
class DecidedPart:
    """A range of samples in files of as many rows in as many row groups: verdicts, what was gathered, and captions.

    Rows come in such pieces as a select part would hold that had them whole, so that what is written of them is the
    same to the byte. A field of texts is named as a column is: `texts.list.element.<field>`.
    """

    verdicts: Path
    gathered: Path
    judged: Path
    plan: Plan

    def kept_rows(self, ranks: Places, columns: Sequence[str]) -> pa.Table:
        """Kept samples by their sorted ranks, reading only the row groups that hold them."""
        places = np.flatnonzero(self._stands)
        tables = [self._read([], columns)]
        for run in self._runs:
            first, end = np.searchsorted(places, self._span(run))
            inside = ranks[(ranks >= first) & (ranks < end)]
            if len(inside):
                table = self._rows_at(places[inside], columns)
                edges = np.flatnonzero(np.diff((inside - first) // GATHERED_ROWS)) + 1
                tables += [table[start:stop] for start, stop in itertools.pairwise([0, *edges.tolist(), len(inside)])]
        return pa.concat_tables(tables)

    def fallen_tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """What fell, some row groups at a time; at least one table, be it empty."""
        groups = list(self._fallen_groups())
        for run in row_group_runs([len(places) for places in groups]):
            yield self._rows_at(np.concatenate([groups[number] for number in run]), columns)
        if not groups:
            yield self._read([], columns)

    def both(self, columns: Sequence[str]) -> Iterator[tuple[list[pa.Table], list[pa.Table]]]:
        """All rows, each read once, in order: tables of who is kept, and such tables as `fallen_tables` gives."""
        runs = row_group_runs([len(places) for places in self._fallen_groups()])
        joined, groups = next(runs, range(0)), list[pa.Table]()
        for run in self._runs:
            table = self._read(run, columns)
            stands = self._stands[slice(*self._span(run))]
            kept, fell = (table.filter(pa.array(chosen)).combine_chunks() for chosen in (stands, ~stands))
            groups += [fell[start : start + ROW_GROUP_ROWS] for start in range(0, max(1, len(fell)), ROW_GROUP_ROWS)]
            tables = []
            while joined and len(groups) >= len(joined):
                tables.append(pa.concat_tables(groups[: len(joined)]).combine_chunks())
                groups, joined = groups[len(joined) :], next(runs, range(0))
            yield [kept[start : start + GATHERED_ROWS] for start in range(0, len(kept), GATHERED_ROWS)], tables
        if not self._runs:
            yield [], [self._read([], columns)]

    def _fallen_groups(self) -> Iterator[Places]:
        for run in self._runs:
            first, end = self._span(run)
            places = first + np.flatnonzero(~self._stands[first:end])
            for start in range(0, max(1, len(places)), ROW_GROUP_ROWS):
                yield places[start : start + ROW_GROUP_ROWS]

    def tables(self, columns: Sequence[str], are_kept: bool) -> Iterator[pa.Table]:
        """The samples that are kept, or those that fell, a row group at a time."""
        for group in range(len(self._starts) - 1):
            first, end = self._span([group])
            yield self._read([group], columns).filter(pa.array(self._stands[first:end] == are_kept))

    @cached_property
    def _stands(self) -> npt.NDArray[np.bool_]:
        status = read_rows(self.verdicts, ["status"])["status"]
        return np.asarray(pc.equal(status, "kept").to_numpy(), np.bool_)

    @cached_property
    def _starts(self) -> Places:
        """Where each row group starts, and the last one ends."""
        return np.concatenate([[0], np.cumsum(row_group_sizes(self.gathered), dtype=np.int64)])

    @cached_property
    def _runs(self) -> list[range]:
        """Row groups that were decided together."""
        return list(row_group_runs(np.diff(self._starts).tolist()))

    def _span(self, groups: Sequence[int]) -> tuple[int, int]:
        return int(self._starts[groups[0]]), int(self._starts[groups[-1] + 1])

    def _rows_at(self, places: Places, columns: Sequence[str]) -> pa.Table:
        """Rows by their sorted places, each column in one piece."""
        tables = [self._read([], columns)]
        for run in self._runs:
            first, end = np.searchsorted(places, self._span(run))
            if first < end:
                tables.append(self._rows_of_run(places[first:end], columns))
        return tables[1] if len(tables) == 2 else pa.concat_tables(tables).combine_chunks()

    def _rows_of_run(self, places: Places, columns: Sequence[str]) -> pa.Table:
        groups = np.unique(np.searchsorted(self._starts, places, side="right") - 1)
        there = np.concatenate([np.arange(*self._span([group])) for group in groups])
        chosen = np.isin(there, places, assume_unique=True)
        table = self._read(groups.tolist(), columns)
        return (table if chosen.all() else table.filter(pa.array(chosen))).combine_chunks()

    @cached_property
    def files(self) -> Mapping[str, Path]:
        """The file of each column that is in one; a verdict stands before what was there when it was given."""
        decided, gathered, judged = (read_names(path) for path in (self.verdicts, self.gathered, self.judged))
        told = told_by_judging(self.plan, judged, gathered)
        names = ((self.gathered, gathered), (self.judged, told), (self.verdicts, decided))
        return {name: path for path, found in names for name in found}

    def _read(self, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Columns of some row groups, as far as the plan has them; null where neither file does."""
        schema = selected_schema(self.plan)
        fields = [name.removeprefix(OF_TEXTS) for name in columns if name.startswith(OF_TEXTS)]
        named = [name for name in columns if name in schema.names]
        wanted = {"status", *named, *([TEXT_REASONS] if "drop_reason" in fields else [])} & self.files.keys()
        table = read_row_groups(self.verdicts, groups, self._lying_in(self.verdicts, wanted))
        gathered = [OF_TEXTS + field for field in fields if field != "drop_reason"]
        for path, more in ((self.judged, []), (self.gathered, gathered)):
            names = [*self._lying_in(path, wanted), *more]
            rest = read_row_groups(path, groups, names) if names else table.select([])
            for name in rest.column_names:
                table = put(table, name, rest[name])
        found = fit(table, pa.schema([_as_read(schema.field(name)) for name in named]))
        if not fields:
            return found
        texts = (with_judged_texts(table) if "drop_reason" in fields else table)["texts"]
        order = dict.fromkeys("texts" if name.startswith(OF_TEXTS) else name for name in columns)
        made = dict(zip(found.column_names, found.columns, strict=True)) | {"texts": texts}
        return pa.table({name: made[name] for name in order if name in made})

    def _lying_in(self, path: Path, names: Collection[str]) -> list[str]:
        return sorted(name for name in names if self.files[name] == path)


def _as_read(field: pa.Field) -> pa.Field:
    """As it comes out of a file, which calls what a list holds `element`."""
    if not pa.types.is_list(field.type):
        return field
    return field.with_type(pa.list_(pa.field("element", field.type.value_type)))
