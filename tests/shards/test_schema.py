"""The schema: identities and the order of kinds are public, so they never change."""

import pytest

from shards.schema import FETCHED, RAW_CANDIDATE, REASONS, kind_rank, uid_of
from shards.text_kinds import TEXT_KINDS


@pytest.mark.parametrize(
    ("url", "uid"),
    [
        ("", "cae66941d9efbd404e4d88758ea67670"),
        ("http://example.cn/a.jpg", "5c5e477f2518f41c53a1944ffa6d66b7"),
        ("http://例子.cn/图.jpg", "54d7e0bbfda6b7e5222c16c0e71693e4"),
        ("http://example.cn/\ud800.jpg", "b84522fb617099bd920e875468548bcf"),
    ],
)
def test_a_uid_is_what_b2sum_says_of_the_url(url: str, uid: str) -> None:
    assert uid_of(url) == uid


def test_uids_of_lone_surrogates_differ() -> None:
    assert uid_of("\ud800") != uid_of("\udfff")


def test_kinds_are_ordered_as_listed_and_then_by_name() -> None:
    mixed = ["zebra", "query", "apple", "alt", "", "caption"]
    assert sorted(mixed, key=kind_rank) == ["caption", "alt", "query", "", "apple", "zebra"]
    assert [kind_rank(kind)[0] for kind in TEXT_KINDS] == list(range(len(TEXT_KINDS)))


def test_words_and_columns_stand_once() -> None:
    assert len(set(REASONS)) == len(REASONS)
    for schema in (RAW_CANDIDATE, FETCHED):
        assert len(set(schema.names)) == len(schema.names)
