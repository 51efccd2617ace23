"""WebDataset tars as raw candidates: the texts of each sample, and where in the tar its image lies."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from crawler.input_files import find_files, open_stream
from crawler.lists.shards_source import ShardsSource
from crawler.lists.table_rows import MAX_FIELD_CHARS, MAX_TEXT_CHARS
from crawler.lists.tar_entries import BLOCK, BrokenTarError, Entry, SeekableBytes, tar_entries
from crawler.lists.typed_texts import MAX_TEXTS
from crawler.urls import canonical_url
from shards.errors import BadInputError
from shards.schema import RAW_CANDIDATE

MAX_TXT_BYTES = 4 * 2**20
MAX_JSON_BYTES = 16 * 2**20
IMAGES = ("jpg", "jpeg", "png", "webp", "gif")
"""Extensions of images, the first of them that a sample has counts; whether it is one, its bytes decide."""

SCHEME = "shard:"
"""Of the URL that stands for an image whose sample names none: `shard:TAR/KEY`, of TaiSu's `shard:taisu/ID`."""

_BATCH_ROWS = 8192
# As webdataset splits names: the key ends at the first dot of the last part.
_KEY_AND_EXTENSION = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)
_META = re.compile(r"(?:.*/)?__[^/]*__(?:$|/|\.)")
_FIELDS = ("page_url", "query", "strength", "category", "license")
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")

Row = dict[str, str | int | None]


@dataclass(frozen=True)
class ShardSlice:
    """One tar; `name` is what `origin` calls it."""

    path: str
    name: str
    num_bytes: int


@dataclass
class _Sample:
    """The members of one key, as they come one behind the other."""

    key: str
    fault: str | None = None
    images: dict[str, Entry] = field(default_factory=dict)
    txt: bytes | None = None
    json: bytes | None = None


class _SampleFault(Exception):
    """What keeps a sample from being read at all."""


def shard_slices(paths: Sequence[str]) -> Iterator[ShardSlice]:
    """One slice a tar, in order of path, each looked at when it is asked for. Raises BadInputError for a file that is
    empty or no tar."""
    for file in find_files(paths, "*.tar"):
        with open_stream(file.path, None) as stream:
            head = stream.read(BLOCK)
            if head.startswith(_COMPRESSED):
                raise BadInputError(
                    f"{file.path}: is compressed; unpack it first (`pigz -d` or `gzip -d` make a .tar of a .tgz), "
                    "since images are read by offset"
                )
            try:
                next(tar_entries(stream, file.num_bytes), None)
            except BrokenTarError as error:
                if str(error).startswith("no tar header at byte 0") or len(head) < BLOCK:
                    raise BadInputError(f"{file.path}: is no tar ({error})") from None
        yield ShardSlice(file.path, file.name, file.num_bytes)


def read_shard(piece: ShardSlice, source: ShardsSource) -> Iterator[pa.RecordBatch]:
    """The candidates of all samples as RAW_CANDIDATE batches, in the tar's order; `origin` is `name:key`.

    A sample that cannot be read, and the end of a tar that is broken, is a `bad_row`. Images are not looked at.
    """
    rows: list[Row] = []
    with open_stream(piece.path, None) as stream:
        samples = _samples(stream, piece.num_bytes)
        while True:
            try:
                sample = next(samples, None)
            except BrokenTarError as error:
                rows.append(_bad_row(f"{piece.name}:+", str(error)))
                break
            if sample is None:
                break
            rows += _rows_of(sample, piece.name, source)
            while len(rows) >= _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows[:_BATCH_ROWS], schema=RAW_CANDIDATE)
                rows = rows[_BATCH_ROWS:]
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=RAW_CANDIDATE)


def _samples(stream: SeekableBytes, num_bytes: int) -> Iterator[_Sample]:
    """Runs of members with one key; what was gathered before the tar breaks is given too."""
    sample: _Sample | None = None
    entries = tar_entries(stream, num_bytes)
    while True:
        try:
            entry = next(entries, None)
        except BrokenTarError:
            if sample is not None:
                yield sample
            raise
        if entry is None:
            break
        name = entry.name.decode("utf-8", "replace")
        split = _KEY_AND_EXTENSION.fullmatch(name)
        if split is None or _META.match(name):
            continue
        if sample is None or sample.key != split[1]:
            if sample is not None:
                yield sample
            sample = _Sample(split[1], _fault_of_name(entry.name))
        _add(sample, split[2].lower(), entry, stream)
    if sample is not None:
        yield sample


def _fault_of_name(name: bytes) -> str | None:
    """Nothing is ever unpacked, so that no name can do harm; one that tries says what the tar is worth."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return "the member's name is not UTF-8"
    if text.startswith("/") or ".." in text.split("/"):
        return f"the member's name leads out of the archive: {text[:100]!r}"
    return None if text.isprintable() else f"the member's name is not printable: {text[:100]!r}"


def _add(sample: _Sample, extension: str, entry: Entry, stream: SeekableBytes) -> None:
    if extension in IMAGES:
        if extension in sample.images:
            sample.fault = sample.fault or f"two members called .{extension}"
        sample.images[extension] = entry
    elif extension in ("txt", "json"):
        if getattr(sample, extension) is not None:
            sample.fault = sample.fault or f"two members called .{extension}"
        limit = MAX_TXT_BYTES if extension == "txt" else MAX_JSON_BYTES
        if entry.size > limit:
            sample.fault = sample.fault or f".{extension} has {entry.size} bytes; at most {limit}"
            return
        stream.seek(entry.offset)
        setattr(sample, extension, stream.read(entry.size))


def _rows_of(sample: _Sample, tar: str, source: ShardsSource) -> list[Row]:
    origin = f"{tar}:{_valid(sample.key)}"
    image = next((sample.images[extension] for extension in IMAGES if extension in sample.images), None)
    try:
        if sample.fault is not None:
            raise _SampleFault(sample.fault)
        if image is None:
            raise _SampleFault("no image in the sample")
        facts = _facts(sample.json)
        texts = _texts(sample, facts, source)
    except _SampleFault as fault:
        return [_bad_row(origin, str(fault))]
    url = facts.get(source.url)
    named = canonical_url(url) if isinstance(url, str) else None
    head: Row = {
        "source": source.kind,
        "url": str(url) if named is not None else f"{SCHEME}{quote(f'{tar}/{sample.key}', safe='/')}",
        "origin": origin,
        "member": f"{tar}:{image.offset}:{image.size}",
        **{name: _plain(facts.get(name)) for name in _FIELDS},
        "query_rank": rank if isinstance(rank := facts.get("query_rank"), int) and 0 < rank < 2**31 else None,
    }
    for name in ("strength", "category", "license"):
        head[name] = getattr(source, name) or head[name]
    head["strength"] = head["strength"] if head["strength"] in ("strong", "weak") else None
    return [head | text_columns(kind, text) for kind, text in texts or [(None, None)]]


def _facts(data: bytes | None) -> dict[str, Any]:
    try:
        facts = json.loads(data) if data is not None else {}
    except (ValueError, RecursionError) as error:
        raise _SampleFault(f".json is not JSON: {error}"[:200]) from None
    if not isinstance(facts, dict):
        raise _SampleFault(f".json holds {type(facts).__name__}, not an object")
    return facts


def _texts(sample: _Sample, facts: dict[str, Any], source: ShardsSource) -> list[tuple[str | None, bytes | str | None]]:
    """(kind, text): those that our own .json lists and did not drop, or .txt, else the caption; then what is named."""
    found: list[tuple[str | None, bytes | str | None]] = []
    ours = facts.get("texts")
    if isinstance(ours, list):
        for text in ours[:MAX_TEXTS]:
            if isinstance(text, dict) and isinstance(text.get("text"), str) and text.get("drop_reason") is None:
                found.append((kind_of(text.get("kind"), source), text["text"]))
    elif sample.txt is not None:
        found.append((source.text_kind, sample.txt))
    elif isinstance(facts.get("caption"), str):
        found.append((source.text_kind, facts["caption"]))
    found += [(kind, facts[key]) for key, kind in source.texts.items() if isinstance(facts.get(key), str)]
    return [(kind, text) for kind, text in found if text]


def kind_of(kind: object, source: ShardsSource) -> str:
    is_sound = isinstance(kind, str) and 0 < len(kind) <= 40 and kind.isprintable()
    return str(kind) if is_sound else source.text_kind


def text_columns(kind: str | None, text: bytes | str | None) -> Row:
    """A text's own columns; what is too long or not UTF-8 is a bad text and not a bad sample."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        if decoded is not None:
            decoded.encode()  # a lone surrogate (\ud800) of the .json
    except UnicodeError:
        return {"drop_reason": "bad_text", "detail": "the text is not UTF-8"}
    if decoded is not None and len(decoded) > MAX_TEXT_CHARS:
        return {"drop_reason": "bad_text", "detail": f"{len(decoded)} characters"}
    return {"kind": kind if decoded else None, "text": decoded or None}


def _plain(value: object) -> str | None:
    """A field of no consequence for a sample's fate: what cannot be kept is null."""
    return _valid(value) if isinstance(value, str) and 0 < len(value) <= MAX_FIELD_CHARS else None


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _bad_row(origin: str, detail: str) -> Row:
    return {"source": "shards", "origin": origin, "drop_reason": "bad_row", "detail": _valid(detail)}
