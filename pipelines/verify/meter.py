"""How far a verification has come: files and bytes that were read, shown while it goes on and told at its end."""

import time

from pipelines.live_line import LiveLine

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Meter:
    """Counts what was read."""

    def __init__(self, line: LiveLine) -> None:
        self.line = line
        self.num_bytes = 0
        self.num_files = 0
        self._expected_bytes = 0
        self._started = time.monotonic()

    def expect(self, num_bytes: int) -> None:
        """So many bytes more are going to be read."""
        self._expected_bytes += num_bytes

    def seen(self, num_bytes: int) -> None:
        """So many bytes more were read."""
        self.num_bytes += num_bytes
        if self.line.is_due():
            self.line.show(self._state())

    def _state(self) -> str:
        rate = self.num_bytes / max(time.monotonic() - self._started, 1e-6)
        left = max(self._expected_bytes - self.num_bytes, 0)
        return (
            f"verify   {self.num_files:,} files, {shown_bytes(self.num_bytes)} of {shown_bytes(self._expected_bytes)}, "
            f"{shown_bytes(rate)}/s, ETA {left / rate if rate else 0:.0f} s"
        )


def shown_bytes(size: float) -> str:
    """
    >>> shown_bytes(999), shown_bytes(2_600_000)
    ('999 bytes', '2.6 MB')
    """
    place = 0
    while size >= 999.5 and place < len(_UNITS) - 1:
        size, place = size / 1000, place + 1
    return f"{size:.{1 if place and size < 99.5 else 0}f} {_UNITS[place]}"
