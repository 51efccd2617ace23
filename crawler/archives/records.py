"""Records of WARC files read by place: those that lie near each other in one range, each with its own fate."""

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crawler.archives.listing import joined
from crawler.archives.opening import Bytes, Opener
from crawler.remote.range_client import MissingFileError
from crawler.warc import WarcPage, iterated, page_of
from shards.errors import BadInputError

GAP_BYTES = 128 * 1024
"""What lies between two records that are read in one go: about one page more, instead of one request more."""

RUN_BYTES = 64 * 2**20
_HEAD_BYTES = 2**20
"""What a record's headers may take beside a page of `max_page_bytes`."""


@dataclass(frozen=True)
class Wanted:
    """A record that an index named; with a `fault` a row that names none. `origin` is the index's file and row."""

    filename: str
    offset: int
    length: int
    origin: str
    fault: str | None = None

    @property
    def stop(self) -> int:
        return self.offset + self.length


def read_records(
    wanted: Sequence[Wanted], prefix: str, max_page_bytes: int, opener: Opener
) -> Iterator[tuple[str, WarcPage]]:
    """The page of each record beside its `origin`, `filename:offset`, in the order given.

    Records of no page are left out. What cannot be read is a page with an error. Raises BadInputError where not one of
    the files is there.
    """
    missing: dict[str, str] = {}
    for run in runs_of(wanted):
        name = run[0].filename
        if run[0].fault is not None:
            yield run[0].origin, WarcPage("", 0, error=run[0].fault)
            continue
        if name not in missing:
            try:
                yield from _read_run(run, joined(prefix, name), max_page_bytes, opener)
                continue
            except MissingFileError as error:
                missing[name] = str(error)
        _refuse_where_all_are_missing(wanted, missing)
        for record in run:
            yield _origin(record, "+"), WarcPage("", record.offset, error="its file is not there")


def runs_of(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Records of one file that lie so near to each other that one range takes them all, in the order given."""
    run: list[Wanted] = []
    for record in wanted:
        if run and not _fits(run, record):
            yield run
            run = []
        run.append(record)
    if run:
        yield run


def _fits(run: list[Wanted], record: Wanted) -> bool:
    last = run[-1]
    is_beside = record.filename == last.filename and 0 <= record.offset - last.stop <= GAP_BYTES
    return is_beside and not record.fault and not last.fault and record.stop - run[0].offset <= RUN_BYTES


def _read_run(run: list[Wanted], path: str, max_page_bytes: int, opener: Opener) -> Iterator[tuple[str, WarcPage]]:
    stream = opener.stream(path, run[0].offset, run[-1].stop)
    try:
        for record in run:
            page = _read_one(record, stream, max_page_bytes)
            if page is not None:
                yield _origin(record, "+" if page.error else ""), page
    finally:
        stream.close()


def _read_one(record: Wanted, stream: Bytes, max_page_bytes: int) -> WarcPage | None:
    if stream.tell() != record.offset:
        stream.seek(record.offset)
    data = stream.read(record.length)
    if len(data) < record.length:
        return WarcPage("", record.offset, error="its file ends before the record does")
    if data.startswith(b"\x1f\x8b") and not _is_whole_member(data, max_page_bytes + _HEAD_BYTES):
        return WarcPage("", record.offset, error="no whole record at this offset and of this length")
    try:
        found = next(iter(iterated(io.BytesIO(data), any_kind=True)), None)
        if found is None:
            return WarcPage("", record.offset, error="no record at this offset")
        return page_of(found, record.offset, max_page_bytes)
    except (OSError, ValueError) as error:
        return WarcPage("", record.offset, error=f"no record at this offset: {error}"[:200])


def _is_whole_member(data: bytes, most_bytes: int) -> bool:
    """Whether gzip data ends with its member, or holds more than anybody will look at."""
    packed = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        packed.decompress(data, most_bytes)
    except zlib.error:
        return False
    return packed.eof or bool(packed.unconsumed_tail)


def _origin(record: Wanted, mark: str) -> str:
    return f"{record.filename}:{record.offset}{mark}"


def _refuse_where_all_are_missing(wanted: Sequence[Wanted], missing: dict[str, str]) -> None:
    named = {record.filename for record in wanted if record.fault is None}
    if named and named <= missing.keys():
        raise BadInputError(f"{missing[min(missing)]}; is `source.prefix` what stands before the paths of the index?")
