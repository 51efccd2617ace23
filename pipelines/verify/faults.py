"""Faults as `curate verify` tells them: one line each, a bounded number of lines, and all of them counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy

MOST_OF_A_FILE = 5
MOST_TOLD = 200
_MOST_CHARS = 500
_OTHERS = "other files"


class Faults:
    """Counts faults and tells the first ones at once. `remedy` is what to do about a damaged file."""

    def __init__(self, tell: Callable[[str], None], remedy: str) -> None:
        self._tell = tell
        self._remedy = remedy
        self._folder = ""
        self._told: Counter[str] = Counter()
        self._untold: Counter[str] = Counter()

    def within(self, folder: str, remedy: str | None = None) -> "Faults":
        """The same account for files below a folder, where they have a remedy of their own with it."""
        inner = copy(self)
        inner._folder, inner._remedy = f"{self._folder}{folder}/", remedy or self._remedy
        return inner

    def add(self, file: str, fault: str, remedy: str | None = None) -> None:
        """`fault` says what was found and what was expected; what to do is added to it."""
        file = self._folder + file
        if self._told[file] < MOST_OF_A_FILE and self._told.total() < MOST_TOLD:
            self._told[file] += 1
            self._tell(f"{file}: {_one_line(fault)}; {remedy or self._remedy}")
        else:
            self._count(file, 1)

    def add_held(self, file: str, held: "HeldFaults", remedy: str | None) -> None:
        """What was held back of a file."""
        for fault in held.first:
            self.add(file, fault, remedy)
        if held.num_more:
            self._count(self._folder + file, held.num_more)

    def _count(self, file: str, number: int) -> None:
        self._untold[file if len(self._untold) < MOST_TOLD else _OTHERS] += number

    def __len__(self) -> int:
        return self._told.total() + self._untold.total()

    def rest(self) -> Iterator[str]:
        """What was counted and not told: a line for each of a few files, and one for all others."""
        files = sorted(self._untold)
        for file in files[:MOST_OF_A_FILE]:
            yield f"{file}: {self._untold[file]:,} more faults"
        others = sum(self._untold[file] for file in files[MOST_OF_A_FILE:])
        if others:
            yield f"{_OTHERS}: {others:,} more faults"


class HeldFaults:
    """Faults of one file that wait until it is known whether its digest fits: on that hangs what to do."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.num_more = 0

    def add(self, fault: str) -> None:
        if len(self.first) < MOST_OF_A_FILE:
            self.first.append(fault)
        else:
            self.num_more += 1


def _one_line(text: str) -> str:
    """What a hostile file brings into a message is bounded too."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARS else line[:_MOST_CHARS] + "…"
