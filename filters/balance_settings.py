"""The recipe's `balance` section: what is counted by, so that no entry, query, host or category prevails."""

from typing import Annotated, Literal

from pydantic import Field

from shards.settings import Section

JIEBA = "jieba"

First = Literal["uid", "best_score", "query_rank"]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class BalanceSettings(Section):
    """What the measures of balance count by. Which of them decide anything, rules say."""

    words: Name | None = Field(
        default=JIEBA,
        description="A word-frequency list whose words are entries of balance_prob: jieba's dictionary, or a file as "
        "`curate queries --words` reads it; null: none.",
    )
    most_words: int = Field(
        default=100_000, ge=1, le=1_000_000, description="Words taken from that list, the most frequent first."
    )
    entries: list[Name] = Field(
        default=[], max_length=100, description="Files with further entries of balance_prob, one a line."
    )
    tail_share: float = Field(
        default=0.06,
        gt=0.0,
        lt=1.0,
        description="Share of all matches that rare entries hold, which are kept whole; t follows, as in MetaCLIP 2.",
    )
    t: int | None = Field(
        default=None, ge=1, description="Captions that an entry may have before they are drawn; null: by tail_share."
    )
    first: First = Field(
        default="uid",
        description="Who comes first by query, host or category: by uid, which is a draw; the best score; the place "
        "among the query's results. Ties: by uid.",
    )
    category: Literal["category", "keyword_category", "zero_shot_category"] = Field(
        default="category",
        description="What category_rank_kept counts by: what the source says, keywords, or the nearest prompt.",
    )
    keywords: Name | None = Field(
        default=None,
        description="The table of keyword_category: wudaomm, or a file of lines with a category, a tab, its keywords.",
    )
    bad: list[Name] = Field(
        default=[],
        max_length=200,
        description="Drop reasons that speak against a host, rules' or the web's: host_bad_share counts them.",
    )
