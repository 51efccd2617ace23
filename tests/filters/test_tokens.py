"""Tokens of captions: counted as BERT's basic tokenizer cuts them, different ones in bounded memory."""

import pyarrow as pa
import pytest

from filters.characters import TextColumn
from filters.tokens import DifferentTokens, characters_of, tokens_of


@pytest.mark.parametrize(
    ("text", "tokens", "characters"),
    [
        ("湖畔的古塔", 5, 5),
        ("iPhone 15手机壳", 5, 11),
        ("你好，世界！", 6, 6),
        ("A-B", 3, 3),
        ("  ", 0, 0),
        ("", 0, 0),
        (None, 0, 0),
        ("カメラ 相机", 3, 5),
        ("1.5米", 4, 4),
    ],
)
def test_a_han_character_and_a_sign_are_tokens_and_so_is_a_run_of_others(
    text: str | None, tokens: int, characters: int
) -> None:
    column = TextColumn(pa.array([text], pa.string()))
    assert (tokens_of(column).tolist(), characters_of(column).tolist()) == ([tokens], [characters])


def test_a_run_ends_with_its_text() -> None:
    column = TextColumn(pa.array(["abc", "def", None, "", "古塔x", "y"]))
    assert tokens_of(column).tolist() == [1, 1, 0, 0, 3, 1]
    different = DifferentTokens()
    different.add(column)
    assert (different.tokens, different.characters, different.is_exact) == (6, 10, True)


def test_tokens_met_again_are_not_counted_again() -> None:
    different = DifferentTokens()
    for texts in (["古塔 photo 1"], ["photo 古塔", "古 2"]):
        different.add(TextColumn(pa.array(texts)))
    assert (different.tokens, different.characters) == (5, 8)


def test_beyond_its_bound_it_estimates_whatever_the_order() -> None:
    words = [f"word{number}" for number in range(20_000)]
    estimates = set()
    for batch in (words, words[::-1]):
        different = DifferentTokens(most_hashes=1024)
        for start in range(0, len(batch), 700):
            different.add(TextColumn(pa.array(batch[start : start + 700])))
        assert not different.is_exact
        estimates.add(different.tokens)
    (estimate,) = estimates
    assert abs(estimate / 20_000 - 1) < 0.1
