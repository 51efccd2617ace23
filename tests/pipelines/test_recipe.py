"""Recipes: all problems in one go, each with its place and what would do; `extends` and `--set`."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe import Recipe, parse_recipe, read_recipe, shipped_recipes
from shards.errors import UsageError
from tests.pipelines.conftest import AGENT

TABLE = {"kind": "table", "layout": "wukong", "paths": ["a.csv"]}
WHOLE = {"name": "x", "source": TABLE}


def problems(**sections: Any) -> list[str]:
    recipe, found = parse_recipe(WHOLE | sections)
    assert (recipe is None) == bool(found)
    return [str(problem) for problem in found]


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"name": 7}, "name: expected a text (got 7)"),
        ({"name": ""}, 'name: expected a text of at least 1 characters (got "")'),
        ({"text": None}, "text: expected a mapping of names to values (got null)"),
        ({"network": ["a"]}, "network: expected a mapping of names to values (got a list)"),
        ({"measures": "sharpness"}, 'measures: expected a list (got "sharpness")'),
        ({"measures": [3]}, "measures.0: expected a text (got 3)"),
        ({"tombstones": [7]}, "tombstones.0: expected a text (got 7)"),
        ({"fetch": {"total_timeout_s": float("nan")}}, "fetch.total_timeout_s: expected a finite number (got NaN)"),
        (
            {"fetch": {"total_timeout_s": float("inf")}},
            "fetch.total_timeout_s: expected a finite number (got Infinity)",
        ),
        ({"fetch": {"retries": -1}}, "fetch.retries: expected at least 0 (got -1)"),
        ({"fetch": {"retries": True}}, "fetch.retries: expected a whole number (got true)"),
        ({"fetch": {"retries": 1.5}}, "fetch.retries: expected a whole number (got 1.5)"),
        ({"fetch": {"max_bytes": "20MB"}}, 'fetch.max_bytes: expected a whole number (got "20MB")'),
        ({"fetch": {"max_bytes": 0}}, "fetch.max_bytes: expected more than 0 (got 0)"),
        ({"image": {"quality": 101}}, "image.quality: expected at most 100 (got 101)"),
        ({"image": {"format": "bmp"}}, "image.format: expected 'jpeg', 'png' or 'webp' (got \"bmp\")"),
        ({"image": {"formats": []}}, "image.formats: expected 1 or more entries (got an empty list)"),
        ({"release": {"caption": 3}}, "release.caption: expected 'best_score', or a list (got 3)"),
        ({"release": {"caption": ["alt", 3]}}, "release.caption.1: expected a text (got 3)"),
        ({"release": {"caption": "worst"}}, "release.caption: expected 'best_score', or a list (got \"worst\")"),
        ({"rules": ["a"]}, "rules: expected a mapping of names to values (got a list)"),
        ({"rules": {"a": 3}}, "rules.a: expected a text (got 3)"),
        ({"rules": {"a": None}}, "rules.a: expected a text (got null)"),
        ({"sorce": {}}, "sorce: unknown key, did you mean source?; known here: balance, crawler,"),
        ({"crawler": {"per_host": {"delay": 3}}}, "crawler.per_host.delay: unknown key, did you mean delay_s?; known"),
        (
            {"crawler": {"hosts": {"*.cn": {"delay": 3}}}},
            "crawler.hosts.*.cn.delay: unknown key, did you mean delay_s?; known here: concurrency, delay_s",
        ),
        ({"crawler": {"user_agent": "bot"}}, "crawler.user_agent: user_agent must name a contact"),
        ({"source": "a.csv"}, 'source: expected a mapping of names to values (got "a.csv")'),
        ({"source": {"paths": ["a"]}}, "source.kind: is required; known: table, warc, crawl"),
        ({"source": {"kind": "tabel"}}, "source.kind: unknown kind 'tabel', did you mean table?; known: table, warc,"),
        ({"source": {"kind": 3}}, "source.kind: unknown kind '3'; known: table, warc, crawl"),
        ({"source": {"kind": "warc"}}, "source: give `paths:`, `paths_file:` or `index:`"),
        (
            {"source": TABLE | {"seeds": []}},
            "source.seeds: unknown key; known here: category, columns, kind, layout, license, limit,",
        ),
        (
            {"source": TABLE | {"layout": "wukon"}},
            "source: unknown layout 'wukon'; known: wukong, zero, wudaomm, wenlan",
        ),
        ({"source": TABLE | {"columns": {"url": "u"}}}, "source: give either `layout:`"),
        (
            {"source": TABLE | {"strength": "medium"}},
            "source.strength: expected 'strong' or 'weak', or a mapping of names to values (got \"medium\")",
        ),
        ({"source": TABLE | {"strength": {"column": 3}}}, "source.strength.column: expected a text (got 3)"),
        ({"source": TABLE | {"category": 3}}, "source.category: expected a text, or a mapping of names to values (got"),
        (
            {"source": {"kind": "crawl", "seeds": ["ftp://a.cn/"]}},
            "source.seeds: no http(s) URL: ftp://a.cn/; expected e.g. https://example.cn/ (got a list)",
        ),
    ],
)
def test_a_problem_is_told_by_its_place_in_the_recipe_s_own_words(sections: dict[str, Any], expected: str) -> None:
    (problem,) = problems(**sections)
    assert problem.startswith(expected)
    assert not any(word in problem for word in ("Input should", "Section", "Settings", "literal[", "ColumnName"))


def test_a_wrong_form_of_a_choice_tells_only_of_the_form_that_was_meant() -> None:
    assert problems(source=TABLE | {"strength": {"colunm": "x"}}) == [
        "source.strength.column: is required",
        "source.strength.colunm: unknown key, did you mean column?; known here: column",
    ]


def test_a_long_value_is_not_repeated_in_full() -> None:
    (problem,) = problems(image={"format": "x" * 1000})
    assert len(problem) < 200
    assert problem.endswith("…)")


def test_missing_sections_are_named() -> None:
    _, found = parse_recipe({})
    assert [str(problem) for problem in found] == ["name: is required", "source: is required"]


def test_a_bare_yaml_flag_is_sql_as_a_rule() -> None:
    recipe, _ = parse_recipe(WHOLE | {"rules": {"all": True, "none": False}})
    assert recipe is not None
    assert recipe.rules == {"all": "true", "none": "false"}


def test_defaults_written_out_make_the_same_recipe() -> None:
    recipe, _ = parse_recipe(WHOLE)
    assert recipe is not None
    again, found = parse_recipe(recipe.model_dump())
    assert found == []
    assert again == recipe


@pytest.mark.parametrize("name", shipped_recipes())
def test_each_shipped_recipe_has_the_right_shape(name: str) -> None:
    _, found = parse_recipe(
        read_recipe(name, [f"crawler.user_agent={AGENT}", "source.paths=[a.csv]"][: name != "demo"])
    )
    assert [problem for problem in found if not problem.place.startswith("source")] == []


def test_every_key_of_a_recipe_is_described_for_editors() -> None:
    schema = Recipe.model_json_schema()
    for section in [schema, *(node for node in schema["$defs"].values() if "properties" in node)]:
        for key, node in section["properties"].items():
            assert node.get("description"), f"{section['title']}.{key}"


class TestExtends:
    @staticmethod
    def write(folder: Path, name: str, text: str) -> str:
        (folder / name).write_text(text, encoding="utf-8")
        return str(folder / name)

    def test_sections_merge_key_by_key_and_rules_keep_the_base_s_order(self, tmp_path: Path) -> None:
        self.write(tmp_path, "base.yaml", "fetch: {retries: 1, max_bytes: 9}\nrules: {a: x, b: y, c: z}\nmeasures: [m]")
        top = self.write(
            tmp_path, "top.yaml", "extends: base.yaml\nfetch: {retries: 2}\nrules: {d: w, b: v, a: null}\nmeasures: [n]"
        )
        mapping = read_recipe(top)
        assert mapping["fetch"] == {"retries": 2, "max_bytes": 9}
        assert list(mapping["rules"].items()) == [("b", "v"), ("c", "z"), ("d", "w")]
        assert mapping["measures"] == ["n"]
        assert "extends" not in mapping

    def test_a_source_that_names_its_kind_replaces_the_base_s(self, tmp_path: Path) -> None:
        self.write(tmp_path, "base.yaml", "source: {kind: table, layout: wukong, paths: [a]}")
        top = self.write(tmp_path, "top.yaml", "extends: base.yaml\nsource: {kind: warc, paths: [b]}")
        assert read_recipe(top)["source"] == {"kind": "warc", "paths": ["b"]}
        top = self.write(tmp_path, "top.yaml", "extends: base.yaml\nsource: {paths: [b]}")
        assert read_recipe(top)["source"] == {"kind": "table", "layout": "wukong", "paths": ["b"]}

    def test_a_shipped_recipe_is_a_base_by_its_name(self, tmp_path: Path) -> None:
        top = self.write(tmp_path, "top.yaml", "extends: demo\nname: mine\nrules: {too_small: min_side > 50}")
        mapping = read_recipe(top)
        assert mapping["name"] == "mine"
        assert list(mapping["rules"]) == list(read_recipe("demo")["rules"])
        assert mapping["rules"]["too_small"] == "min_side > 50"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("extends: top.yaml", "comes back to itself"),
            ("extends: between.yaml", "comes back to itself"),
            ("extends: nowhere.yaml", r"recipe nowhere.yaml: no such file, nor a shipped recipe \(.*demo.*\)"),
            ("extends: [demo]", "expected the name of a recipe, got list"),
        ],
    )
    def test_a_base_that_is_none_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        self.write(tmp_path, "between.yaml", "extends: top.yaml")
        with pytest.raises(UsageError, match=message):
            read_recipe(self.write(tmp_path, "top.yaml", text))

    def test_a_base_s_duplicate_key_is_told_with_the_base_s_name(self, tmp_path: Path) -> None:
        self.write(tmp_path, "base.yaml", "name: a\nname: b\n")
        with pytest.raises(UsageError, match=r"base.yaml: .*line 2.*stands twice"):
            read_recipe(self.write(tmp_path, "top.yaml", "extends: base.yaml"))


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "place", "value"),
        [
            ("name=y", ["name"], "y"),
            ("fetch.retries=7", ["fetch", "retries"], 7),
            ("fetch.max_bytes = 9", ["fetch", "max_bytes"], 9),
            ("score=null", ["score"], None),
            ("release.caption=[alt, title]", ["release", "caption"], ["alt", "title"]),
            ("crawler.hosts={'*.a.cn': {delay_s: 2}}", ["crawler", "hosts"], {"*.a.cn": {"delay_s": 2}}),
            ("rules.a=min_side > 256", ["rules", "a"], "min_side > 256"),
            ("rules.b=text = 'a: b'", ["rules", "b"], "text = 'a: b'"),
            ("rules.b=true", ["rules", "b"], "true"),
            ("rules={}", ["rules"], {}),
            ("name=a=b", ["name"], "a=b"),
        ],
    )
    def test_a_value_lands_at_its_place(self, tmp_path: Path, override: str, place: list[str], value: object) -> None:
        (tmp_path / "r.yaml").write_text("name: x\nfetch: {retries: 1}\nrules: {a: y}\n")
        found: Any = read_recipe(str(tmp_path / "r.yaml"), [override])
        for key in place:
            found = found[key]
        assert found == value

    @pytest.mark.parametrize("text", ["rules.a=", "rules.a=null", "rules.a= null "])
    def test_a_rule_without_an_expression_goes(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "r.yaml").write_text("rules: {a: x, b: y}\n")
        assert read_recipe(str(tmp_path / "r.yaml"), [text])["rules"] == {"b": "y"}

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("name", r"--set name: expected PLACE=VALUE, as in"),
            ("=x", "expected PLACE=VALUE"),
            ("fetch..retries=1", "is no dotted place"),
            (".name=1", "is no dotted place"),
            ("name.first=1", "name is not a section"),
            ("rules.a.b=1", "a is not a section"),
            ("measures=[a", "--set measures: not a readable YAML"),
            ("name=2024-05-45", "--set name: not a readable YAML"),
        ],
    )
    def test_an_override_that_cannot_be_one_is_named(self, tmp_path: Path, override: str, message: str) -> None:
        (tmp_path / "r.yaml").write_text("name: x\nrules: {a: y}\n")
        with pytest.raises(UsageError, match=message):
            read_recipe(str(tmp_path / "r.yaml"), [override])


@pytest.mark.parametrize("name", ["none.yaml", "", ".", "/", "name: x\nsource: {}\n" * 100])
def test_a_recipe_that_is_no_file_names_the_shipped_ones(name: str) -> None:
    with pytest.raises(UsageError, match=r"no such file, nor a shipped recipe \(.*demo"):
        read_recipe(name)
