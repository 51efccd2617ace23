"""Feeding the model: images are decoded by threads, some batches ahead of it, into arrays of uint8."""

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from filters.clip.form import Pixels
from filters.clip.towers import ImageBatch, Towers

AHEAD = 3
"""Batches that are decoded or being decoded while the model works on one: what bounds memory."""

_IMAGES_A_CALL = 4
_MOST_ON_DEVICE_PX = 1024
"""Larger images come to the model's size before they travel, so that a batch stays small."""


@dataclass(frozen=True)
class Undecoded:
    """An image to come. `decode` is called once, by any thread; None says that there is none."""

    height: int
    width: int
    decode: Callable[[], Pixels | None]


@dataclass(frozen=True)
class Fed:
    """A batch, and which of its places hold no image: those are black, so that all others share the same batch."""

    batch: ImageBatch
    missing: tuple[int, ...]


class Feeder:
    """Batches of `batch_size` images in the order given, each decoded before it is asked for if threads keep up."""

    def __init__(self, towers: Towers, batch_size: int, num_threads: int) -> None:
        self._towers, self._batch_size = towers, batch_size
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="decode")

    def batches(self, images: Sequence[Undecoded]) -> Iterator[Fed]:
        """Raises what `decode` raises; what was not begun by then is left."""
        pending: deque[_Filling] = deque()
        starts = iter(range(0, len(images), self._batch_size))
        with warnings.catch_warnings():
            # The decoder's own filters are the process's, and threads restore them in any order: these hold meanwhile.
            warnings.simplefilter("ignore")
            try:
                while True:
                    while len(pending) <= AHEAD and (start := next(starts, None)) is not None:
                        pending.append(self._begin(images[start : start + self._batch_size]))
                    if not pending:
                        return
                    yield pending.popleft().wait()
            finally:
                for filling in pending:
                    filling.abandon()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _begin(self, images: Sequence[Undecoded]) -> "_Filling":
        form = self._towers.form
        sizes = None
        if self._towers.resizes:
            sizes = tuple(_travelling_size(image, (form.height, form.width)) for image in images)
        height, width = (form.height, form.width) if sizes is None else (max(side) for side in zip(*sizes, strict=True))
        pixels = self._towers.new_pixels(len(images), height, width, 3)

        def fill(start: int) -> list[int]:
            return [
                start + place
                for place, image in enumerate(images[start : start + _IMAGES_A_CALL])
                if not self._fill(pixels[start + place], image, None if sizes is None else sizes[start + place])
            ]

        calls = [self._threads.submit(fill, start) for start in range(0, len(images), _IMAGES_A_CALL)]
        return _Filling(ImageBatch(pixels, sizes), calls)

    def _fill(self, room: Pixels, image: Undecoded, size: tuple[int, int] | None) -> bool:
        pixels = image.decode()
        if pixels is None:
            room[...] = 0
            return False
        if pixels.shape[:2] != (image.height, image.width):
            raise ValueError(f"an image of {image.width}x{image.height} was said, {pixels.shape[1::-1]} came")
        if size != (image.height, image.width):
            pixels = self._towers.form.fitted(pixels)
        room[: pixels.shape[0], : pixels.shape[1]] = pixels
        return True


@dataclass(frozen=True)
class _Filling:
    batch: ImageBatch
    calls: list["Future[list[int]]"]

    def wait(self) -> Fed:
        return Fed(self.batch, tuple(place for call in self.calls for place in call.result()))

    def abandon(self) -> None:
        for call in self.calls:
            call.cancel()


def _travelling_size(image: Undecoded, wanted: tuple[int, int]) -> tuple[int, int]:
    size = image.height, image.width
    return size if max(size) <= _MOST_ON_DEVICE_PX else wanted


def decoded(pixels: Pixels) -> Undecoded:
    """An image that is decoded already."""
    return Undecoded(pixels.shape[0], pixels.shape[1], lambda: np.ascontiguousarray(pixels))
