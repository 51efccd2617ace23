"""Texts brought into one form before anything measures them, and the measures of a column of texts."""

import functools
import html
import re
import unicodedata
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.characters import (
    AMPERSAND,
    COMPOSES,
    DELETED,
    EMOJI,
    MAPPED,
    MARKS,
    UNDECODABLE,
    Bools,
    Codes,
    Counts,
    TextColumn,
    bounded_slices,
    character_kinds,
    character_mapping,
    replaced,
    texts_of,
)
from filters.measures import MEASURES, compute_function
from filters.settings import TextSettings
from filters.texts.beside import Beside, MeasuredTexts

MAX_CHARS = 10_000
_MOST_BYTES = 4 * MAX_CHARS
# More than two combining marks on one character are decoration (zalgo).
_SURPLUS_MARKS = re.compile(rf"([{MARKS}]{{2}})[{MARKS}]+")

_TOUCHED = AMPERSAND | COMPOSES | MAPPED | UNDECODABLE

NORMALISED = pa.schema([("text", pa.string()), ("drop_reason", pa.string()), ("detail", pa.string())])
SOURCES = NORMALISED.append(pa.field("source", pa.string()))


def normalise(texts: pa.Array | pa.ChunkedArray, settings: TextSettings) -> pa.Table:
    """Texts in the form that is stored: columns text, drop_reason (`bad_text` or null), detail; rows as given.

    Valid UTF-8 in NFC, entities unescaped, full-width ASCII narrowed, no control, bidi, private or zero-width
    characters, single spaces, Simplified characters, emoji, contacts and names as `settings` say. Accepts strings or
    bytes. Rejected texts are null, but for those with a contact, which is masked in them.
    """
    return normalise_with_sources(texts, settings).drop_columns(["source"])


def normalise_with_sources(texts: pa.Array | pa.ChunkedArray, settings: TextSettings) -> pa.Table:
    """The same with a column `source` for `text_measures`: the texts cleaned, before characters were simplified and
    contacts and names masked. It is to be stored nowhere."""
    parts = [_normalise_slice(part, settings) for part in bounded_slices(texts)]
    return pa.concat_tables(parts) if parts else SOURCES.empty_table()


def text_measures(
    texts: pa.Array | pa.ChunkedArray, names: Iterable[str], beside: Beside | None = None
) -> dict[str, pa.Array]:
    """The named text measures of normalised texts, at most MAX_CHARS characters each; null where the text is."""
    wanted, beside, done = list(names), beside or Beside(), 0
    pieces: dict[str, list[pa.Array]] = {name: [] for name in wanted}
    for part in bounded_slices(texts):
        column = MeasuredTexts(part, beside.slice(done, len(part)))
        done += len(part)
        for name in wanted:
            pieces[name].append(compute_function(name)(column))
    return {
        name: pa.concat_arrays(piece) if piece else pa.array([], MEASURES[name].dtype) for name, piece in pieces.items()
    }


def _normalise_slice(texts: pa.Array, settings: TextSettings) -> pa.Table:
    texts, detail = _readable(texts)
    column = TextColumn(texts)
    changed, cleaned, undecodable = _clean(column, settings)
    detail = _noted(detail, undecodable, "undecodable characters")
    detail = _noted(detail, pc.equal(pc.fill_null(cleaned, ""), ""), "no text")
    cleaned = source = pc.if_else(pc.is_null(detail), cleaned, pa.scalar(None, pa.string()))
    # One look at the texts as they came tells which rows a step may concern; rows changed since are looked at again.
    if settings.simplify:
        from filters.zh import simplify, traditional_rows

        changed = np.union1d(changed, traditional_rows(column))
        cleaned = replaced(cleaned, changed, simplify(cleaned.take(pa.array(changed))))
    if settings.contacts != "keep":
        from filters.contacts import mask_contacts, suspected_rows

        rows = np.union1d(changed, suspected_rows(column))
        masked, held = mask_contacts(cleaned.take(pa.array(rows)))
        cleaned = replaced(cleaned, rows, masked)
        if settings.contacts == "drop":
            detail = _noted(detail, _flags(len(texts), rows, held), "contact")
    if settings.names is not None:
        from filters.names import mask_names

        cleaned = mask_names(cleaned, settings.names)
    reason = pc.if_else(pc.is_null(detail), pa.scalar(None, pa.string()), "bad_text")
    return pa.table([cleaned, reason, detail, source], schema=SOURCES)


def _readable(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts that are valid UTF-8 and not over-long, others null, with the reason."""
    texts, detail = _bounded(texts)
    try:
        valid = texts.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        valid = pa.array([_decoded(value) for value in texts.cast(pa.binary()).to_pylist()], pa.string())
        detail = _noted(detail, pc.and_(pc.is_valid(texts), pc.is_null(valid)), "invalid UTF-8")
    lengths = pc.fill_null(pc.utf8_length(valid), 0)
    over = pc.greater(lengths, MAX_CHARS)
    if pc.any(over).as_py():
        said = pc.binary_join_element_wise("length", lengths.cast(pa.string()), " ")
        detail = pc.if_else(over, said, detail)
        valid = pc.if_else(over, pa.scalar(None, pa.string()), valid)
    return valid, detail


def _bounded(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts whose bytes alone say that they are over-long as null, before anything else looks at them."""
    detail = pa.nulls(len(texts), pa.string())
    over = pc.greater(pc.fill_null(pc.binary_length(texts), 0), _MOST_BYTES)
    is_over = over.to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(is_over)
    if not len(rows):
        return texts, detail
    said = [_said_of_long(texts.slice(row, 1)) for row in rows.tolist()]
    # Taken, not made null where they lie: patterns are looked for in what lies behind a null, too.
    kept = texts.take(pa.array(np.arange(len(texts)), mask=is_over))
    return kept, replaced(detail, rows, pa.array(said, pa.string()))


def _said_of_long(text: pa.Array) -> str:
    """Of one text; Arrow checks and counts characters where they lie, which takes a tenth of a decode."""
    try:
        return f"length {pc.utf8_length(text.cast(pa.binary()).cast(pa.string()))[0]}"
    except pa.ArrowInvalid:
        return "invalid UTF-8"


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _clean(column: TextColumn, settings: TextSettings) -> tuple[Counts, pa.Array, pa.Array]:
    """The rows that needed it, the texts without odd characters, and whether each holds U+FFFD."""
    touched, mapping = (_TOUCHED, character_mapping())
    if settings.emoji == "drop":
        touched, mapping = (_TOUCHED | EMOJI, _mapping_without_emoji())
    rows = column.rows_with((column.kinds & touched != 0) | _odd_spaces(column.codes, column.starts))
    some, undecodable = _clean_some(column.texts.take(pa.array(rows)), mapping)
    return rows, replaced(column.texts, rows, some), _flags(len(column.texts), rows, undecodable)


def _clean_some(texts: pa.Array, mapping: Codes) -> tuple[pa.Array, Bools]:
    column = TextColumn(texts)
    slow = column.rows_with(column.kinds & (AMPERSAND | COMPOSES) != 0)
    if len(slow):
        texts = replaced(texts, slow, _recomposed(texts.take(pa.array(slow)), mapping))
        column = TextColumn(texts)
    return _mapped(texts, mapping), column.count(UNDECODABLE) > 0


@functools.cache
def _mapping_without_emoji() -> Codes:
    mapping = np.where(character_kinds() & EMOJI != 0, np.uint32(DELETED), character_mapping())
    mapping.setflags(write=False)
    return np.asarray(mapping, np.uint32)


def _flags(num_texts: int, rows: Counts, values: pa.Array | Bools) -> pa.Array:
    """`values` at `rows`, false elsewhere."""
    flags = np.zeros(num_texts, dtype=np.bool_)
    flags[rows] = values
    return pa.array(flags)


def _recomposed(texts: pa.Array, mapping: Codes) -> pa.Array:
    """Entities unescaped (twice: pages escape what was escaped), then NFC with few marks on one character."""
    unescaped = pa.array([html.unescape(html.unescape(text)) for text in texts.to_pylist()], pa.string())
    marked = [unicodedata.normalize("NFC", text) for text in _mapped(unescaped, mapping).to_pylist()]
    return pa.array([_SURPLUS_MARKS.sub(r"\1", text) for text in marked], pa.string())


def _mapped(texts: pa.Array, mapping: Codes) -> pa.Array:
    """Every character as `mapping` stores it, runs of spaces as one, none at the ends."""
    column = TextColumn(texts)
    codes, starts = mapping[column.codes], column.starts
    codes, starts = _kept(codes, starts, codes != DELETED)
    codes, starts = _kept(codes, starts, ~_surplus_spaces(codes, starts))
    codes, starts = _kept(codes, starts, ~_final_spaces(codes, starts))
    return texts_of(codes, starts)


def _kept(codes: Codes, starts: Counts, keep: Bools) -> tuple[Codes, Counts]:
    return codes[keep], np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])[starts]


def _odd_spaces(codes: Codes, starts: Counts) -> Bools:
    """Spaces that `_mapped` would take away."""
    return np.asarray(_surplus_spaces(codes, starts) | _final_spaces(codes, starts))


def _surplus_spaces(codes: Codes, starts: Counts) -> Bools:
    """Spaces that begin a text or follow a space."""
    is_space = codes == 0x20
    surplus = np.zeros_like(is_space)
    surplus[1:] = is_space[:-1]
    surplus[starts[:-1][np.diff(starts) > 0]] = True
    return np.asarray(surplus & is_space)


def _final_spaces(codes: Codes, starts: Counts) -> Bools:
    final = np.zeros(len(codes), dtype=np.bool_)
    final[starts[1:][np.diff(starts) > 0] - 1] = True
    return np.asarray(final & (codes == 0x20))


def _noted(detail: pa.Array, where: pa.Array, words: str) -> pa.Array:
    """`words` where a text has no fault noted yet."""
    return pc.if_else(pc.and_(pc.fill_null(where, False), pc.is_null(detail)), words, detail)
