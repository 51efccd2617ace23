"""Feeding: batches are fixed by the order of images, decoded ahead within bounds, and whole whatever goes wrong."""

import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from filters.clip.feed import AHEAD, Feeder, Undecoded, decoded
from filters.clip.form import ImageForm, Pixels
from filters.clip.scorer import Scorer
from filters.clip.settings import ScoreSettings
from filters.clip.towers import Embedded, ImageBatch, ScorerIdentity, Tokens


class PlainTowers:
    """An image's vector is its mean colour, a text's its first characters; remembers what it was asked."""

    identity = ScorerIdentity("plain", "0" * 64, "none")
    device = "cpu"

    def __init__(self, side: int = 4, resizes: bool = False) -> None:
        self.form = ImageForm(side, side, "squash")
        self.resizes = resizes
        self.batches: list[ImageBatch] = []
        self.texts: list[list[str]] = []
        self.lengths: list[int] = []

    def new_pixels(self, *shape: int) -> npt.NDArray[np.uint8]:
        return np.full(shape, 99, np.uint8)

    def tokens(self, texts: Sequence[str]) -> Tokens:
        self.texts.append(list(texts))
        rows = [[ord(character) for character in text[:12]] for text in texts]
        return np.array([row + [0] * (12 - len(row)) for row in rows], np.int64)

    def embed_images(self, batch: ImageBatch) -> Embedded:
        self.batches.append(batch)
        return np.asarray(batch.pixels.reshape(len(batch), -1, 3).mean(axis=1), np.float32)

    def embed_tokens(self, tokens: Tokens) -> Embedded:
        self.lengths.append(int((tokens != 0).sum(axis=1).max()))
        return np.asarray(tokens[:, :3] % 7 + 1, np.float32)

    def gathered(self, parts: Sequence[Any]) -> Embedded:
        return np.concatenate(parts)


def plain(level: int, height: int = 4, width: int = 4) -> Pixels:
    return np.full((height, width, 3), level, np.uint8)


def scorer_of(towers: PlainTowers, batch_size: int, threads: int = 3) -> Scorer:
    return Scorer(towers, ScoreSettings(batch_size=batch_size, decode_threads=threads))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize(("number", "size", "expected"), [(0, 4, []), (1, 4, [1]), (8, 4, [4, 4]), (13, 5, [5, 5, 3])])
def test_batches_are_consecutive_images_whatever_the_threads(
    number: int, size: int, expected: list[int], threads: int
) -> None:
    feeder = Feeder(PlainTowers(), size, threads)
    fed = list(feeder.batches([decoded(plain(level)) for level in range(number)]))
    assert [len(one.batch) for one in fed] == expected
    levels = [int(image[0, 0, 0]) for one in fed for image in one.batch.pixels]
    assert levels == list(range(number))
    feeder.close()


def test_decoding_runs_ahead_and_no_further_than_its_bound() -> None:
    begun: set[int] = set()
    lock = threading.Lock()

    def image(number: int) -> Undecoded:
        def decode() -> Pixels:
            with lock:
                begun.add(number)
            return plain(number)

        return Undecoded(4, 4, decode)

    feeder = Feeder(PlainTowers(), 2, 4)
    batches = feeder.batches([image(number) for number in range(40)])
    next(batches)
    feeder._threads.submit(int).result()  # the queue is empty of what was asked for
    feeder.close()
    assert 2 <= len(begun) <= 2 * (AHEAD + 1)
    assert begun <= set(range(2 * (AHEAD + 1)))


def test_image_that_is_not_there_keeps_its_place_in_the_batch() -> None:
    towers = PlainTowers()
    images = [decoded(plain(level)) for level in (10, 20, 30)]
    images[1] = Undecoded(4, 4, lambda: None)
    vectors = scorer_of(towers, 2).embed_undecoded(images)
    assert [len(batch) for batch in towers.batches] == [2, 1]
    assert np.isnan(vectors[1]).all()
    assert towers.batches[0].pixels[1].max() == 0
    np.testing.assert_allclose(vectors[[0, 2]], 3**-0.5)


@pytest.mark.parametrize("where", [0, 5, 11])
def test_what_nobody_foresaw_is_raised_and_the_next_call_works(where: int) -> None:
    def fail() -> Pixels:
        raise OSError("the disk is gone")

    images = [decoded(plain(level)) for level in range(12)]
    scorer = scorer_of(PlainTowers(), 3)
    images[where] = Undecoded(4, 4, fail)
    with pytest.raises(OSError, match="disk is gone"):
        scorer.embed_undecoded(images)
    assert len(scorer.embed_images([plain(1)])) == 1


def test_size_that_was_said_wrongly_is_no_silent_crop() -> None:
    with pytest.raises(ValueError, match="an image of 9x9 was said"):
        scorer_of(PlainTowers(), 2).embed_undecoded([Undecoded(9, 9, lambda: plain(1))])


def test_images_travel_as_they_are_where_the_device_resizes_unless_they_are_large() -> None:
    towers = PlainTowers(resizes=True)
    sizes = [(4, 4), (9, 6), (3, 1500)]
    scorer_of(towers, 8).embed_images([plain(level + 1, *size) for level, size in enumerate(sizes)])
    (batch,) = towers.batches
    assert batch.sizes == ((4, 4), (9, 6), (4, 4))
    assert batch.pixels.shape == (3, 9, 6, 3)
    assert batch.pixels[1].min() == 2
    assert batch.pixels[0, :4, :4].max() == 1
    assert len(batch[1:]) == 2
    assert batch[1:].sizes == ((9, 6), (4, 4))


def test_each_distinct_text_is_encoded_once_and_with_others_of_its_length() -> None:
    towers = PlainTowers()
    texts = ["a" * 9, "bb", "a" * 9, "c", "", "dd", "bb"]
    scores = scorer_of(towers, 2).score([plain(200), plain(7)], [texts, ["bb"]])
    assert sorted(text for batch in towers.texts for text in batch) == sorted(set(texts))
    assert towers.lengths == [1, 2, 9]
    assert scores[0][1] == scores[0][6] == scores[1][0]
    assert all(score is not None for score in scores[0])


def test_text_that_is_null_has_no_score() -> None:
    scorer = scorer_of(PlainTowers(), 2)
    found = scorer.score_pairs(scorer.embed_images([plain(9)]), np.array([0, 0]), [None, "a"])
    assert np.isnan(found).tolist() == [True, False]
    assert np.isnan(scorer.score_pairs(scorer.embed_images([plain(9)]), np.array([0]), [None])).all()


def test_image_with_200_texts_is_embedded_once() -> None:
    towers = PlainTowers()
    (scores,) = scorer_of(towers, 16).score([plain(5)], [[f"第{number}句" for number in range(200)]])
    assert len(scores) == 200
    assert sum(len(batch) for batch in towers.batches) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vector_that_is_no_number_scores_nothing(value: float) -> None:
    class Overflowing(PlainTowers):
        def embed_images(self, batch: ImageBatch) -> Embedded:
            vectors = super().embed_images(batch)
            vectors[0, 1] = value
            return vectors

    scores = scorer_of(Overflowing(), 4).score([plain(5), plain(6)], [["a", "b"], ["a"]])
    assert scores[0] == [None, None]
    assert scores[1][0] is not None


def test_filters_of_warnings_are_as_before_once_threads_have_decoded() -> None:
    def decode() -> Pixels:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
        return plain(1)

    before = list(warnings.filters)
    scorer_of(PlainTowers(), 2, threads=4).embed_undecoded([Undecoded(4, 4, decode) for _ in range(50)])
    assert list(warnings.filters) == before
