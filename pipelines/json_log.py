"""Progress for programs: one JSON object a line, in place of lines for people."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from pipelines.live_line import LiveLine
from shards.errors import UsageError

FORMATS = ("text", "json")


class JsonLog(LiveLine):
    """As the plain lines of `LiveLine`, as often, each with its time (UTC), its kind, its text and its figures."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream, live=False)

    def show(self, text: str, facts: Mapping[str, Any] | None = None) -> None:
        self._write("progress", text, facts)

    def note(self, text: str, facts: Mapping[str, Any] | None = None) -> None:
        self._write("note" if facts is None else "stage", text, facts)

    def error(self, text: str, exit_code: int) -> None:
        """Why the command ends."""
        self._write("error", text, {"exit_code": exit_code})

    def _write(self, event: str, text: str, facts: Mapping[str, Any] | None) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "event": event, "text": text.strip(), **(facts or {})}
        self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()


def open_log(form: str) -> LiveLine:
    """Where a run tells how far it is. Raises `UsageError` for another form."""
    if form not in FORMATS:
        raise UsageError(f"--log-format {form}: expected {' or '.join(FORMATS)}")
    return JsonLog() if form == "json" else LiveLine()
