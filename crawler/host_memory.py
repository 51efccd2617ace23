"""What a lane learned of its hosts, kept between its parts: when they may be asked again, and what their files say."""

import json
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MAX_HOSTS = 50_000
MAX_FILE_BYTES = 32 * 2**20
MAX_SOURCE_BYTES = 16 * 1024
MAX_AGE_S = 24 * 3600.0
"""How long a robots.txt may be used without asking again (RFC 9309, section 2.4)."""

_MAX_ORIGINS = 4
_MAX_DETAIL_CHARS = 300
_MAGIC = "curate-hosts-1"


@dataclass(frozen=True, slots=True)
class Sources:
    """What an origin's three files said at a moment (UTC seconds); empty: there is none. None: not known, ask again."""

    at: float
    robots: bytes
    tdmrep: bytes | None = None
    ai_txt: bytes | None = None


@dataclass(slots=True)
class HostNote:
    """One host: the earliest next start and the end of a cool-down in UTC seconds, its gap, and its origins' files."""

    next_start: float = 0.0
    crawl_delay_s: float | None = None
    open_until: float | None = None
    num_openings: int = 0
    cause: tuple[str, str | None] | None = None
    origins: dict[str, Sources] = field(default_factory=dict)


class HostMemory:
    """Notes of at most 50,000 hosts in one file of at most 32 MiB, least recently used first out.

    A file that is missing, damaged, or another crawler's is no memory at all; without a path, notes last as long as
    this object. They are parsed when they are asked for: a host that nobody is at takes a line of bytes and no more.
    """

    def __init__(self, path: Path | None, agent: str, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._agent = agent
        self._clock = clock
        self._lines: OrderedDict[str, bytes] = OrderedDict()
        self._num_bytes = 0
        if path is not None:
            self._load(path)

    def recall(self, host: str) -> HostNote:
        """What is known of a host; an empty note where nothing is."""
        line = self._lines.get(host)
        return HostNote() if line is None else _parse(line, self._clock())

    def keep(self, host: str, note: HostNote) -> None:
        """Remembers a host as the one used last."""
        self._forget(host)
        line = _written(host, note)
        self._lines[host] = line
        self._num_bytes += len(line) + 1
        while len(self._lines) > MAX_HOSTS or self._num_bytes > MAX_FILE_BYTES:
            self._forget(next(iter(self._lines)))

    def save(self, path: Path | None = None) -> None:
        """Writes the file whole or not at all: the one that was read, or another."""
        target = path or self._path
        if target is None:
            return
        check = 0
        for line in self._lines.values():
            check = zlib.crc32(b"\n", zlib.crc32(line, check))
        beside = target.with_name(target.name + ".new")
        with beside.open("wb") as file:
            file.write(json.dumps([_MAGIC, self._agent, check]).encode() + b"\n")
            file.writelines(line + b"\n" for line in self._lines.values())
        os.replace(beside, target)

    def _forget(self, host: str) -> None:
        line = self._lines.pop(host, None)
        if line is not None:
            self._num_bytes -= len(line) + 1

    def _load(self, path: Path) -> None:
        try:
            is_ours = path.stat().st_size <= MAX_FILE_BYTES + 4096 and self._read(path)
        except (OSError, ValueError, TypeError, RecursionError):  # also a first line that is no list
            is_ours = False
        if not is_ours:
            self._lines.clear()
            self._num_bytes = 0

    def _read(self, path: Path) -> bool:
        """Takes over the notes of a file; whether they are ours and whole, which its last byte decides."""
        check = 0
        with path.open("rb") as file:
            magic, agent, said = json.loads(file.readline())
            for ended in file:
                check = zlib.crc32(ended, check)
                line = ended.rstrip(b"\n")
                host = line[2 : line.find(b'"', 2)].decode()
                if host and len(self._lines) < MAX_HOSTS:
                    self._lines[host] = line
                    self._num_bytes += len(ended)
        return (magic, agent, said) == (_MAGIC, self._agent, check)


def _written(host: str, note: HostNote) -> bytes:
    origins = [
        [origin, seen.at, *(None if text is None else text.decode("latin-1") for text in _kept_sources(seen))]
        for origin, seen in list(note.origins.items())[-_MAX_ORIGINS:]
        if len(seen.robots) <= MAX_SOURCE_BYTES
    ]
    cause = None if note.cause is None else [note.cause[0], (note.cause[1] or "")[:_MAX_DETAIL_CHARS]]
    facts = [host, note.next_start, note.crawl_delay_s, note.open_until, note.num_openings, cause, origins]
    return json.dumps(facts, ensure_ascii=True).encode()


def _kept_sources(seen: Sources) -> tuple[bytes, bytes | None, bytes | None]:
    tdmrep, ai_txt = (
        None if text is None or len(text) > MAX_SOURCE_BYTES else text for text in (seen.tdmrep, seen.ai_txt)
    )
    return seen.robots, tdmrep, ai_txt


def _parse(line: bytes, now: float) -> HostNote:
    """The note as far as it still holds. A moment too far off in the future is a clock that jumped: it is cut."""
    _, next_start, crawl_delay, open_until, num_openings, cause, origins = json.loads(line)
    note = HostNote(min(next_start, now + MAX_AGE_S), crawl_delay)
    if open_until is not None and cause is not None:
        note.open_until = min(open_until, now + MAX_AGE_S)
        note.num_openings = num_openings
        note.cause = (cause[0], cause[1])
    for origin, at, *texts in origins:
        if 0 <= now - at < MAX_AGE_S:
            robots, tdmrep, ai_txt = (None if text is None else text.encode("latin-1") for text in texts)
            note.origins[origin] = Sources(at, robots or b"", tdmrep, ai_txt)
    return note
