"""Balance: entries wherever they stand in a caption, counts that the tail decides by, and the odds of a caption."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.balance import EntryMatcher, Matches, entry_probabilities, keep_probabilities, tail_threshold


def held(entries: list[str], texts: list[str | None]) -> list[set[str]]:
    """The entries that each text holds."""
    matches = EntryMatcher(entries).matches(pa.array(texts, pa.string()))
    found: list[set[str]] = [set() for _ in texts]
    for text, entry in zip(matches.texts.tolist(), matches.entries.tolist(), strict=True):
        assert entries[entry] not in found[text]
        found[text].add(entries[entry])
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一部手机壳", {"手机", "部手", "手机壳"}),
        ("手机手机手机", {"手机"}),
        ("PARTY art", {"art", "party"}),
        ("party", {"party"}),
        ("art风格", {"art"}),
        ("3art", set()),
        ("art3", set()),
        ("T恤t恤", {"t恤"}),
        ("白T恤", {"t恤"}),
        ("XT恤", set()),
        ("手 机", set()),
        ("", set()),
        (None, set()),
    ],
)
def test_entries_match_inside_chinese_and_only_whole_latin_words(text: str | None, expected: set[str]) -> None:
    assert held(["手机", "部手", "手机壳", "art", "party", "T恤".lower()], [text]) == [expected]


def test_no_entry_reaches_from_one_text_into_the_next() -> None:
    assert held(["手机"], ["一只手", "机会", None, "手机"]) == [set(), set(), set(), {"手机"}]


def test_no_entry_and_no_text_match_nothing() -> None:
    assert held([], ["手机"]) == [set()]
    assert held(["手机"], []) == []


@given(
    st.lists(st.text("手机壳a", min_size=1, max_size=3), min_size=1, max_size=6, unique=True),
    st.lists(st.text("手机壳a", max_size=8), max_size=6),
)
def test_matches_are_those_of_a_search_for_each_entry(entries: list[str], texts: list[str]) -> None:
    def is_in(entry: str, text: str) -> bool:
        places = [n for n in range(len(text)) if text.startswith(entry, n)]
        padded = f" {text} "
        return any(not (padded[n] == "a" == entry[0] or padded[n + 1 + len(entry)] == "a" == entry[-1]) for n in places)

    assert held(entries, list(texts)) == [{entry for entry in entries if is_in(entry, text)} for text in texts]


@pytest.mark.parametrize(
    ("counts", "tail_share", "expected"),
    [
        ([1, 1, 2, 96], 0.01, 1),  # the two rarest hold 2 % of all
        ([1, 1, 2, 96], 0.02, 2),
        ([1, 1, 2, 96], 0.03999, 2),
        ([1, 1, 2, 96], 0.04, 96),
        ([0, 0, 5, 5], 0.5, 5),
        ([5, 5], 0.99, 5),
        ([0, 0], 0.06, 1),
        ([], 0.06, 1),
    ],
)
def test_the_threshold_leaves_the_tail_its_share(counts: list[int], tail_share: float, expected: int) -> None:
    t = tail_threshold(np.array(counts, np.int64), tail_share)
    assert t == expected
    total = sum(counts)
    assert sum(count for count in counts if count < t) <= tail_share * total


def test_frequent_entries_are_drawn_down_to_the_threshold_and_rare_ones_kept() -> None:
    assert entry_probabilities(np.array([0, 1, 20, 40, 200]), 20).tolist() == [1, 1, 1, 0.5, 0.1]


def test_a_caption_falls_only_if_every_entry_lets_it_go() -> None:
    matches = Matches(np.array([0, 0, 2, 3, 3]), np.array([0, 1, 1, 0, 2]))
    kept = keep_probabilities(matches, np.array([0.5, 0.2, 1.0]), 5)
    assert kept.tolist() == pytest.approx([0.6, 0.0, 0.2, 1.0, 0.0])


def test_without_matches_nothing_is_kept() -> None:
    nothing = EntryMatcher(["手机"]).matches(pa.array([None, "狗"], pa.string()))
    assert keep_probabilities(nothing, np.array([1.0]), 2).tolist() == [0, 0]
