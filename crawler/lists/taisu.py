"""TaiSu's released files as raw candidates: tars of images that are named by id, and a list of captions by id.

Neither side looks for the other. Both name an image by the same URL, and who brings the candidates of one URL together
has the pair: so nobody holds the list, and the order of files and lines plays no part.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa

from crawler.input_files import InputFile, compression_of, find_files, open_stream
from crawler.lists.json_rows import MAX_LINE_BYTES, LineSlice, json_lines, line_starts
from crawler.lists.shard_samples import SCHEME, ShardSlice
from crawler.lists.shards_source import ShardsSource
from crawler.lists.table_rows import Rows, candidates_of, raw_candidates
from crawler.lists.tar_entries import BrokenTarError, Entry, tar_entries
from crawler.sources import ResolvedTable
from shards.errors import BadInputError

SLICE_BYTES = 64 * 2**20
GENERATED = "generated"
"""Kind of the captions that a model wrote; those of the web have the source's `text_kind`."""

LINE = "ID*****caption*****generated caption"
_SEPARATOR = b"*****"
_NO_CAPTION = (b"", b"None")
_URL = f"{SCHEME}taisu/"
_PLAIN_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_MAX_ID_CHARS = 255
_BATCH_ROWS = 8192
_PEEKED_LINES = 100
_IMAGE_COLUMNS = ("url", "origin", "member", "drop_reason", "detail")

_ImageRow = tuple[str | None, str, str | None, str | None, str | None]
"""Values of _IMAGE_COLUMNS."""


@dataclass(frozen=True)
class CaptionSlice:
    """Whole lines of a list of captions, all of them where it is packed. `name` is what `origin` calls the list."""

    path: str
    name: str
    compression: str | None
    start: int
    stop: int

    @property
    def num_bytes(self) -> int:
        return self.stop - self.start


def caption_slices(paths: Sequence[str], slice_bytes: int = SLICE_BYTES) -> Iterator[CaptionSlice]:
    """Slices of about `slice_bytes`, in order of path, each looked at when it is asked for.

    Raises BadInputError for a file whose first lines are none of `ID*****caption*****generated caption`.
    """
    for file in find_files(paths, "*.txt"):
        compression = compression_of(file.path)
        _check_list(file, compression)
        if compression:
            yield CaptionSlice(file.path, file.name, compression, 0, file.num_bytes)
            continue
        with open_stream(file.path, None) as stream:
            cuts = line_starts(file.path, stream, file.num_bytes, slice_bytes)
            for start, stop in itertools.pairwise(itertools.chain([0], cuts, [file.num_bytes])):
                yield CaptionSlice(file.path, file.name, None, start, stop)


def read_captions(piece: CaptionSlice, source: ShardsSource) -> Iterator[pa.RecordBatch]:
    """One RAW_CANDIDATE row a caption, or one without a text for a line that has none; in the list's order.

    `origin` is `name:line`, behind a cut `name@byte:line` with lines counted from there. A line that is none is a
    `bad_row`. No row has a `member`: where the image lies is told by the tars alone.
    """
    given = {"source": source.kind, "strength": _strength(source)}
    constants = given | {"category": source.category, "license": source.license}
    resolved = ResolvedTable({}, constants, source.text_kind)
    name = f"{piece.name}@{piece.start}" if piece.start else piece.name
    batch = _Captions(source.text_kind)
    for number, line in json_lines(piece.path, piece.compression, LineSlice(piece.start, piece.stop)):
        batch.add(number, line)
        if batch.num_rows >= _BATCH_ROWS:
            yield candidates_of(batch.rows(), name, resolved)
            batch = _Captions(source.text_kind)
    if batch.num_rows:
        yield candidates_of(batch.rows(), name, resolved)


def read_images(piece: ShardSlice, source: ShardsSource) -> Iterator[pa.RecordBatch]:
    """One RAW_CANDIDATE row a file of a tar, without a text, in the tar's order; `origin` is `name:file`.

    The id is the file's name without folders and extensions. A name that holds none, and the end of a tar that is
    broken, is a `bad_row`; hidden files (`._x.jpg`) are passed over. Images are not looked at.
    """
    rows: list[_ImageRow] = []
    for row in _image_rows(piece):
        rows.append(row)
        if len(rows) == _BATCH_ROWS:
            yield _image_batch(rows, source)
            rows = []
    if rows:
        yield _image_batch(rows, source)


class _Captions:
    """Lines being gathered into columns, a row a caption."""

    def __init__(self, text_kind: str) -> None:
        self._kinds = (text_kind.encode(), GENERATED.encode())
        self._numbers: list[int] = []
        self._urls: list[bytes] = []
        self._kinds_of_rows: list[bytes | None] = []
        self._texts: list[bytes | None] = []
        self._broken: list[tuple[int, str]] = []

    @property
    def num_rows(self) -> int:
        return len(self._numbers) + len(self._broken)

    def add(self, number: int, line: bytes | None) -> None:
        told = _parsed(line)
        if isinstance(told, str):
            self._broken.append((number, told))
            return
        url, captions = told
        texts: list[tuple[bytes | None, bytes | None]] = [
            (kind, text) for kind, text in zip(self._kinds, captions, strict=True) if text.strip() not in _NO_CAPTION
        ]
        for kind, text in texts or [(None, None)]:
            self._numbers.append(number)
            self._urls.append(url)
            self._kinds_of_rows.append(kind)
            self._texts.append(text)

    def rows(self) -> Rows:
        columns = {"url": self._urls, "kind": self._kinds_of_rows, "text": self._texts}
        arrays = {name: pa.array(values, pa.binary()) for name, values in columns.items()}
        return Rows(pa.array(self._numbers, pa.int64()), arrays, self._broken)


def _parsed(line: bytes | None) -> tuple[bytes, tuple[bytes, bytes]] | str:
    """The URL of the line's id and its two captions, or what is wrong with the line.

    Stars of a caption of the web (`赌*****博`) are its own: ids and what a model wrote have none.
    """
    if line is None:
        return f"a line of more than {MAX_LINE_BYTES} bytes"
    name, _, rest = line.partition(_SEPARATOR)
    caption, separator, generated = rest.rpartition(_SEPARATOR)
    if not separator:
        return f"expected {LINE}"
    url = _url_of(name)
    return "no id that an image could have" if url is None else (url.encode(), (caption, generated))


def _url_of(name: bytes) -> str | None:
    """What stands for the image of an id, be it the list's or the name of a file; None where the name holds no id."""
    if _PLAIN_ID.fullmatch(name):
        return _URL + name.decode()
    try:
        image_id = name.decode().strip().rpartition("/")[2].partition(".")[0]
    except UnicodeDecodeError:
        return None
    is_sound = 0 < len(image_id) <= _MAX_ID_CHARS and image_id.isprintable()
    return _URL + quote(image_id, safe="") if is_sound else None


def _image_rows(piece: ShardSlice) -> Iterator[_ImageRow]:
    with open_stream(piece.path, None) as stream:
        try:
            for entry in tar_entries(stream, piece.num_bytes):
                if not entry.name.rpartition(b"/")[2].startswith(b"."):
                    yield _image_row(entry, piece.name)
        except BrokenTarError as error:
            yield None, f"{piece.name}:+", None, "bad_row", str(error)


def _image_row(entry: Entry, tar: str) -> _ImageRow:
    origin = f"{tar}:{entry.name.decode('utf-8', 'replace')}"
    url = _url_of(entry.name)
    if url is None:
        return None, f"{origin}+{entry.offset}", None, "bad_row", "the file's name holds no id"
    return url, origin, f"{tar}:{entry.offset}:{entry.size}", None, None


def _image_batch(rows: list[_ImageRow], source: ShardsSource) -> pa.RecordBatch:
    columns = {
        name: pa.array(values, pa.string())
        for name, values in zip(_IMAGE_COLUMNS, zip(*rows, strict=True), strict=True)
    }
    given = {"source": source.kind, "strength": _strength(source)}
    for name, value in (given | {"category": source.category, "license": source.license}).items():
        columns[name] = pa.repeat(pa.scalar(value, pa.string()), len(rows))
    return raw_candidates(columns, len(rows))


def _strength(source: ShardsSource) -> str:
    return source.strength or "weak"


def _check_list(file: InputFile, compression: str | None) -> None:
    lines = itertools.islice(json_lines(file.path, compression, LineSlice(0, file.num_bytes)), _PEEKED_LINES)
    if all(isinstance(_parsed(line), str) for _, line in lines):
        raise BadInputError(f"{file.path}: none of its first lines is {LINE}, as in TaiSu's list of captions")
