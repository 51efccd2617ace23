"""Words become queries: by frequency, part of speech, length and script, the same ones every time."""

import random
from pathlib import Path

import pytest

from crawler.search import query_words
from crawler.search.query_words import Word, WordChoice, choose_words, jieba_dictionary, query_list, read_words
from shards.errors import BadInputError

WORDS = [
    Word("湖泊", 50, "n"),
    Word("上海", 90, "ns"),
    Word("因为", 900, "c"),
    Word("李白", 80, "nr"),
    Word("湖", 70, "n"),
    Word("B超", 60, "n"),
    Word("ABC", 60, "n"),
    Word("日出", 50, "vn"),
    Word("日出", 10, "n"),
]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (WordChoice(), ["上海", "B超", "日出", "湖泊"]),
        (WordChoice(top=2), ["上海", "B超"]),
        (WordChoice(tags=()), ["因为", "上海", "李白", "B超", "日出", "湖泊"]),
        (WordChoice(tags=("n*",)), ["上海", "李白", "B超", "湖泊", "日出"]),
        (WordChoice(tags=("n",), min_chars=1), ["湖", "B超", "湖泊", "日出"]),
        (WordChoice(tags=("n",), any_script=True), ["ABC", "B超", "湖泊", "日出"]),
        (WordChoice(stop=frozenset({"上海"}), max_chars=2), ["B超", "日出", "湖泊"]),
        (WordChoice(tags=("x",)), []),
    ],
)
def test_words_are_chosen(choice: WordChoice, expected: list[str]) -> None:
    assert [word.text for word in choose_words(WORDS, choice)] == expected


def test_the_choice_does_not_depend_on_the_order_nor_on_how_much_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [Word(f"词{number}", number % 50, "n") for number in range(1000)] + WORDS
    expected = choose_words(words, WordChoice(top=100))
    monkeypatch.setattr(query_words, "_BATCH", 7)
    for seed in range(3):
        random.Random(seed).shuffle(words)
        assert choose_words(words, WordChoice(top=100)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("AT&T 3 nz\n上海 9 ns\n", [Word("AT&T", 3, "nz"), Word("上海", 9, "ns")]),
        ("word\tcount\n西 湖\t1.5\n", [Word("西 湖", 1.5, "")]),
        ("上海\t9\tns\textra\r\n\n", [Word("上海", 9, "ns")]),
        ("\ufeff上海 9", [Word("上海", 9, "")]),
    ],
)
def test_lists_of_words_are_read(tmp_path: Path, data: str, expected: list[Word]) -> None:
    path = tmp_path / "w.txt"
    path.write_bytes(data.encode())
    assert list(read_words(str(path))) == expected


@pytest.mark.parametrize("line", ["上海", "上海 many", "上海 nan", "上海 -1", "上海 inf"])
def test_a_line_without_a_frequency_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "w.txt"
    path.write_text(f"西湖 3 n\n{line}\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="line 2 is"):
        list(read_words(str(path)))


def test_jieba_s_dictionary_is_read_whole() -> None:
    words = list(read_words(jieba_dictionary()))
    assert len(words) > 300_000
    chosen = choose_words(words, WordChoice(top=5))
    assert [word.frequency for word in chosen] == sorted((word.frequency for word in chosen), reverse=True)
    assert query_list(chosen).count("\n") == 6
