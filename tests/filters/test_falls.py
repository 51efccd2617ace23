"""Which text's reason an image falls for, where several stood equally long."""

import random

import pyarrow as pa

from filters.falls import fell_by_texts
from filters.rules import RuleEngine
from shards.text_kinds import TEXT_KINDS


def fallen(kinds: list[str | None]) -> pa.Table:
    """One image whose texts of these kinds all fell at the same rule."""
    rules, problems = RuleEngine().place({"no_zh": "zh_chars >= 1"})
    assert problems == []
    num_rows = len(kinds)
    return fell_by_texts(
        pa.table(
            {
                "uid": ["0"] * num_rows,
                "kind": pa.array(kinds, pa.string()),
                "drop_reason": ["no_zh"] * num_rows,
                "failed_rules": [["no_zh"]] * num_rows,
            }
        ),
        rules,
    )


def test_of_texts_that_stood_equally_long_the_best_kind_decides() -> None:
    left: list[str | None] = [*TEXT_KINDS, "apple", "zebra"]
    for best in (*TEXT_KINDS, "apple", "zebra"):
        mixed = random.Random(best).sample(left, len(left))
        assert mixed[fallen(mixed)["decider"][0].as_py()] == best
        left.remove(best)


def test_of_texts_of_one_kind_the_first_decides() -> None:
    assert fallen(["query", "alt", "alt"])["decider"].to_pylist() == [1]


def test_a_text_without_a_kind_comes_after_the_listed_kinds() -> None:
    assert fallen([None, "zebra", "query"])["decider"].to_pylist() == [2]
    assert fallen(["zebra", None])["decider"].to_pylist() == [1]
