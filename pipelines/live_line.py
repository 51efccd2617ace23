"""One line of a terminal that is written over while something long goes on, or plain lines where nobody watches."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

_LIVE_EVERY_S = 0.5
_PLAIN_EVERY_S = 10.0
_USUAL_COLUMNS = 120


class LiveLine:
    """Where progress is shown, standard error unless told. Clocks are used here for display alone."""

    def __init__(self, stream: TextIO | None = None, live: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty() if live is None else live
        self.rest()

    def rest(self) -> None:
        """Show nothing for a moment from now: something new begins."""
        self._shown = time.monotonic()

    def is_due(self) -> bool:
        """Whether the reader can use another line; if so, the next one is due a moment later."""
        now = time.monotonic()
        is_due = now - self._shown >= (_LIVE_EVERY_S if self._is_live else _PLAIN_EVERY_S)
        if is_due:
            self._shown = now
        return is_due

    def show(self, text: str, facts: Mapping[str, Any] | None = None) -> None:
        """A line that the next one replaces, where there is a terminal. `facts` are its figures, for programs."""
        line = printable(text)
        self._stream.write(f"\r\x1b[2K{line[: self._columns() - 1]}" if self._is_live else line + "\n")
        self._stream.flush()

    def note(self, text: str, facts: Mapping[str, Any] | None = None) -> None:
        """A line that stays."""
        self.clear()
        self._stream.write(printable(text) + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take back what was shown, before another stream writes to the same terminal."""
        if self._is_live:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

    def _columns(self) -> int:
        """The terminal's width: a line that wraps could not be written over."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or _USUAL_COLUMNS
        except (OSError, ValueError):
            return _USUAL_COLUMNS


def printable(text: str) -> str:
    """No control characters of a hostile page or file reach a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)
