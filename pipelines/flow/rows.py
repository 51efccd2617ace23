"""Tables of samples as parts hold them: counting what stands, and joining what stages say of the same uids."""

import pyarrow as pa
import pyarrow.compute as pc


def count_reasons(counts: dict[str, int], table: pa.Table) -> None:
    """Add the table's rows to `counts`: by drop reason, and `standing` for those without one."""
    for entry in table["drop_reason"].value_counts().to_pylist():
        reason = entry["values"] or "standing"
        counts[reason] = counts.get(reason, 0) + entry["counts"]


def standing(table: pa.Table) -> pa.Table:
    """The rows that no stage has dropped."""
    return table.filter(pc.is_null(table["drop_reason"]))


def put(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The table with a column set, in its old place or at the end."""
    place = table.schema.get_field_index(name)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)


def looked_up(table: pa.Table, other: pa.Table, names: list[str]) -> pa.Table:
    """Columns `names` of `other` for each uid of `table`, null where `other` lacks the uid."""
    place = pc.index_in(table["uid"], other["uid"].combine_chunks())
    for name in names:
        table = put(table, name, other[name].combine_chunks().take(place))
    return table


def blank_drop(table: pa.Table, rows: pa.Array, reason: pa.Array, stage: str, detail: pa.Array) -> pa.Table:
    """Drop `rows` (a mask) that still stand, for what the web did at `stage`."""
    mask = pc.and_(rows, pc.is_null(table["drop_reason"]))
    table = put(table, "dropped_at", pc.if_else(mask, stage, table["dropped_at"]))
    table = put(table, "detail", pc.if_else(mask, detail, table["detail"]))
    return put(table, "drop_reason", pc.if_else(mask, reason, table["drop_reason"]))


def relisted(lists: pa.ListArray, name: str, column: pa.Array) -> pa.ListArray:
    """A list of structs with one more field, whose values lie in the order of the flattened structs."""
    structs = lists.values
    names = [field.name for field in structs.type if field.name != name]
    fields = [structs.field(field) for field in names]
    wider = pa.StructArray.from_arrays([*fields, column], names=[*names, name])
    return pa.ListArray.from_arrays(lists.offsets, wider, mask=pc.is_null(lists) if lists.null_count else None)
