"""How an attempt leaves out rows that kill it: they stay in the table, with a reason, and no work is done on them."""

import numpy as np
import pyarrow as pa

from pipelines.tasks import RowFilter


def only_taken(table: pa.Table, rows: RowFilter, first_place: int = 0) -> pa.Table:
    """While a part is narrowed: the rows in the range that is tried."""
    if rows.only is None:
        return table
    start = min(max(rows.only[0] - first_place, 0), table.num_rows)
    stop = min(max(rows.only[1] - first_place, 0), table.num_rows)
    return table.slice(start, max(0, stop - start))


def mark_skipped(table: pa.Table, rows: RowFilter, first_place: int = 0) -> pa.Table:
    """Rows set aside get their reason where they had none; their traceback lies in `dead/`."""
    places = [place for place in sorted(rows.skip) if first_place <= place < first_place + table.num_rows]
    if not places:
        return table
    for column, words in (("drop_reason", rows.skip), ("detail", dict.fromkeys(places, "set aside in dead/"))):
        values = np.array(table[column].to_pylist(), dtype=object)
        for place in places:
            values[place - first_place] = words[place]
        position = table.schema.get_field_index(column)
        table = table.set_column(position, column, pa.array(values.tolist(), pa.string()))
    return table
