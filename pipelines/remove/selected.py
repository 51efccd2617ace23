"""Select parts without some samples: who was kept moves to the dropped rows, where nothing of it stays but its uid."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.flow.rows import count_reasons
from pipelines.flow.splits import SPLIT
from pipelines.flow.taken_down import PLACED
from pipelines.remove.parts import REMOVED_ROWS, Removal, put_record, written_anew
from pipelines.stages import WORK
from pipelines.tasks import Context, Job, PartRef, Task
from shards.catalog import planned_parts
from shards.parts import Attempt, PartFile, Record, StepFolder
from shards.table_purge import blanked, empty_rows, is_written_once, num_full, rows_of
from shards.tables import read_rows, write_table

SELECT, ORDER = "select", "select-order"


def purge_selected(removal: Removal) -> None:
    """Every select part, of whatever recipe; then the order of what is kept now."""
    folder = StepFolder(removal.run, SELECT)
    changed = [_purge_part(folder, record, removal) for record in folder.records() if folder.is_whole(record)]
    if not removal.is_dry:
        folder.sweep()
        if any(changed) or removal.is_resumed:
            _order_again(removal)


def with_removed(dropped: pa.Table, uids: pa.Array) -> pa.Table:
    """Dropped rows, by uid, with an empty row for each of `uids`; of those that are there the rows are emptied."""
    new = uids.filter(pa.array(~rows_of(pa.table({"uid": uids}), dropped["uid"].combine_chunks())))
    rows = pa.concat_tables([dropped, empty_rows(dropped.schema, new)]).sort_by("uid") if len(new) else dropped
    return blanked(rows, rows_of(rows, uids))


def _purge_part(folder: StepFolder, record: Record, removal: Removal) -> bool:
    paths = {role: folder.file(record, role) for role in ("kept", "dropped")}
    kept, dropped = (read_rows(paths[role]) for role in ("kept", "dropped"))
    is_gone = rows_of(kept, removal.uids)
    gone = kept["uid"].filter(pa.array(is_gone)).combine_chunks()
    fell = dropped["uid"].filter(pa.array(rows_of(dropped, removal.uids))).combine_chunks()
    left = with_removed(dropped, pa.concat_arrays([gone, fell]))
    if left.equals(dropped):
        return False
    num = len(gone) + num_full(dropped.filter(pa.array(rows_of(dropped, removal.uids))))
    removal.tell(f"{SELECT}/{paths['kept'].name}: {len(gone):,} rows taken out, emptied among the dropped")
    if not removal.is_dry:
        tables = {"kept": kept.filter(pa.array(~is_gone)), "dropped": left}
        made = {file.role: _written(folder, file, tables[file.role], paths[file.role]) for file in record.files}
        _put(folder, record, made, tables, num)
    return True


def _written(folder: StepFolder, file: PartFile, table: pa.Table, before: Path) -> PartFile:
    with pq.ParquetFile(before) as old:
        is_read_once = is_written_once(old)
    return written_anew(folder, file, lambda target: write_table(target, table, is_read_once))


def _put(folder: StepFolder, record: Record, made: dict[str, PartFile], tables: dict[str, pa.Table], num: int) -> None:
    kept = tables["kept"]
    counts: dict[str, int] = {}
    for table in tables.values():
        count_reasons(counts, table)
    layout = {name: record.meta[name] for name in ("kept", "splits") if name in record.meta}
    facts: dict[str, object] = {
        PLACED: record.meta.get(PLACED, layout),
        REMOVED_ROWS: record.meta.get(REMOVED_ROWS, 0) + num,
        "kept": kept.num_rows,
    }
    if "splits" in layout:
        names = kept[SPLIT].to_pylist()
        facts["splits"] = {name: names.count(name) for name in layout["splits"]}
    put_record(folder, record, made, facts, counts=dict(sorted(counts.items())))


def _order_again(removal: Removal) -> None:
    """The latest recipe's order anew; those of others are forgotten, since they rank what is no more."""
    folder = StepFolder(removal.run, ORDER)
    planned = planned_parts(removal.run)
    current = set(planned.get(ORDER, []))
    for record in folder.records():
        mark = (record.index, record.fingerprint)
        if mark in current and _are_there(removal.run, planned.get(SELECT, [])):
            _write_order(folder, record, [PartRef(SELECT, *part) for part in planned[SELECT]], removal)
        else:
            folder.forget(record.index, record.fingerprint)
    folder.sweep()


def _are_there(run: Path, parts: list[tuple[int, str]]) -> bool:
    done = StepFolder(run, SELECT).committed()
    return all((index, mark[:8]) in done for index, mark in parts)


def _write_order(folder: StepFolder, record: Record, selected: list[PartRef], removal: Removal) -> None:
    from pipelines.plan_file import read_plan

    task = Task(ORDER, record.index, record.fingerprint, {"selected": selected})
    attempt = Attempt(folder, record.index)
    outcome = WORK[ORDER](Job(task, Context(removal.run, read_plan(removal.run), ""), attempt))
    folder.replace(
        Record(ORDER, record.index, record.fingerprint, attempt.publish(), outcome.rows, outcome.counts, outcome.meta)
    )
