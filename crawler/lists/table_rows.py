"""Rows of a table as raw candidates: what is missing, too long or not UTF-8 becomes a drop reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crawler.sources import ResolvedTable
from shards.schema import RAW_CANDIDATE

MAX_TEXT_CHARS = 2**20
MAX_URL_CHARS = 65_536
MAX_FIELD_CHARS = 65_536


@dataclass(frozen=True)
class Rows:
    """Some rows of a file: their numbers (from 1), a binary or text column for each candidate column that the
    file has, and what is wrong with rows that could not be read at all, as (row number, detail)."""

    numbers: pa.Array
    columns: dict[str, pa.Array]
    broken: Sequence[tuple[int, str]] = field(default=())


def candidates_of(rows: Rows, name: str, resolved: ResolvedTable) -> pa.RecordBatch:
    """One candidate a row, in the order of the file; `origin` is `name:row`."""
    num_rows = len(rows.numbers)
    url, url_fault = _url_column(rows.columns["url"])
    text, text_fault = _text_column(rows.columns.get("text", pa.nulls(num_rows, pa.string())))
    has_fault = pc.is_valid(url_fault)
    built = {
        "url": url,
        "kind": pc.if_else(pc.is_valid(text), _kinds(rows, resolved), pa.scalar(None, pa.string())),
        "text": pc.if_else(has_fault, pa.scalar(None, pa.string()), text),
        "origin": _origins(name, rows.numbers),
        "drop_reason": pc.if_else(
            has_fault, "bad_row", pc.if_else(pc.is_valid(text_fault), "bad_text", pa.scalar(None, pa.string()))
        ),
        "detail": pc.coalesce(url_fault, text_fault),
    }
    for column in ("page_url", "query", "strength", "category", "license"):
        if column in rows.columns:
            built[column] = _plain_column(rows.columns[column])
    if "expected_sha256" in rows.columns:
        built["expected_sha256"] = _sha256_column(rows.columns["expected_sha256"])
    if "strength" in rows.columns:
        known = pc.is_in(built["strength"], pa.array(["strong", "weak"]))
        built["strength"] = pc.if_else(known, built["strength"], pa.scalar(None, pa.string()))
    for column, value in resolved.constants.items():
        built[column] = pa.repeat(pa.scalar(value, pa.string()), num_rows)
    batch = raw_candidates(built, num_rows)
    return _with_broken(batch, rows, name, resolved) if rows.broken else batch


def _kinds(rows: Rows, resolved: ResolvedTable) -> Any:
    return _plain_column(rows.columns["kind"]) if "kind" in rows.columns else pa.scalar(resolved.kind)


def _url_column(raw: pa.Array) -> tuple[pa.Array, pa.Array]:
    """URLs, and what is wrong with those that are now null."""
    text, is_foreign = _decoded(raw)
    length = pc.fill_null(pc.utf8_length(text), 0)
    is_blank = pc.or_(pc.is_null(text), pc.equal(pc.utf8_trim_whitespace(pc.fill_null(text, "")), ""))
    is_long = pc.greater(length, MAX_URL_CHARS)
    fault = _first_of(
        num_rows=len(raw),
        faults=[
            (is_foreign, pa.scalar("the url is not UTF-8")),
            (is_blank, pa.scalar("no url")),
            (is_long, _counted("the url has ", length)),
        ],
    )
    return _without(text, pc.is_valid(fault)), fault


def _text_column(raw: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts, empty ones as null, and what is wrong with those that are now null for a fault."""
    text, is_foreign = _decoded(raw)
    length = pc.fill_null(pc.utf8_length(text), 0)
    is_long = pc.greater(length, MAX_TEXT_CHARS)
    fault = _first_of(len(raw), [(is_foreign, pa.scalar("the text is not UTF-8")), (is_long, _counted("", length))])
    return _without(text, pc.or_(pc.is_valid(fault), pc.equal(length, 0))), fault


def _plain_column(raw: pa.Array) -> pa.Array:
    """A column of no consequence for a row's fate: what cannot be kept is null."""
    text, _ = _decoded(raw)
    length = pc.fill_null(pc.utf8_length(text), 0)
    is_kept = pc.and_(pc.greater(length, 0), pc.less_equal(length, MAX_FIELD_CHARS))
    return pc.if_else(is_kept, text, pa.scalar(None, pa.string()))


def _sha256_column(raw: pa.Array) -> pa.Array:
    """Digests in lower case; what is none (md5, base64, empty) is null: there is nothing to compare with."""
    digests = pc.utf8_lower(pc.utf8_trim_whitespace(_decoded(raw)[0]))
    return pc.if_else(pc.match_substring_regex(digests, "^[0-9a-f]{64}$"), digests, pa.scalar(None, pa.string()))


def _without(text: pa.Array, rows: pa.Array) -> pa.Array:
    """The column with `rows` (a mask) null; most columns have no such row and are not copied."""
    return pc.if_else(rows, pa.scalar(None, pa.string()), text) if pc.any(rows).as_py() else text


def _decoded(raw: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A text or binary column as valid UTF-8, and where it was none (those rows are null)."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.dictionary_decode()
    if pa.types.is_null(raw.type):
        return pa.nulls(len(raw), pa.string()), pa.repeat(pa.scalar(False), len(raw))
    binary = raw.cast(pa.string(), safe=False).cast(pa.binary()) if _is_view(raw) else raw.cast(pa.binary())
    try:
        return binary.cast(pa.string()), pa.repeat(pa.scalar(False), len(raw))
    except pa.ArrowInvalid:
        values = [_utf8(value) for value in binary.to_pylist()]
        text = pa.array(values, pa.string())
        return text, pc.and_(pc.is_null(text), pc.is_valid(binary))


def _is_view(raw: pa.Array) -> bool:
    return bool(pa.types.is_string_view(raw.type) or pa.types.is_binary_view(raw.type))


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _first_of(num_rows: int, faults: list[tuple[pa.Array, Any]]) -> pa.Array:
    """The detail of the first fault that each row has, or null."""
    found = pa.nulls(num_rows, pa.string())
    for mask, detail in reversed(faults):
        if pc.any(mask).as_py():
            found = pc.if_else(mask, detail, found)
    return found


def _counted(prefix: str, length: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(prefix, length.cast(pa.string()), " characters", "")


def _origins(name: str, numbers: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(name, numbers.cast(pa.string()), ":")


def raw_candidates(columns: dict[str, pa.Array], num_rows: int) -> pa.RecordBatch:
    """Some columns of RAW_CANDIDATE as a batch of it; the others are null."""
    arrays = [columns.get(field.name, pa.nulls(num_rows, field.type)) for field in RAW_CANDIDATE]
    cast = [array.cast(field.type) for array, field in zip(arrays, RAW_CANDIDATE, strict=True)]
    return pa.RecordBatch.from_arrays(cast, schema=RAW_CANDIDATE)


def _with_broken(batch: pa.RecordBatch, rows: Rows, name: str, resolved: ResolvedTable) -> pa.RecordBatch:
    """The batch with its unreadable rows, each in its place."""
    numbers = pa.array([number for number, _ in rows.broken], pa.int64())
    broken = {
        "origin": _origins(name, numbers),
        "drop_reason": pa.repeat(pa.scalar("bad_row"), len(numbers)),
        "detail": pa.array([detail for _, detail in rows.broken], pa.string()),
        "source": pa.repeat(pa.scalar(resolved.constants["source"], pa.string()), len(numbers)),
    }
    table = pa.Table.from_batches([batch, raw_candidates(broken, len(numbers))])
    order = pc.sort_indices(pa.concat_arrays([rows.numbers, numbers]))
    return table.take(order).combine_chunks().to_batches(max_chunksize=None)[0]
