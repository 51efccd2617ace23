"""How long a model had work: waiting for images is no work, and a GPU's work is timed where it is done."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from filters.clip.busy import BusyGpu, BusyHere, busy_on
from filters.clip.feed import decoded
from filters.clip.scorer import Scorer
from filters.clip.settings import ScoreSettings
from filters.clip.towers import Embedded, ImageBatch, Tokens
from tests.filters.clip.test_feed import PlainTowers, plain


@dataclass
class Gpu:
    """`now_ms` is its clock. It has done the first `done` pieces of work, each with an event before and after it."""

    now_ms: float = 0.0
    done: int = 0
    num_events: int = 0
    waited: list[int] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)

    def current_stream(self, device: str) -> str:
        return f"stream of {device}"

    def Event(self, enable_timing: bool) -> "Event":
        assert enable_timing
        self.num_events += 1
        return Event(self, self.num_events)


@dataclass
class Event:
    gpu: Gpu
    number: int
    at_ms: float = 0.0

    def record(self, stream: str) -> None:
        self.at_ms = self.gpu.now_ms
        self.gpu.streams.append(stream)

    def query(self) -> bool:
        return self.number <= 2 * self.gpu.done

    def synchronize(self) -> None:
        self.gpu.waited.append(self.number)

    def elapsed_time(self, later: "Event") -> float:
        return later.at_ms - self.at_ms


def test_work_on_a_gpu_is_timed_by_events_beside_it() -> None:
    gpu = Gpu()
    busy = BusyGpu("cuda:1", gpu)
    for number in range(4):
        with busy.working():
            gpu.now_ms += 500
        gpu.now_ms += 10_000  # it waits for images
        gpu.done = max(0, number - 1)
    assert len(busy._under_way) == 3, "what is done is not kept"
    assert busy.seconds() == busy.seconds() == 2.0
    assert gpu.waited == [4, 6, 8]
    assert set(gpu.streams) == {"stream of cuda:1"}


def test_work_that_fails_was_work() -> None:
    clock = count()
    busy = BusyHere(lambda: float(next(clock)))
    with pytest.raises(MemoryError), busy.working():
        raise MemoryError
    assert busy.seconds() == 1.0


def test_what_has_no_gpu_is_timed_here() -> None:
    assert isinstance(busy_on("cpu"), BusyHere)


class Timed(PlainTowers):
    """Each image and each text takes a second of a clock, and each batch of tokens ten more before it."""

    now = 0.0

    def embed_images(self, batch: ImageBatch) -> Embedded:
        self.now += len(batch)
        return super().embed_images(batch)

    def embed_tokens(self, tokens: Tokens) -> Embedded:
        self.now += len(tokens)
        return super().embed_tokens(tokens)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        self.now += 10
        return super().tokens(texts)


@pytest.mark.parametrize(("num_images", "texts", "expected_s"), [(5, ["a", "b", "a"], 7.0), (0, [], 0.0)])
def test_a_scorer_tells_how_long_its_model_had_work(num_images: int, texts: Sequence[str], expected_s: float) -> None:
    towers = Timed()
    scorer = Scorer(towers, ScoreSettings(batch_size=2, decode_threads=1), BusyHere(lambda: towers.now))
    scorer.embed_undecoded([decoded(plain(level)) for level in range(num_images)])
    scorer.encode_texts(texts)
    assert scorer.busy_s == expected_s
