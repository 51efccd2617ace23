"""Candidates of pages gathered as columns of RAW_CANDIDATE, page by page."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from crawler.extract import Page
from crawler.image_role import Role
from crawler.kept_candidates import Row
from crawler.page_candidates import KINDS, NUM_FIELDS, NUMBER, Candidate, PageCandidates
from shards.schema import RAW_CANDIDATE

_OF_CANDIDATE = ("url", "kind", "text", "drop_reason", "detail")
_KIND, _ROLE = 1, 5
_OF_PAGE = [name for name in RAW_CANDIDATE.names if name not in (*_OF_CANDIDATE, *Role._fields)]


class CandidateColumns:
    """Rows that were added and not yet taken."""

    def __init__(self) -> None:
        self._made: list[pa.RecordBatch] = []
        self._num_made = 0
        self._clear()

    def __len__(self) -> int:
        return self._num_made + len(self._numbers) // NUM_FIELDS

    def add(self, shared: Mapping[str, Any], candidates: PageCandidates, others: Sequence[Row]) -> None:
        """The candidates of a page, with what they share, and then rows that are none."""
        if len(candidates):
            self._pages.append(shared)
            self._num_of_page.append(len(candidates))
            self._first_string.append(len(self._strings))
            self._strings += candidates.strings
            self._numbers.extend(candidates.numbers)
        if others:
            self._make()
            self._keep(pa.RecordBatch.from_pylist([dict(row) for row in others], schema=RAW_CANDIDATE))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """One batch of all rows; none where there are none."""
        self._make()
        made, self._made, self._num_made = self._made, [], 0
        if made:
            yield from pa.Table.from_batches(made).combine_chunks().to_batches()

    def _clear(self) -> None:
        self._pages: list[Mapping[str, Any]] = []
        self._num_of_page: list[int] = []
        self._first_string: list[int] = []
        self._strings: list[str] = []
        self._numbers = array(NUMBER)

    def _keep(self, batch: pa.RecordBatch) -> None:
        self._made.append(batch)
        self._num_made += batch.num_rows

    def _make(self) -> None:
        """A batch of the candidates that are still numbers and strings."""
        if not self._pages:
            return
        numbers = np.frombuffer(self._numbers, np.dtype(NUMBER)).reshape(-1, NUM_FIELDS)
        page = np.repeat(np.arange(len(self._pages)), self._num_of_page)
        first = np.array(self._first_string)[page]
        strings, kinds = pa.array(self._strings, pa.string()), pa.array(KINDS, pa.string())
        columns = {}
        for place, name in enumerate(_OF_CANDIDATE):
            number = numbers[:, place]
            taken = number if place == _KIND else number + first
            columns[name] = (kinds if place == _KIND else strings).take(pa.array(taken, mask=number < 0))
        for place, name in enumerate(Role._fields):
            columns[name] = pa.array((numbers[:, _ROLE] >> place & 1).astype(bool))
        of_row = pa.array(page)
        for name in _OF_PAGE:
            values = pa.array([shared.get(name) for shared in self._pages], RAW_CANDIDATE.field(name).type)
            columns[name] = values.take(of_row)
        arrays = [columns[field.name] for field in RAW_CANDIDATE]
        self._keep(pa.RecordBatch.from_arrays(arrays, schema=RAW_CANDIDATE))
        self._clear()


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
