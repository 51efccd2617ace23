"""The report as a file: nothing from outside is obeyed, no script, no network, the same bytes from the same numbers."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml

from filters.rules import place_rules
from pipelines.about.card import render_card
from pipelines.recipe import Recipe, parse_recipe
from pipelines.report.page import render_report
from pipelines.report.pictures import Picture
from pipelines.report.samples import Border, Card, Sheet, Sheets

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE rows; --",
    "{{ 7 * 7 }}",
    "</style><style>*{display:none}",
    "<!-- ",
    "&lt;b&gt;",
    "\u202egnp.exe\u2066",
    "\x1b[2J\x1b[31mred",
    "a|b`c``d```\n# heading",
    "[link](javascript:alert(1))",
)


def recipe_called(name: str) -> Recipe:
    recipe, problems = parse_recipe(
        {
            "name": name,
            "source": {"kind": "table", "paths": ["*.csv"], "layout": "wukong"},
            "rules": {"boilerplate": "not regexp_matches(text, '</code><script>```|')", "too_small": "min_side > 200"},
        }
    )
    assert recipe is not None, problems
    return recipe


def numbers(foreign: str = "a.cn") -> dict[str, Any]:
    spread = {
        "n": 3,
        "least": 100.0,
        "greatest": 400.0,
        "quartiles": [100.0, 300.0, 400.0],
        "scale": "linear",
        "edges": [100.0, 250.0, 400.0],
        "histogram": [[0, "cut", 1], [1, "kept", 2]],
    }
    return {
        "name": foreign,
        "candidates": 5,
        "merged": 1,
        "samples": 4,
        "kept": 2,
        "dropped": 2,
        "shards": 1,
        "num_hosts": 30,
        "drops": [
            {"stage": "fetch", "reason": "http_status", "samples": 1},
            {"stage": "fetch", "reason": "too_small", "samples": 1},
        ],
        "text_drops": [{"reason": "boilerplate", "texts": 7}],
        "text_kinds": [{"kind": foreign, "texts": 3, "standing": 2, "captions": 2}],
        "hosts": [{"host": foreign, "samples": 3, "kept": 2}, {"host": None, "samples": 1, "kept": 0}],
        "measures": {"min_side": spread, "entropy": None},
        "overlaps": [
            {"a": "boilerplate", "b": "boilerplate", "samples": 1},
            {"a": "boilerplate", "b": "too_small", "samples": 1},
            {"a": "too_small", "b": "too_small", "samples": 1},
        ],
        "status_codes": [{"code": 404, "samples": 1}],
        "kinds_an_image": [{"kinds": 1, "samples": 2}],
        "group_sizes": [{"from_size": 5, "groups": 1, "samples": 7, "kept": 1}],
        "queries": [{"query": foreign, "samples": 3, "kept": 2}],
        "num_queries": 1,
        "categories": [{"category": foreign, "samples": 3, "kept": 2}],
        "num_categories": 1,
        "words": {"language": [{"value": foreign, "samples": 3, "kept": 2}]},
        "captions": captions(foreign),
        "splits": {},
        "subsets": {},
    }


def captions(foreign: str) -> dict[str, Any]:
    lengths = {"n": 2, "mean": 5.5, "std": 0.5, "median": 5, "least": 5, "greatest": 6, "quartiles": [5, 5, 6]}
    spread = {**lengths, "scale": "each", "edges": [4.5, 5.5, 6.5], "histogram": [[0, "kept", 1], [1, "kept", 1]]}
    return {
        "captions": 2,
        "different_characters": 9,
        "different_tokens": 8,
        "different_tokens_exact": True,
        "characters": spread,
        "tokens": spread,
        "scripts": {"mostly_han": 1, "some_han": 1, "no_han": 0},
        "categories": {foreign: {"characters": lengths, "tokens": lengths}},
    }


def sheets_of(foreign: str) -> Sheets:
    """Cards with a caption from outside, with and without a picture; their uids are ours."""
    picture = Picture(base64.b64encode(b"\xff\xd8").decode(), 144, 96)
    cards = (Card("0" * 32, foreign, "min_side 201", picture), Card("1" * 32, foreign, "", None))
    border = Border("too_small", "min_side > 200", cards, cards[1:])
    return Sheets(cards, (Sheet("too_small", "min_side > 200", 1, cards),), (border,), "")


def page_of(name: str = "my-photos", has_sheets: bool = False) -> str:
    recipe = recipe_called(name)
    rules, _ = place_rules(recipe.rules)
    return render_report(rules, numbers(name), sheets_of(name) if has_sheets else None)


def card_of(name: str = "my-photos") -> str:
    recipe = recipe_called(name)
    rules, _ = place_rules(recipe.rules)
    return render_card(recipe, rules, numbers(name))


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def visible(text: str) -> str:
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


@pytest.mark.parametrize("foreign", HOSTILE)
def test_what_comes_from_outside_shows_as_text(foreign: str) -> None:
    plain, hostile = Elements(page_of()), Elements(page_of(foreign))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    # title, heading, kind, word, host, query, and the category twice
    assert hostile.text.count(visible(foreign)) == 8


@pytest.mark.parametrize("foreign", [*HOSTILE, "javascript:alert(1)", "data:text/html,<script>"])
def test_captions_beside_pictures_show_as_text(foreign: str) -> None:
    plain, hostile = Elements(page_of(has_sheets=True)), Elements(page_of(foreign, has_sheets=True))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    assert hostile.text.count(visible(foreign)) == 8 + 7
    sources = {attributes.get("src", "") for tag, attributes in hostile.found if tag == "img"}
    assert sources == {"data:image/jpeg;base64,/9g="}
    assert {tag for tag, _ in hostile.found}.isdisjoint({"script", "a", "iframe", "object", "form", "base", "link"})


def test_a_page_with_pictures_may_show_those_within_it_and_nothing_else() -> None:
    assert "default-src 'none'; img-src data:; style-src 'sha256-" in page_of(has_sheets=True)
    assert "<img" not in page_of()
    assert "curate report RUN" in page_of()


@pytest.mark.parametrize("foreign", HOSTILE)
def test_nothing_in_the_page_turns_direction_or_steers_a_terminal(foreign: str) -> None:
    for text in (page_of(foreign), page_of(foreign, has_sheets=True), card_of(foreign)):
        assert [letter for letter in text if not letter.isprintable() and letter != "\n"] == []


@pytest.mark.parametrize("foreign", HOSTILE)
def test_the_card_is_markdown_with_front_matter_and_no_markup_of_others(foreign: str) -> None:
    card = card_of(foreign)
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == foreign
    prose = re.sub(r"^(`{3,}).*?^\1$", "", body, flags=re.MULTILINE | re.DOTALL)
    assert "<script" not in prose
    assert "<img" not in prose
    assert prose.count("\n# ") == 1
    assert not re.search(r"(?<!\\)\]\(javascript", prose)


def test_a_fence_in_a_rule_does_not_end_the_cards_block() -> None:
    assert "\n````yaml\nrules:\n" in card_of()
    assert card_of().count("\n````\n") == 1


def test_the_policy_allows_this_style_and_nothing_else() -> None:
    page = page_of()
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policies = [a["content"] for tag, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_page_has_no_script_no_inline_style_and_asks_for_nothing() -> None:
    elements = Elements(page_of()).found
    assert {tag for tag, _ in elements}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "a", "base"})
    attributes = {name for _, found in elements for name in found}
    assert attributes.isdisjoint({"style", "src", "href", "action"})
    assert [name for name in attributes if name.startswith("on")] == []
    assert "url(" not in page_of()
    assert "@import" not in page_of()


def test_every_rule_is_listed_with_what_it_cost_and_its_threshold_is_drawn() -> None:
    text = re.sub(r"\s+", " ", Elements(page_of()).text)
    assert "too_smallfetchmin_side > 2001" in text
    assert "'</code><script>```|')70" in text
    assert page_of().count("<line ") == 1
    assert "5 – 917" in text  # images in a group, and the groups
    assert "404 × 1" in text
    assert "1 boilerplate11 2 too_small11" in text
    assert "all 全部25.5 ± 0.5" in text
    assert "The 2 largest of 30." in text


def test_each_category_has_its_row_of_the_table_and_its_texts_by_kind() -> None:
    many = numbers("x")
    many |= {"categories_by": "keyword_category", "category_texts": {"x": {"x": 2, "alt": 1}}}
    many["text_kinds"] = [*many["text_kinds"], {"kind": "alt", "texts": 1, "standing": 1, "captions": 0}]
    many["captions"]["categories"]["x"] |= {"different_tokens": 4321, "different_tokens_exact": False}
    text = " ".join(Elements(render_report([], many).replace("<t", " <t")).text.split())
    assert "keyword_category" in text
    assert "x 2 5.5 ± 0.5 5 ≈ 4,321 1.50 5.5 ± 0.5 5" in text
    assert "texts an image 每图文本数 x alt x 1.00 0.50" in text


def test_a_release_of_nothing_has_a_page_and_a_card() -> None:
    recipe = recipe_called("empty")
    nothing = {**numbers(), "candidates": 0, "merged": 0, "samples": 0, "kept": 0, "dropped": 0, "shards": 0}
    nothing |= {"drops": [], "text_drops": [], "text_kinds": [], "hosts": [], "measures": {}, "num_hosts": 0}
    nothing |= {"overlaps": [], "status_codes": [], "kinds_an_image": [], "group_sizes": [], "words": {}}
    nothing |= {"queries": [], "num_queries": 0, "categories": [], "num_categories": 0}
    nothing["captions"] |= {"captions": 0, "characters": None, "tokens": None, "categories": {}}
    nothing["captions"] |= {"scripts": {"mostly_han": 0, "some_han": 0, "no_han": 0}}
    assert "Nothing fell." in render_report([], nothing)
    assert "import webdataset" not in render_card(recipe, [], nothing)
