"""Pages parsed in a child process with bounds of time and memory: a page that breaks the parser costs itself only."""

import contextlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from crawler.child_process import die_with_parent, read_frame, start_python_child, write_frame
from crawler.extract import Candidate, Page, extract_page

PARSE_SECONDS = 5.0
MAX_MEMORY_BYTES = 2 * 2**30
_START_SECONDS = 60.0
_REQUEST = struct.Struct(">II")


class PageParser:
    """`extract_page` at one remove. A context manager; not for use by two threads at once."""

    def __init__(self, agent: str, parse_seconds: float = PARSE_SECONDS) -> None:
        self._agent = agent
        self._parse_seconds = parse_seconds
        self._child: subprocess.Popen[bytes] | None = None

    def extract(self, html: bytes, url: str, content_type: str | None, headers: Sequence[tuple[str, str]]) -> Page:
        """The page; a `Page` with an `error` where the parser ran out of time or memory, or crashed."""
        child = self._running()
        question = json.dumps([url, content_type, list(headers), self._agent]).encode()
        try:
            assert child.stdin is not None
            child.stdin.write(_REQUEST.pack(len(question), len(html)) + question)
            child.stdin.write(html)
            child.stdin.flush()
            answer = read_frame(child, self._parse_seconds)
        except BrokenPipeError:
            answer = None
        if answer is None:
            has_died = child.poll() is not None
            self.close()
            what = "the parser crashed or ran out of memory" if has_died else "parsing took too long"
            return Page(error=f"{what} ({len(html)} bytes)")
        return _page_from(json.loads(answer))

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    _close_quietly(pipe)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = start_python_child("crawler.parse_child", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if read_frame(self._child, _START_SECONDS) is None:
                self.close()
                raise RuntimeError("the page parser's process did not start; its error output says why")
        return self._child


def main() -> None:
    """The child: a frame to say that it is there, then a page for each request until its input ends."""
    die_with_parent()
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    # Nothing else that prints may reach the pipe.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    write_frame(out, b"ready")
    while True:
        head = sys.stdin.buffer.read(_REQUEST.size)
        if len(head) < _REQUEST.size:
            return
        question_bytes, html_bytes = _REQUEST.unpack(head)
        url, content_type, headers, agent = json.loads(sys.stdin.buffer.read(question_bytes))
        html = sys.stdin.buffer.read(html_bytes)
        try:
            page = extract_page(html, url, content_type, [(name, value) for name, value in headers], agent)
        except (MemoryError, RecursionError) as error:
            page = Page(error=type(error).__name__)
        write_frame(out, _frame_of(page))


def _frame_of(page: Page) -> bytes:
    candidates = [[c.url, c.kind, c.text, c.drop_reason, c.detail] for c in page.candidates]
    parts = [page.title, page.charset, page.links, candidates, page.opt_out, page.error]
    return json.dumps(parts, ensure_ascii=False).encode("utf-8", "replace")


def _page_from(parts: list[object]) -> Page:
    title, charset, links, candidates, opt_out, error = parts
    rows = [Candidate(*row) for row in candidates]  # type: ignore[attr-defined]  # our own child's JSON
    return Page(title, charset, links, rows, opt_out, error)  # type: ignore[arg-type]  # the same


def _close_quietly(pipe: IO[bytes]) -> None:
    # What was left unsent is of no use to a dead child.
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
