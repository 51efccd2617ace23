"""A crawl as Common Crawl publishes one, in small: WARC files, their columnar index and CDXJ, and WAT files."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SEGMENT = "crawl-data/CC-MAIN-2026-30/segments/1.1/warc"
Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """A page that was crawled."""

    url: str
    html: str
    languages: str | None = "zho"
    status: int = 200
    mime: str = "text/html"

    @property
    def host(self) -> str:
        return self.url.split("/")[2]


def warc_record(kind: str, url: str, block: bytes, content_type: str) -> bytes:
    """One record as a gzip member."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789012>\r\n"
        f"WARC-Date: 2026-07-01T00:00:00Z\r\nWARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


def response(page: Page) -> bytes:
    head = f"HTTP/1.1 {page.status} OK\r\nContent-Type: {page.mime}; charset=utf-8\r\n\r\n"
    return warc_record("response", page.url, head.encode() + page.html.encode(), "application/http; msgtype=response")


def request(page: Page) -> bytes:
    head = f"GET / HTTP/1.1\r\nHost: {page.host}\r\n\r\n"
    return warc_record("request", page.url, head.encode(), "application/http; msgtype=request")


def write_warc(folder: Path, name: str, pages: Sequence[Page]) -> list[Row]:
    """A WARC file below `folder`, and the rows of the columnar index that lead to its responses."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with path.open("wb") as file:
        for page in pages:
            file.write(request(page))
            data = response(page)
            rows.append(index_row(page, name, file.tell(), len(data)))
            file.write(data)
    return rows


def index_row(page: Page, name: str, offset: int, length: int) -> Row:
    return {
        "url": page.url,
        "url_host_name": page.host,
        "fetch_status": page.status,
        "content_mime_type": page.mime,
        "content_mime_detected": page.mime,
        "content_languages": page.languages,
        "warc_filename": name,
        "warc_record_offset": offset,
        "warc_record_length": length,
    }


INDEX = pa.schema(
    [
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("fetch_status", pa.int16()),
        ("content_mime_type", pa.string()),
        ("content_mime_detected", pa.string()),
        ("content_languages", pa.string()),
        ("warc_filename", pa.dictionary(pa.int32(), pa.string())),
        ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
    ]
)


def write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=INDEX), path, row_group_size=3)
    return path


def cdxj_line(row: Row) -> str:
    told = {
        "url": row["url"],
        "mime": row["content_mime_type"],
        "mime-detected": row["content_mime_detected"],
        "status": str(row["fetch_status"]),
        "length": str(row["warc_record_length"]),
        "offset": str(row["warc_record_offset"]),
        "filename": row["warc_filename"],
        "languages": row["content_languages"],
    }
    said = {key: value for key, value in told.items() if value is not None}
    return f"cn,test)/ 20260701000000 {json.dumps(said)}\n"


def wat_record(page: Page, links: Sequence[Row], **head: Any) -> bytes:
    """What a WAT file says of a page that lies at offset 949 of its WARC."""
    told = {
        "Container": {"Filename": "CC-MAIN-1.warc.gz", "Compressed": True, "Offset": "949"},
        "Envelope": {
            "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": page.url},
            "Payload-Metadata": {
                "HTTP-Response-Metadata": {
                    "Response-Message": {"Status": str(page.status), "Version": "HTTP/1.1"},
                    "Headers": {"Content-Type": "text/html", **head.pop("headers", {})},
                    "HTML-Metadata": {"Head": head, "Links": list(links)},
                }
            },
        },
    }
    return warc_record("metadata", page.url, json.dumps(told).encode(), "application/json")
