"""Candidates of pages gathered as columns of RAW_CANDIDATE, page by page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from crawler.extract import Candidate, Page
from crawler.kept_candidates import Row
from shards.schema import RAW_CANDIDATE

_OF_CANDIDATE = ("url", "kind", "text", "drop_reason", "detail")
_ROLES = ("is_icon", "is_tracker", "is_spacer", "is_avatar")
_OF_PAGE = [name for name in RAW_CANDIDATE.names if name not in (*_OF_CANDIDATE, *_ROLES)]


class CandidateColumns:
    """Rows that were added and not yet taken."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in RAW_CANDIDATE.names}

    def __len__(self) -> int:
        return len(self._columns["url"])

    def add(self, shared: Mapping[str, Any], candidates: Sequence[Candidate], others: Sequence[Row]) -> None:
        """The candidates of a page, with what they share, and then rows that are none."""
        number = len(candidates)
        if number:
            for name, values in zip((*_OF_CANDIDATE, "role"), zip(*candidates, strict=True), strict=True):
                if name != "role":
                    self._columns[name].extend(values)
                    continue
                for flag, flags in zip(_ROLES, zip(*values, strict=True), strict=True):
                    self._columns[flag].extend(flags)
            for name in _OF_PAGE:
                self._columns[name].extend([shared.get(name)] * number)
        for row in others:
            for name, column in self._columns.items():
                column.append(row.get(name))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """One batch of all rows; none where there are none."""
        if len(self):
            arrays = [pa.array(self._columns[field.name], field.type) for field in RAW_CANDIDATE]
            yield pa.RecordBatch.from_arrays(arrays, schema=RAW_CANDIDATE)
            for column in self._columns.values():
                column.clear()


def row_of(candidate: Candidate) -> Row:
    """The columns that are a candidate's own."""
    url, kind, text, drop_reason, detail, role = candidate
    said: Row = {"url": url, "kind": kind, "text": text, "drop_reason": drop_reason, "detail": detail}
    return said | role._asdict()


def facts_of(page: Page) -> Row:
    """The columns that say something of a whole page."""
    return {
        "page_language": page.language,
        "page_charset": page.charset or None,
        "charset_from": page.charset_from or None,
        "author": page.author,
        "license": page.license,
    }
