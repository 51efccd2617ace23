"""WARC files of a crawl without some pages: every other record keeps its bytes and its place.

A page that shows an image that was taken down goes as a whole: its HTML names the image in ways that nobody can list.
What was read out of it about other images stays beside it, so that reading the file again gives the same candidates,
but for those of the image.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crawler.kept_candidates import Row, filler, kept_record
from crawler.parse_child import PageParser
from crawler.warc import WarcSlice, read_responses
from crawler.warc_candidates import candidate_rows
from shards.errors import BrokenRunError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Purge:
    """What has to go: pages by where they lie in the file, records by their URLs, and candidates of other pages."""

    offsets: Container[int]
    are_gone: Callable[[list[str]], list[bool]]
    is_removed: Callable[[Row], bool]


@dataclass(frozen=True)
class _Member:
    """A record as it lies in the file, one gzip member."""

    kind: str
    url: str
    start: int
    stop: int


def purge_warc(piece: WarcSlice, target: Path | None, purge: Purge, agent: str, max_page_bytes: int) -> int:
    """Write a crawl's WARC again without what has to go; returns how many records that are.

    Nothing is written if there are none, or without a `target`. Of a page that is gone by its URL nothing stays, of
    others the candidates that may.
    """
    members = _members(piece.path)
    kept: list[bytes] = []
    gone: set[int] = set()
    with PageParser(agent) as parser:
        is_gone = purge.are_gone([member.url for member in members])
        for member, goes in zip(members, is_gone, strict=True):
            if goes:
                gone.add(member.start)
            elif member.kind == "conversion" or (member.kind == "response" and member.start in purge.offsets):
                rows = _rows(piece, member.start, parser, max_page_bytes)
                left = [row for row in rows if not purge.is_removed(row)]
                if member.kind != "conversion" or len(left) < len(rows):
                    gone.add(member.start)
                    kept += [kept_record(left)] if left else []
    if gone and target is not None:
        _write(Path(piece.path), target, members, gone, kept)
    return len(gone)


def _members(path: str) -> list[_Member]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    found = [
        (record.headers.get("WARC-Type") or "", record.headers.get("WARC-Target-URI") or "", record.stream_pos)
        for record in ArchiveIterator(path, record_types=WarcRecordType.any_type, parse_http=False, fsspec_args=False)
    ]
    stops = [*(start for *_, start in found[1:]), Path(path).stat().st_size]
    return [_Member(kind, url, start, stop) for (kind, url, start), stop in zip(found, stops, strict=True)]


def _rows(piece: WarcSlice, start: int, parser: PageParser, max_page_bytes: int) -> list[Row]:
    """The candidates that the record at an offset gives."""
    page = next(read_responses(piece.path, max_page_bytes, start), None)
    if page is None or page.error is not None:
        raise BrokenRunError(f"{piece.path}: no page can be read at byte {start}; `curate verify` says more")
    return candidate_rows(page, f"{piece.name}:{start}", parser, max_page_bytes, "crawl")


def _write(path: Path, target: Path, members: list[_Member], gone: set[int], kept: list[bytes]) -> None:
    with path.open("rb") as source, target.open("wb") as out:
        for member in members:
            size = member.stop - member.start
            if member.start in gone:
                out.write(filler(size))
            else:
                source.seek(member.start)
                _copy(source, out, size)
        out.writelines(kept)


def _copy(source: BinaryIO, target: BinaryIO, num_bytes: int) -> None:
    while num_bytes:
        data = source.read(min(num_bytes, _CHUNK))
        if not data:
            raise BrokenRunError("a WARC file became shorter while it was read")
        target.write(data)
        num_bytes -= len(data)
