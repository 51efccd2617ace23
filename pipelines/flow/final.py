"""The last form of a row: every column that a manifest has, wherever on its way the sample fell."""

import pyarrow as pa
import pyarrow.compute as pc

from filters.measures import MEASURES
from pipelines.flow.rows import put
from pipelines.flow.splits import SPLIT
from pipelines.flow.turns import BY_CLUSTER, NEAR_UID
from pipelines.tasks import Plan
from shards.schema import FETCHED
from shards.tables import fit

_TEXT_BASE = [("kind", pa.string()), ("text", pa.string())]
_VERDICT = [
    ("status", pa.string()),
    ("drop_reason", pa.string()),
    ("failed_rules", pa.list_(pa.string())),
    ("dropped_at", pa.string()),
    ("detail", pa.string()),
]
_SAMPLE = ["uid", "url", "canonical_url", "page_url", "host", "source", "query", "text", "text_kind"]
_NOT_RELEASED = ("uid", "drop_reason", "detail", "etag", "last_modified")
"""Columns of a download that the manifest has of its own, or that serve a later re-check alone."""
_DOWNLOAD = [field for field in FETCHED if field.name not in _NOT_RELEASED]
_TAGS = [("strength", pa.string()), ("category", pa.string()), ("license", pa.string()), ("num_pages", pa.int32())]
_TAGS += [("query_rank", pa.int32())]
_TAGS += [(name, pa.string()) for name in ("warc_record", "page_language", "page_charset", "charset_from", "author")]
_TAGS += [(name, pa.bool_()) for name in ("is_icon", "is_tracker", "is_spacer", "is_avatar")]
_PLACE = [("fetch_index", pa.int32()), ("fetch_fingerprint", pa.string())]
MANIFEST_TEXT = pa.struct(
    [("kind", pa.string()), ("text", pa.string()), ("clip_score", pa.float64()), ("drop_reason", pa.string())]
)


def text_struct(plan: Plan) -> pa.StructType:
    """A text with all its measures and its own verdict."""
    measured = [(name, MEASURES[name].dtype) for name in plan.measures if MEASURES[name].level == "text"]
    return pa.struct([*_TEXT_BASE, *measured, ("drop_reason", pa.string()), ("failed_rules", pa.list_(pa.string()))])


def selected_schema(plan: Plan) -> pa.Schema:
    """Columns of a select part: the manifest's, and where the stored copy lies."""
    columns: list[tuple[str, pa.DataType]] = [(name, pa.string()) for name in _SAMPLE]
    columns.append(("texts", pa.list_(text_struct(plan))))
    columns += [(field.name, field.type) for field in _DOWNLOAD]
    columns += _TAGS
    columns += [("phash", pa.uint64()), ("clip_score", pa.float64()), ("dup_group", pa.string())]
    columns += [("dup_of", pa.string()), *_VERDICT, *_PLACE]
    if plan.recipe.release.splits:
        columns.append((SPLIT, pa.string()))
    named = {name for name, _ in columns}
    columns += [(name, MEASURES[name].dtype) for name in plan.measures if name not in named]
    if BY_CLUSTER in plan.measures:
        columns.append((NEAR_UID, pa.string()))
    return pa.schema(columns)


def selected_rows(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of any stage in the select schema; what the sample never came to have is null."""
    status = pc.if_else(pc.is_null(table["drop_reason"]), "kept", "dropped")
    table = put(table, "status", status)
    wanted = schema.field("texts").type
    if table.schema.field("texts").type != wanted:
        table = put(table, "texts", _texts_as(table["texts"].combine_chunks(), wanted))
    return fit(table, schema)


def manifest_texts(texts: pa.ChunkedArray) -> pa.Array:
    """Texts as the manifest shows them: kind, text, clip_score, drop_reason."""
    return _texts_as(texts.combine_chunks(), pa.list_(MANIFEST_TEXT))


def _texts_as(texts: pa.Array, wanted: pa.ListType) -> pa.Array:
    texts = pa.concat_arrays(texts.chunks) if isinstance(texts, pa.ChunkedArray) else texts
    structs = texts.values
    have = {field.name for field in structs.type}
    fields = [
        structs.field(field.name).cast(field.type) if field.name in have else pa.nulls(len(structs), field.type)
        for field in wanted.value_type
    ]
    inner = pa.StructArray.from_arrays(fields, fields=list(wanted.value_type))
    return pa.ListArray.from_arrays(
        texts.offsets, inner, type=wanted, mask=pc.is_null(texts) if texts.null_count else None
    )
