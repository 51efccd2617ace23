"""The verdicts on texts without the texts: what is left of them once no rule will look at them again."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.judge import NAMES_TYPE, one_array
from pipelines.flow.rows import put
from pipelines.flow.texts import with_text_field

TEXT_REASONS = "text_reasons"
"""The column of the drop reasons of a sample's texts, in their order."""

_NO_TEXTS = pa.list_(
    pa.struct(
        [("kind", pa.string()), ("text", pa.string()), ("drop_reason", pa.string()), ("failed_rules", NAMES_TYPE)]
    )
)


def with_text_reasons(table: pa.Table) -> pa.Table:
    """The table with the reasons of its texts in a column of their own, if it has them not so already."""
    if TEXT_REASONS in table.column_names:
        return table
    lists = one_array(table["texts"])
    return put(table, TEXT_REASONS, _relisted(lists, pc.list_flatten(lists).field("drop_reason")))


def without_texts(table: pa.Table) -> pa.Table:
    """The table with the reasons of its texts in place of the texts."""
    return with_text_reasons(table).drop_columns(["texts"])


def with_no_texts(table: pa.Table) -> pa.Table:
    """The table with a column of texts for rules that look at none of them: null for each sample."""
    return table if "texts" in table.column_names else put(table, "texts", pa.nulls(table.num_rows, _NO_TEXTS))


def with_judged_texts(table: pa.Table) -> pa.Table:
    """The reasons back in the texts; where other fields of theirs were not read, texts that have nothing else."""
    reasons = one_array(table[TEXT_REASONS])
    values = pc.list_flatten(reasons)
    if "texts" in table.column_names:
        return with_text_field(table, "drop_reason", values)
    return put(table, "texts", _relisted(reasons, pa.StructArray.from_arrays([values], names=["drop_reason"])))


def _relisted(lists: pa.ListArray, values: pa.Array) -> pa.ListArray:
    """Other values in lists of the same lengths."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=pc.is_null(lists))
