"""The WARC of one part of a crawl: every exchange and every failure, readable again after a kill."""

import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from crawler.warc import WarcPage, iterated, read_responses
from shards.closing import Closing

_STEP = 1 << 16
_FAULT_TYPE = "application/warc-fields"
_ORIGINAL = "X-Crawler-"
"""Prefix of headers that described the wire but not the stored body."""


@dataclass(frozen=True)
class KeptFault:
    """A failure, as an earlier attempt recorded it; `offset` of what came of the response, if anything did."""

    reason: str
    detail: str
    offset: int | None = None


class CrawlArchive(Closing):
    """Appends records, each flushed, and knows what an earlier attempt at the same part left behind."""

    def __init__(self, path: Path, resume_from: Path | None, about: dict[str, str]) -> None:
        self._path = path
        self._offsets: dict[str, int] = {}
        self._faults: dict[str, KeptFault] = {}
        if resume_from is not None and resume_from.exists():
            self._keep(resume_from)
        self._file = path.open("ab" if self._offsets or self._faults else "wb")
        self._writer: Any = WARCWriter(self._file, gzip=True, warc_version="1.1")
        if self._file.tell() == 0:
            self._writer.write_record(self._writer.create_warcinfo_record(path.name, about))
            self._file.flush()

    def kept(self, url: str, max_bytes: int) -> WarcPage | KeptFault | None:
        """What an earlier attempt recorded for a URL, if it did."""
        if url in self._faults:
            return replace(self._faults[url], offset=self._offsets.get(url))
        offset = self._offsets.get(url)
        if offset is None:
            return None
        page = next(read_responses(str(self._path), max_bytes, start=offset), None)
        return None if page is None or page.error is not None else page

    def holds(self, url: str) -> bool:
        """Whether an earlier attempt recorded an answer for a URL."""
        return url in self._offsets

    def kept_since(self, url: str) -> float | None:
        """When the answer that was recorded for a URL came, in UTC seconds; None where none was, or nobody knows."""
        offset = self._offsets.get(url)
        if offset is None:
            return None
        with self._path.open("rb") as file:
            file.seek(offset)
            record = next(iter(iterated(file)), None)
            told = None if record is None else record.record_date
        return None if told is None else told.timestamp()

    def add_exchange(
        self,
        url: str,
        request_headers: Sequence[tuple[str, str]],
        status_line: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        address: str | None,
        truncated: str | None = None,
    ) -> int:
        """Records a response and its request, and returns the response record's offset.

        `truncated` is the standard's word for why the body lacks its end: length, time or disconnect.
        """
        offset = self._file.tell()
        own = {"WARC-IP-Address": address} if address else {}
        own |= {"WARC-Truncated": truncated} if truncated else {}
        stored = [(f"{_ORIGINAL}{k}" if k.lower() == "transfer-encoding" else k, v) for k, v in headers]
        response = self._writer.create_warc_record(
            url,
            "response",
            payload=BytesIO(body),
            length=len(body),
            http_headers=StatusAndHeaders(status_line, stored, protocol="HTTP/1.1"),
            warc_headers_dict=own,
        )
        path = "/" + url.split("/", 3)[3]
        request = self._writer.create_warc_record(
            url,
            "request",
            http_headers=StatusAndHeaders(f"GET {path} HTTP/1.1", list(request_headers), is_http_request=True),
        )
        self._writer.write_request_response_pair(request, response)
        self._file.flush()
        return offset

    def add_fault(self, url: str, reason: str, detail: str | None) -> None:
        """Records that a URL gave no response that could be kept."""
        fields = f"reason: {reason}\r\ndetail: {' '.join((detail or '').split())}\r\n".encode()
        record = self._writer.create_warc_record(
            url, "metadata", payload=BytesIO(fields), length=len(fields), warc_content_type=_FAULT_TYPE
        )
        self._writer.write_record(record)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _keep(self, earlier: Path) -> None:
        """Takes over the complete members of an earlier attempt's file, and notes what they record."""
        length = complete_bytes(earlier)
        if earlier != self._path:
            with earlier.open("rb") as source, self._path.open("wb") as target:
                shutil.copyfileobj(source, target)
        with self._path.open("r+b") as target:
            target.truncate(length)
        for page in read_responses(str(self._path), 0):
            if page.error is None:
                self._offsets[page.url] = page.offset
        self._faults = _faults_of(self._path)


def complete_bytes(path: Path) -> int:
    """How many of a .warc.gz's bytes are whole gzip members: what follows was being written when its writer died."""
    complete = position = 0
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with path.open("rb") as file:
        while chunk := file.read(_STEP):
            position += len(chunk)
            while chunk:
                try:
                    stream.decompress(chunk)
                except zlib.error:
                    return complete
                if not stream.eof:
                    break
                chunk = stream.unused_data
                complete = position - len(chunk)
                stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    return complete


def _faults_of(path: Path) -> dict[str, KeptFault]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    faults = {}
    for record in ArchiveIterator(str(path), record_types=WarcRecordType.metadata, fsspec_args=False):
        lines = record.reader.read(_STEP).decode("utf-8", "replace").splitlines()
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        url = record.headers.get("WARC-Target-URI")
        if url and "reason" in fields:
            faults[url] = KeptFault(fields["reason"], fields.get("detail", ""))
    return faults
