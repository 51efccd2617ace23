"""One JSON array of many records: its elements as bytes, found without reading all of it or parsing any."""

import re
from collections.abc import Iterable, Iterator

MAX_ELEMENT_BYTES = 32 * 2**20

# JSON forbids raw line ends in strings (RFC 8259, section 7): a quote that never ends does so at the line's.
_STRING = rb'"(?:[^"\\\n]|\\.)*+'
_FLAT = rb'\{[^{}\[\]"]*+(?:' + _STRING + rb'"[^{}\[\]"]*+)*+\}'
_TOKEN = re.compile(rb"(?P<flat>" + _FLAT + rb")|" + _STRING + rb'["\n]|[\[\]{},"]', re.DOTALL)
_OPEN_STRING = b'"'
_NEXT_RECORD = re.compile(rb'(?:\}\s*,?|\n)\s*(?=\{\s*")')
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_OUTSIDE = -1
"""The depth of what lies in no array; between the elements of one it is 0."""
_MARK_BYTES = 64
"""What is kept of bytes that are skipped: the end of a record and the blanks before the next may lie across chunks."""


def is_array(head: bytes) -> bool:
    """Whether a file that begins so holds an array rather than lines of objects."""
    return head.removeprefix(_BOM).lstrip(_BLANKS).startswith(b"[")


def array_elements(chunks: Iterable[bytes]) -> Iterator[bytes | None]:
    """The elements of the array that a file's bytes hold, in order; None for one that is too long to be read.

    Brackets are counted, strings skipped. Where they never come out even, the next `{"` that follows begins another
    record, so that one broken record costs itself alone, and one cut short at the file's end is given as it is.
    What stands behind the array is given too, be it another array or no JSON at all: nothing is passed over.
    """
    scan = _Scan()
    for chunk in chunks:
        scan.add(chunk)
        yield from scan.elements()
        if len(scan.rest) > MAX_ELEMENT_BYTES:
            yield None
            scan.skip()
            yield from scan.elements()
    while not scan.is_skipping and scan.rest.strip(_BLANKS):
        yield scan.broken_element()
        yield from scan.elements()


class _Scan:
    """The bytes from the element that is being looked at on, and how far they were looked at."""

    def __init__(self) -> None:
        self.rest = b""
        self.is_skipping = False
        self._depth = _OUTSIDE
        self._seen = 0

    def add(self, chunk: bytes) -> None:
        self.rest += chunk
        if self.is_skipping:
            self.skip()

    def elements(self) -> Iterator[bytes]:
        """Those that end within the bytes at hand."""
        start = 0
        for token in _TOKEN.finditer(self.rest, self._seen):
            mark = token[0]
            if mark == _OPEN_STRING:
                break
            self._seen = token.end()
            is_flat = token["flat"] is not None  # an object without a bracket in it, as most records are: one step
            if self._depth <= 0 and (is_flat or mark in b",]{" or self._depth == _OUTSIDE):
                if element := self.rest[start : token.start()].strip(_BLANKS).removeprefix(_BOM):
                    yield element
                if is_flat:
                    yield mark
                start = token.start() if mark == b"{" else token.end()
            if not is_flat:
                self._step(mark)
        self._seen -= start
        self.rest = self.rest[start:]

    def _step(self, mark: bytes) -> None:
        if self._depth == _OUTSIDE:
            self._depth = {b"[": 0, b"{": 1}.get(mark, _OUTSIDE)
        elif self._depth == 0 and mark == b"]":
            self._depth = _OUTSIDE
        else:
            self._depth = max(0, self._depth + _STEPS.get(mark, 0))

    def skip(self) -> None:
        """Leave out bytes up to where the next record seems to begin, maybe in bytes that are not at hand yet."""
        found = _NEXT_RECORD.search(self.rest)
        self.is_skipping = found is None
        self.rest = self.rest[found.end() :] if found else self.rest[-_MARK_BYTES:]
        self._depth, self._seen = 0, 0 if found else len(self.rest)

    def broken_element(self) -> bytes:
        """Ends the element at hand where the next record seems to begin, or with the bytes at hand."""
        found = _NEXT_RECORD.search(self.rest)
        stop = found.end() if found else len(self.rest)
        element, self.rest = self.rest[:stop], self.rest[stop:]
        self._depth = self._seen = 0
        return element.strip(_BLANKS)
