"""`curate queries`, and that a search source reads what it writes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crawler.search.queries import read_queries
from pipelines.cli import app


def call(*arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, ["queries", *arguments])
    return ended.exit_code, ended.output


def test_the_same_words_give_the_same_list_and_a_search_reads_it(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    for path in paths:
        assert call("--top", "500", "-o", str(path)) == (0, f"500 queries in {path}\n")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_text(encoding="utf-8").startswith("query\tfrequency\ttag\n")
    queries = read_queries(str(paths[0]))
    assert len(queries) == 500
    assert queries[0].line == 2


def test_a_list_of_one_s_own_without_tags_is_taken_as_it_is(tmp_path: Path) -> None:
    words, stop = tmp_path / "w.tsv", tmp_path / "stop.txt"
    words.write_text("word\tcount\n西湖\t5\n断桥\t7\n的确\t9\n", encoding="utf-8")
    stop.write_text("的确\n", encoding="utf-8")
    expected = "query\tfrequency\ttag\n断桥\t7\t\n西湖\t5\t\n"
    assert call("--words", str(words), "--stop", str(stop)) == (0, expected)


def test_parts_of_speech_are_those_of_jieba_where_a_list_has_none(tmp_path: Path) -> None:
    words = tmp_path / "w.tsv"
    words.write_text("西湖\t5\n吃饭\t7\n断桥\t9x\n", encoding="utf-8")
    expected = "query\tfrequency\ttag\n西湖\t5\tns\n1 of 3 lines left out: line 3 is '断桥\\t9x'\n"
    assert call("--words", str(words), "--tags", "n,ns") == (0, expected)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--tags", "xx"], 2, "no word is left"),
        (["--min-chars", "5", "--max-chars", "2"], 2, "--min-chars 5 is more than --max-chars 2"),
        (["--words", "missing.txt"], 65, "missing.txt"),
        (["--top", "0"], 2, ""),
        (["-o", "no/such/folder/q.tsv", "--top", "5"], 2, "a folder that is there"),
    ],
)
def test_mistakes_are_told(arguments: list[str], code: int, told: str) -> None:
    ended = call(*arguments)
    assert ended[0] == code
    assert told in ended[1]
