"""Words become queries: by frequency, part of speech, length and script, the same ones every time."""

import random
from pathlib import Path

import pytest

from crawler.search import query_words
from crawler.search.query_words import (
    LinesRead,
    Word,
    WordChoice,
    choose_words,
    jieba_dictionary,
    query_list,
    read_words,
    with_tags_of_jieba,
)
from shards.errors import BadInputError

THUOCL = Path(__file__).parents[3].parent / "shared" / "data" / "text" / "THUOCL"
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
        ("上海\t9\r西湖\t3\r", [Word("上海", 9, ""), Word("西湖", 3, "")]),
    ],
)
def test_lists_of_words_are_read(tmp_path: Path, data: str, expected: list[Word]) -> None:
    path = tmp_path / "w.txt"
    path.write_bytes(data.encode())
    assert list(read_words(str(path))) == expected


@pytest.mark.parametrize("line", ["上海", "上海 many", "上海 nan", "上海 -1", "上海 inf"])
def test_a_line_without_a_frequency_is_left_out_and_counted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "w.txt"
    path.write_text(f"西湖 3 n\n{line}\n", encoding="utf-8")
    lines = LinesRead()
    assert list(read_words(str(path), lines)) == [Word("西湖", 3, "n")]
    assert lines == LinesRead(1, 1, f"line 2 is {line!r}")


@pytest.mark.parametrize("data", ["西湖 3 n\n上海\n杭州\n", "一\n" * 1_000_000])
def test_a_list_that_holds_no_frequencies_is_told(tmp_path: Path, data: str) -> None:
    path = tmp_path / "w.txt"
    path.write_text(data, encoding="utf-8")
    with pytest.raises(BadInputError, match="line 2 is"):
        list(read_words(str(path)))


def test_words_without_tags_get_those_of_jieba() -> None:
    words = [Word("西湖", 3, ""), Word("吃饭", 2, ""), Word("不在词典里的词", 1, "")]
    assert [word.tag for word in with_tags_of_jieba(words)] == ["ns", "v", ""]


def test_real_lists_are_read_with_their_faults() -> None:
    if not THUOCL.exists():
        pytest.skip("no shared test material beside the project")
    left_out = {}
    for path in sorted(THUOCL.glob("*.txt")):
        lines = LinesRead()
        assert len(list(read_words(str(path), lines))) > 1000
        left_out[path.stem.removeprefix("THUOCL_")] = lines.num_left_out
    assert len(left_out) == 11
    assert {name: number for name, number in left_out.items() if number} == {"diming": 2, "food": 1, "law": 1}


def test_jieba_s_dictionary_is_read_whole() -> None:
    words = list(read_words(jieba_dictionary()))
    assert len(words) > 300_000
    chosen = choose_words(words, WordChoice(top=5))
    assert [word.frequency for word in chosen] == sorted((word.frequency for word in chosen), reverse=True)
    assert query_list(chosen).count("\n") == 6
