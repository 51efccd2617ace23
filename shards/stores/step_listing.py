"""What one listing of an object store says of a step: its records, its files, and which files are a part's."""

import re
from collections import Counter
from functools import cached_property

_PART_FILE = re.compile(r"part-(\d{6,})\.([0-9a-f]{8})\.(.+)\Z")


class StepListing:
    """What one listing says of a step: its records (file name -> size, etag), and its other files with their sizes.

    `copied` are the records that had a copy here at that time, and have it still.
    """

    def __init__(self) -> None:
        self.records: dict[str, tuple[int, str]] = {}
        self.sizes: dict[str, int] = {}
        self.copied: set[str] = set()

    def only_files(self, index: int) -> tuple[str, ...] | None:
        """The names of a part's files, where nothing but its record's can be meant: one record, one attempt's files.

        None as well where they are of other kinds than those of most parts: one may be missing.
        """
        attempts = self._attempts.get(index, {})
        if len(attempts) != 1 or self._num_records[index] != 1:
            return None
        (files,) = attempts.values()
        return tuple(files.values()) if tuple(files) == self._usual_kinds else None

    @cached_property
    def _attempts(self) -> dict[int, dict[str, dict[str, str]]]:
        """Part -> attempt -> kind of file -> name, in the listing's order."""
        found: dict[int, dict[str, dict[str, str]]] = {}
        for match in filter(None, map(_PART_FILE.match, self.sizes)):
            found.setdefault(int(match[1]), {}).setdefault(match[2], {})[match[3]] = match[0]
        return found

    @cached_property
    def _num_records(self) -> Counter[int]:
        return Counter(int(name.partition("-")[0]) for name in self.records if name[:6].isdigit())

    @cached_property
    def _usual_kinds(self) -> tuple[str, ...]:
        kinds = Counter(tuple(files) for attempts in self._attempts.values() for files in attempts.values())
        return max(kinds, key=lambda kind: (kinds[kind], kind))
