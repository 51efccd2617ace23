"""Hard negatives: to each pair the text of another image of its stratum, every text once as far as that goes.

A text that comes once as right and once as wrong tells nothing by itself, nor does an image: only the pair does.
"""

import hashlib
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

_TRIES = 64
"""Texts of a stratum that are looked at for one image: strata where all are alike must not take quadratic time."""


@dataclass(frozen=True)
class PairedText:
    """A pair that matches. `groups` tell images apart: near-duplicate group and sha256, where known.

    `texts` are all that the image has, as `normal_text` gives them.
    """

    uid: str
    text: str
    stratum: str
    groups: frozenset[str]
    texts: frozenset[str]
    clip_score: float | None = None


@dataclass(frozen=True)
class Negative:
    """Places of the image and of the text that does not go with it; `nearness` is `stratum`, `score` or `any`."""

    image: int
    text: int
    nearness: str


def hard_negatives(pairs: Sequence[PairedText], seed: int) -> list[Negative]:
    """One for each pair as far as there is any text for it: never of the same image, group or text. By place.

    First each stratum exchanges its texts; what is left over exchanges them by nearness of the caption's score; to
    what is left then goes a text a second time.
    """
    lots = [_lot(pair, seed) for pair in pairs]
    texts = [normal_text(pair.text) for pair in pairs]
    rest_of_images: list[int] = []
    rest_of_texts: list[int] = []
    found: list[Negative] = []
    order = sorted(range(len(pairs)), key=lambda place: (pairs[place].stratum, lots[place]))
    for _, group in groupby(order, key=lambda place: pairs[place].stratum):
        places = list(group)
        given = _exchanged(places, places, pairs, texts)
        found += [Negative(image, text, "stratum") for image, text in given.items()]
        rest_of_images += [place for place in places if place not in given]
        rest_of_texts += sorted(set(places) - set(given.values()), key=lambda place: lots[place])
    rest_of_images.sort(key=lambda place: (pairs[place].clip_score or 0.0, lots[place]))
    rest_of_texts.sort(key=lambda place: (pairs[place].clip_score or 0.0, lots[place]))
    given = _exchanged(rest_of_images, rest_of_texts, pairs, texts)
    found += [Negative(image, text, "score") for image, text in given.items()]
    by_score = sorted(order, key=lambda place: pairs[place].clip_score or 0.0)
    for image in rest_of_images:
        if image not in given:
            found += [Negative(image, text, "any") for text in _allowed(image, by_score, pairs, texts)][:1]
    return sorted(found, key=lambda negative: negative.image)


def normal_text(text: str) -> str:
    """What two texts have in common that are the same to a reader: width, case and blanks aside."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _lot(pair: PairedText, seed: int) -> bytes:
    given = f"{seed}/{pair.uid}/{pair.text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(given, digest_size=16).digest()


def _exchanged(
    images: Sequence[int], texts: Sequence[int], pairs: Sequence[PairedText], normal: Sequence[str]
) -> dict[int, int]:
    """Image -> text, each text once: the next free one that may be; who finds none changes with one that has."""
    free = dict.fromkeys(texts)
    given: dict[int, int] = {}
    for number, image in enumerate(images):
        behind = (texts[(number + 1 + step) % len(texts)] for step in range(min(len(texts), _TRIES)))
        text = next((text for text in behind if text in free and _may(image, text, pairs, normal)), None)
        if text is None:
            text = next((t for t, _ in zip(free, range(_TRIES), strict=False) if _may(image, t, pairs, normal)), None)
        if text is not None:
            given[image] = text
            del free[text]
    for image in [image for image in images if image not in given]:
        swap = _swap(image, free, given, pairs, normal)
        if swap is not None:
            other, text = swap
            given[image], given[other] = given[other], text
            del free[text]
    return given


def _swap(
    image: int, free: dict[int, None], given: dict[int, int], pairs: Sequence[PairedText], normal: Sequence[str]
) -> tuple[int, int] | None:
    """An image that can give its text to this one, and the free text that it takes instead."""
    for text, _ in zip(free, range(16), strict=False):
        for other, _ in zip(reversed(given), range(_TRIES), strict=False):
            if _may(image, given[other], pairs, normal) and _may(other, text, pairs, normal):
                return other, text
    return None


def _allowed(image: int, by_score: Sequence[int], pairs: Sequence[PairedText], normal: Sequence[str]) -> Iterator[int]:
    """Texts that may go with an image though another has them, among those of scores near its own."""
    here = bisect_left(by_score, pairs[image].clip_score or 0.0, key=lambda place: pairs[place].clip_score or 0.0)
    near = by_score[max(0, here - _TRIES) : here + _TRIES]
    return (text for text in near if _may(image, text, pairs, normal))


def _may(image: int, text: int, pairs: Sequence[PairedText], normal: Sequence[str]) -> bool:
    """Whether a text is one of another image, another group and other words."""
    if normal[text] == normal[image] or normal[text] in pairs[image].texts:
        return False
    return pairs[image].uid != pairs[text].uid and pairs[image].groups.isdisjoint(pairs[text].groups)
