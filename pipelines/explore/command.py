"""`curate explore`: read the samples, serve the page on loopback, open a browser, and end cleanly with Ctrl-C."""

import os
import signal
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.explore.answers import AnswerBook, checked_annotator
from pipelines.explore.explored import Explored, open_explored
from pipelines.explore.gate import Gate
from pipelines.explore.http_server import ExploreServer
from pipelines.explore.labelling import Labelling
from pipelines.explore.routes import Routes
from pipelines.explore.sample_index import SampleIndex
from pipelines.live_line import LiveLine
from shards.errors import BadInputError, UsageError

_POLL_S = 0.2


@dataclass(frozen=True)
class Wishes:
    """What the command line says: port 0 is any that is free; a list to label, by whom, and where answers go."""

    port: int = 0
    opens: bool = True
    label: Path | None = None
    annotator: str | None = None
    labels: Path | None = None


def explore(folder: Path, wishes: Wishes, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises errors of `shards.errors` before anything is served."""
    if wishes.annotator is not None:
        checked_annotator(wishes.annotator)
    elif wishes.label is not None or wishes.labels is not None:
        raise UsageError(
            "--label and --labels need --annotator NAME: each annotator's answers have a file of their own"
        )
    explored = open_explored(folder)
    with serving(explored, wishes) as server:
        tell(server.url)
        tell("open it in a browser of this machine; Ctrl-C ends it")
        if wishes.opens and _has_screen():
            webbrowser.open(f"{server.origin}/open/{server.gate.entrance}")
        with _ended_by_signals():
            server.serve_forever(_POLL_S)


@contextmanager
def serving(explored: Explored, wishes: Wishes) -> Iterator[ExploreServer]:
    """A server that listens; the caller lets it serve."""
    with ExitStack() as stack:
        index = stack.enter_context(closing(_read_index(explored)))
        labelling = None
        if wishes.annotator is not None:
            answers = wishes.labels or explored.labels
            book = stack.enter_context(AnswerBook(answers, wishes.annotator))
            labelling = Labelling(index, answers, book, wishes.label)
        server = ExploreServer(wishes.port, Gate(), Routes(explored, index, labelling).answer)
        yield stack.enter_context(server)


def _read_index(explored: Explored) -> SampleIndex:
    import duckdb

    line = LiveLine()

    def told(done: int) -> None:
        if line.is_due():
            line.show(f"reading samples: file {done + 1} of {len(explored.files)}")

    try:
        return SampleIndex(explored.files, told)
    except (duckdb.Error, OSError) as error:
        raise BadInputError(f"{explored.folder}: its samples cannot be read: {error}") from None
    finally:
        line.clear()


def _has_screen() -> bool:
    """Whether a browser with windows can be opened; a text browser would take the terminal."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM as Ctrl-C, and both as an end like any other."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    ends = (signal.SIGTERM, signal.SIGINT)  # the second is ignored by what a shell started in the background
    before = [signal.signal(number, end) for number in ends]
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)
