"""YAML as recipes may use it: what is refused, and whether the message says where."""

from pathlib import Path

import pytest

from pipelines.strict_yaml import MAX_ALIASES, MAX_BYTES, load_yaml
from shards.errors import UsageError

BOMB = "a: &a [x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
MERGE_BOMB = "a: &a {k: 1}\nb: &b {<<: [*a, *a]}\nc: &c {<<: [*b, *b]}\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("name: 字", {"name": "字"}),
        ("\ufeffname: x", {"name": "x"}),
        ("a: &rule zh_chars >= 1\nb: *rule", {"a": "zh_chars >= 1", "b": "zh_chars >= 1"}),
        ("base: &base {x: 1}\nover: {<<: *base, y: 2}", {"base": {"x": 1}, "over": {"y": 2, "x": 1}}),
        ("a: null\nb: ~\nc:", {"a": None, "b": None, "c": None}),
        ("a: 1_000\nb: .inf\nc: yes", {"a": 1000, "b": float("inf"), "c": True}),
    ],
)
def test_yaml_is_read_as_people_write_it(tmp_path: Path, text: str, value: object) -> None:
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    assert load_yaml(tmp_path / "r.yaml") == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "found nothing"),
        (b"# only a comment\n", "found nothing"),
        (b"- a\n- b\n", "found a list"),
        (b"just words", "found only 'just words'"),
        (b"2024-01-01", "expected sections"),
        (b"name: a\nrules: {}\nname: b\n", "at line 3, column 1: key 'name' stands twice"),
        (b"rules:\n  a: x\n  a: y\n", "at line 3, column 3: key 'a' stands twice"),
        (b"1: x\n", "at line 1, column 1: key 1 is not a text"),
        (b"yes: x\n", "key True is not a text"),
        (b"? [a]\n: x\n", "is not a text"),
        (b"a: [1,\nb: 2\n", "at line 3, column 1: while parsing a flow sequence, expected"),
        (b"a: *b\n", "undefined alias"),
        (BOMB.encode(), "at line 2, column 8: alias \\*a stands inside an anchored value"),
        (MERGE_BOMB.encode(), "stands inside an anchored value"),
        (b"a: &a [*a]\n", "stands inside an anchored value"),
        (b"a: &a x\nb: [" + b"*a, " * (MAX_ALIASES + 1) + b"]", f"more than {MAX_ALIASES} aliases"),
        (b"a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        (b"a: \x00\n", "not a readable YAML"),
        (b"a: 2024-05-45\n", "not a readable YAML"),
        (b"a: " + b"9" * 5000, "not a readable YAML"),
        (b"a: " + b"[" * 1000, "nested too deeply"),
        (b"a: b\n---\nc: d\n", "at line 2, column 1: expected a single document"),
        (b"name: \xb9\xe3\xb8\xe6\n", "not UTF-8 at byte 6"),
        (b"#" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_named_with_its_fault(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        load_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "r.yaml").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(UsageError, match="a recipe is a page"):
        load_yaml(tmp_path / "r.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("[a, b]", ["a", "b"]), ("", None), ("a: 1", {"a": 1})])
def test_a_value_on_the_command_line_is_yaml_too(text: str, value: object) -> None:
    assert load_yaml(text, what="--set x") == value


def test_a_value_that_is_no_yaml_names_its_option() -> None:
    with pytest.raises(UsageError, match=r"^--set measures: not a readable YAML at line 1"):
        load_yaml("[a", what="--set measures")
