"""What tests of the flow share: a pool in this process, small recipes over a table, a site of photographs."""

import csv
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.launch import RunResult, run_recipe
from pipelines.progress import Progress
from pipelines.tasks import RowFilter, Task
from shards.schema import STAGES
from tests.crawler.conftest import Server, serve

NUM_PHOTOS = 6
AGENT = "testbot/1.0 (+https://example.org/bot)"

Fault = Callable[[Task, RowFilter], None]
"""Called before the work of an attempt is done; what it raises is the attempt's end."""


@dataclass
class InlinePool:
    """A pool that runs each call when it is waited for, in this process, and remembers what it was asked."""

    slots: int = 2
    fault: Fault | None = None
    calls: list[tuple[str, Task]] = field(default_factory=list)
    most_of_a_lane: int = 0
    is_closed: bool = False
    _waiting: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = field(default_factory=dict)
    _ended: dict[int, tuple[Any, BaseException | None]] = field(default_factory=dict)

    def start(self, function: Callable[..., Any], *arguments: object, cpus: float = 1.0, gpus: float = 0.0) -> object:
        handle = len(self.calls)
        task = arguments[0]
        assert isinstance(task, Task)
        self.calls.append((function.__name__, task))
        self._waiting[handle] = (function, arguments)
        lanes = [held[1][0].lane for held in self._waiting.values() if held[1][0].lane is not None]
        self.most_of_a_lane = max([self.most_of_a_lane, *(lanes.count(lane) for lane in lanes)])
        assert len(self._waiting) <= self.slots
        return handle

    def wait(self, handles: Sequence[object], timeout_s: float) -> list[object]:
        """Ends the newest of the calls, so that results do not come in the order of tasks."""
        newest = [handle for handle in handles if isinstance(handle, int)][-1:]
        for handle in newest:
            function, arguments = self._waiting.pop(handle)
            try:
                if self.fault is not None:
                    self.fault(arguments[0], arguments[2] if len(arguments) > 2 else RowFilter())
                self._ended[handle] = function(*arguments), None
            except BaseException as error:  # noqa: BLE001 - as a worker's result, raised where it is asked for
                self._ended[handle] = None, error
        return list(newest)

    def result(self, handle: object) -> Any:
        assert isinstance(handle, int)
        value, error = self._ended.pop(handle)
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        self.is_closed = True

    def steps(self, function: str = "perform") -> list[str]:
        """The steps of the calls, in the order in which they were started."""
        return [task.step for name, task in self.calls if name == function]


def write_csv(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = ("url", "caption")) -> Path:
    """A table as the `wukong` layout reads it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def table_recipe(path: Path, rules: dict[str, str] | None = None, **sections: Any) -> dict[str, Any]:
    """A recipe over one table, polite to nobody but loopback, without a model."""
    mapping: dict[str, Any] = {
        "name": "test",
        "source": {"kind": "table", "layout": "wukong", "paths": [str(path)]},
        "crawler": {"user_agent": AGENT, "per_host": {"concurrency": 8, "delay_s": 0}, "lanes": 2},
        "fetch": {"retries": 0, "total_timeout_s": 5, "backoff_s": 0},
        "release": {"shard_size": 2, "caption": ["caption"]},
        "rules": rules or {},
    }
    return mapping | sections


def run_inline(mapping: dict[str, Any], out: Path, pool: InlinePool | None = None) -> RunResult:
    """`curate run` in this process, silently."""
    used = pool or InlinePool()
    return run_recipe(mapping, "recipe test", str(out), lambda: used, Progress(io.StringIO(), live=False))


def photograph(seed: int, width: int = 256, height: int = 256, shift: int = 0) -> bytes:
    """A PNG with structure of its own: smooth waves, fixed by `seed`; `shift` changes pixels, not the picture."""
    from PIL import Image

    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = np.zeros((height, width, 3))
    for _ in range(24):
        across, down, phase = random.uniform(0.5, 5, 3)
        waves += random.uniform(-1, 1, 3) * np.sin(6.3 * (across * x + down * y + phase))[..., None]
    pixels = np.clip(128 + 28 * waves + shift, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def site() -> Iterator[Server]:
    """Photographs `/0.png` to `/5.png`, a slightly brighter copy of the first, a tiny one, and a page that is none."""
    server = Server()
    for number in range(NUM_PHOTOS):
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
    server.pages["/0-copy.png"] = serve(photograph(0, shift=1))
    server.pages["/tiny.png"] = serve(photograph(9, 40, 30))
    server.pages["/page.png"] = serve(b"<html>no image</html>")
    server.pages["/forbidden/a.png"] = serve(photograph(8))
    server.pages["/robots.txt"] = serve(b"User-agent: *\nDisallow: /forbidden/\n", Content_Type="text/plain")
    yield server
    server.close()


@pytest.fixture
def images() -> Iterator[Server]:
    """Photographs `/0.png` to `/7.png`, for a test that reads the server's log."""
    server = Server()
    for number in range(8):
        server.pages[f"/{number}.png"] = serve(photograph(number), Content_Type="image/png")
    yield server
    server.close()


@dataclass(frozen=True)
class FinishedRun:
    """A run that tests share: they read it, or copy it before they change it."""

    folder: Path
    recipe: dict[str, Any]
    site: Server
    kept: int

    def copy(self, into: Path, upto: str = "release") -> Path:
        """A copy of the run as it was when the stage `upto` had ended."""
        later = STAGES[STAGES.index(upto) + 1 :]
        into = into / "run"
        shutil.copytree(self.folder, into, ignore=lambda _, names: [n for n in names if n.split("-")[0] in later])
        return into


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, site: Server) -> FinishedRun:
    """Every way that a sample can go without a model: five photographs and one of two alike are kept."""
    home = tmp_path_factory.mktemp("finished")
    rows = [(site.url(f"/{number}.png"), f"第{number}张照片") for number in range(NUM_PHOTOS)]
    rows += [
        (site.url("/0-copy.png"), "同一张照片"),
        (site.url("/5.png"), "IMG_0005.jpg"),
        (site.url("/tiny.png"), "很小的照片"),
        (site.url("/page.png"), "没有照片"),
        (site.url("/gone.png"), "不在了"),
        (site.url("/forbidden/a.png"), "不许看的照片"),
        (site.url("/english.png"), "english only"),
        ("ftp://a.cn/1.jpg", "别的协议"),
        (site.url("/formula.png"), "=HYPERLINK(1)"),
    ]
    rules = {
        "no_chinese": "zh_chars >= 1",
        "too_long": "zh_chars < 32",
        "too_small": "min_side > 100",
        "plain": "entropy >= 1",
        "near_duplicate": "dup_rank = 1",
    }
    recipe = table_recipe(write_csv(home / "t.csv", rows), rules, network={"allow_private": [site.address]})
    result = run_inline(recipe, home / "run")
    assert result.stats["kept"] == NUM_PHOTOS
    return FinishedRun(home / "run", recipe, site, result.stats["kept"])
