"""Hard negatives: texts of other images, groups and words, of the same stratum where there are any, each once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evaluation_sets.hard_negatives import Negative, PairedText, hard_negatives, normal_text


def paired(
    number: int, text: str, stratum: str = "", group: str | None = None, score: float | None = None, also: str = ""
) -> PairedText:
    groups = frozenset([group] if group else [f"sha {number}"])
    texts = frozenset(map(normal_text, filter(None, (text, also))))
    return PairedText(f"{number:032x}", text, stratum, groups, texts, score)


def wrong(pairs: list[PairedText], negatives: list[Negative]) -> list[Negative]:
    """Those that are no negatives."""
    return [
        negative
        for negative in negatives
        if pairs[negative.image].uid == pairs[negative.text].uid
        or pairs[negative.image].groups & pairs[negative.text].groups
        or normal_text(pairs[negative.text].text) in pairs[negative.image].texts
    ]


PAIRS = st.lists(
    st.tuples(st.sampled_from("甲乙丙丁"), st.sampled_from("ab"), st.sampled_from([None, "g", "h"]), st.floats(0, 1)),
    max_size=40,
)


@given(PAIRS, st.integers(0, 3))
def test_no_image_gets_a_text_of_its_own_group_or_words(
    drawn: list[tuple[str, str, str | None, float]], seed: int
) -> None:
    pairs = [paired(number, *entry) for number, entry in enumerate(drawn)]
    negatives = hard_negatives(pairs, seed)
    assert wrong(pairs, negatives) == []
    assert [negative.image for negative in negatives] == sorted({negative.image for negative in negatives})
    once = [negative.text for negative in negatives if negative.nearness != "any"]
    assert len(once) == len(set(once))
    served = {negative.image for negative in negatives}
    possible = {
        image
        for image in range(len(pairs))
        if any(not wrong(pairs, [Negative(image, text, "")]) for text in range(len(pairs)) if text != image)
    }
    assert served == possible
    for negative in negatives:
        if negative.nearness == "stratum":
            assert pairs[negative.image].stratum == pairs[negative.text].stratum
    assert hard_negatives(pairs, seed) == negatives


def test_where_texts_differ_every_stratum_exchanges_them_whole() -> None:
    pairs = [paired(number, f"第{number}张", "ab"[number % 2]) for number in range(101)]
    negatives = hard_negatives(pairs, 0)
    assert {negative.nearness for negative in negatives} == {"stratum"}
    assert sorted(negative.text for negative in negatives) == list(range(101))
    assert hard_negatives(pairs, 1) != negatives


def test_who_is_alone_in_its_stratum_gets_the_text_of_the_nearest_score() -> None:
    scores = [0.1, 0.9, 0.12, 0.88]
    pairs = [paired(number, f"第{number}张", f"s{number}", None, score) for number, score in enumerate(scores)]
    negatives = hard_negatives(pairs, 0)
    assert {negative.nearness for negative in negatives} == {"score"}
    assert sorted(negative.text for negative in negatives) == [0, 1, 2, 3]


def test_the_last_one_changes_with_another_rather_than_go_without() -> None:
    pairs = [paired(1, "甲"), paired(2, "乙"), paired(3, "甲"), paired(4, "乙"), paired(5, "丙")]
    negatives = hard_negatives(pairs, 0)
    assert len(negatives) == 5
    assert sorted(negative.text for negative in negatives) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("one", "other"), [("山水", "山 水"), ("ＡＢＣ", "abc"), ("Ⅳ", "iv"), ("猫\u3000狗", "猫狗\n")]
)
def test_texts_that_a_reader_takes_for_the_same_are_no_negatives(one: str, other: str) -> None:
    assert hard_negatives([paired(1, one), paired(2, other)], 0) == []


def test_another_text_of_the_image_is_no_negative() -> None:
    assert len(hard_negatives([paired(1, "猫", also="一只猫"), paired(2, "一只猫")], 0)) == 1


def test_many_alike_take_no_quadratic_time() -> None:
    pairs = [paired(number, "都一样", "ab"[number % 2], None, 0.5) for number in range(3_000)]
    assert hard_negatives(pairs, 0) == []
