"""The files that a recipe's `text` section names: each fault is told with its place before anything runs."""

from pathlib import Path

import pytest

from filters.settings import TextSettings
from pipelines.flow.text_lists import text_facts, text_list_problems


def settings_with(*paths: Path, name: str = "ads") -> TextSettings:
    return TextSettings.model_validate({name: [str(path) for path in paths]})


def test_files_that_say_something_are_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# comment\n包邮\n", encoding="utf-8")
    assert text_list_problems(settings_with(path)) == []
    assert text_list_problems(TextSettings()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (b"", "holds no line"),
        (b"# only a comment\n\n", "holds no line"),
        ("包邮".encode("gb18030"), "is not UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["ads", "sensitive", "boilerplate"])
def test_a_file_that_cannot_serve_is_told_with_its_place(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("包邮\n", encoding="utf-8")
    if content is not None:
        bad.write_bytes(content)
    problems = text_list_problems(settings_with(good, bad, name=name))
    assert [problem.place for problem in problems] == [f"text.{name}.1"]
    assert said in problems[0].message
    assert str(bad) in problems[0].message
    assert "expected" in problems[0].message


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    settings = TextSettings.model_validate(
        {"ads": [str(tmp_path / "a")], "sensitive": [str(tmp_path)], "vocabulary": str(tmp_path / "v")}
    )
    places = [problem.place for problem in text_list_problems(settings)]
    assert sorted(places) == ["text.ads.0", "text.sensitive.0", "text.vocabulary"]


def test_what_decides_is_what_files_hold_not_where_they_lie(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt", "c.txt")]
    for path, word in zip(paths, ("包邮", "包邮", "特价"), strict=True):
        path.write_text(word, encoding="utf-8")
    one, same, other = (text_facts(settings_with(path)) for path in paths)
    assert one == same
    assert one != other
