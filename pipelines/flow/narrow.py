"""How an attempt leaves out rows that kill it: they stay in the table, with a reason, and no work is done on them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.flow.rows import put
from pipelines.tasks import RowFilter


def only_taken(table: pa.Table, rows: RowFilter, first_place: int = 0) -> pa.Table:
    """While a part is narrowed: the rows in the range that is tried."""
    if rows.only is None:
        return table
    start = min(max(rows.only[0] - first_place, 0), table.num_rows)
    stop = min(max(rows.only[1] - first_place, 0), table.num_rows)
    return table.slice(start, max(0, stop - start))


def mark_skipped(table: pa.Table, rows: RowFilter, first_place: int = 0, stage: str | None = None) -> pa.Table:
    """Rows set aside get their reason where they had none, and `stage` as where they fell, if it is for us to say."""
    places = np.array([p for p in sorted(rows.skip) if first_place <= p < first_place + table.num_rows], np.int64)
    if not len(places):
        return table
    words = np.full(table.num_rows, None, dtype=object)
    words[places - first_place] = [rows.skip[place] for place in places.tolist()]
    reasons = pa.array(words, pa.string())
    is_new = pc.and_(pc.is_valid(reasons), pc.is_null(table["drop_reason"]))
    values = {"drop_reason": reasons, "detail": pa.scalar("set aside in dead/")}
    if stage is not None:
        values["dropped_at"] = pa.scalar(stage)
    for name, value in values.items():
        table = put(table, name, pc.if_else(is_new, value, table[name]))
    return table
