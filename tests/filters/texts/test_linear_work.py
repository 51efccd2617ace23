"""Hostile texts: the work that measures do grows as the text does, counted in calls and characters, not in time."""

import re
import sys
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # no public way tells what a pattern repeats
from types import FrameType
from typing import Any

import pyarrow as pa
import pytest

from filters import contacts, text
from filters.measures import MEASURES, measures_of
from filters.settings import TextSettings
from filters.text import MAX_CHARS, normalise, text_measures
from filters.texts import name_scores

HOSTILE = [
    "王",
    "龥",
    "王小",
    "员于",
    "刘德华",
    "a\u0335",
    "(",
    "（[",
    "1",
    "a@",
    "微信",
    "群",
    "vx",
    "点击",
    "&",
    "漢",
    "😀",
    "の",
]
ALL = measures_of(MEASURES, "collect", "text")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_calls_grow_no_faster_than_the_text(hostile: str) -> None:
    _calls(hostile, 16)  # what is loaded once
    least, most = _calls(hostile, MAX_CHARS // 8), _calls(hostile, MAX_CHARS)
    assert most <= 8 * least + 1000


def test_a_text_beyond_the_bound_is_measured_by_nobody() -> None:
    found = normalise(pa.array(["字" * 50_000, "字" * (MAX_CHARS + 1), "a" * 10_000_000]), TextSettings())
    assert found["text"].null_count == 3
    for name, column in text_measures(found["text"], ALL).items():
        assert column.null_count == 3, name
    assert _calls("字", 10_000_000) <= _calls("字", MAX_CHARS + 1) + 50


def test_a_text_beyond_the_bound_leaves_nothing_for_patterns_to_look_through() -> None:
    kept, _ = text._bounded(pa.array(["a" * 10_000_000, "短"]))
    assert (kept.to_pylist(), kept.nbytes < 100) == ([None, "短"], True)


def test_an_address_is_of_at_most_64_letters_before_its_sign_and_nothing_goes_back_for_more() -> None:
    assert contacts.mask_contact("x" * 100 + "@example.com") == "x" * 36 + contacts.CONTACT_MASK
    assert "{1,64}+" in contacts._EMAIL


@pytest.mark.parametrize("pattern", [contacts._CONTACT, contacts._IDENTITY, contacts._NAMED])
def test_patterns_that_may_go_back_look_at_a_bounded_window(pattern: re.Pattern[str]) -> None:
    widest = max((most for most in _repeats(_parser.parse(pattern.pattern))), default=0)
    assert widest <= 64


def test_a_name_is_looked_for_a_few_words_ahead_however_long_the_text_is() -> None:
    class Counted(list[tuple[str, str]]):
        read = 0

        def __getitem__(self, at: Any) -> Any:
            found = super().__getitem__(at)
            Counted.read += len(found) if isinstance(at, slice) else 1
            return found

    words = Counted([("王", "nr"), ("小", "nr")] * 5_000)
    name_scores.Names(words).begins(0)
    assert Counted.read < 60


def _calls(piece: str, num_chars: int) -> int:
    """Calls of functions, of Python and of C, while one text is normalised and measured."""
    text = (piece * (num_chars // len(piece) + 1))[:num_chars]
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        found = normalise(pa.array([text]), TextSettings(contacts="mask"))
        text_measures(found["text"], ALL)
    finally:
        sys.setprofile(None)
    return counted


def _repeats(parsed: Any) -> Iterator[int]:
    """How often each repeated part of a pattern may stand."""
    for code, given in parsed:
        if code in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            yield int(given[1])
        for part in given if isinstance(given, (list, tuple)) else [given]:
            for inner in part if isinstance(part, list) else [part]:
                if isinstance(inner, _parser.SubPattern):
                    yield from _repeats(inner)
