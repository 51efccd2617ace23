"""What a recipe's `source:` may say."""

import pytest
from pydantic import TypeAdapter, ValidationError

from crawler.sources import Source, TableSource
from shards.layouts import LAYOUTS

SOURCE: TypeAdapter[Source] = TypeAdapter(Source)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "table", "paths": ["a.csv"], "layout": "wukong"},
        {"kind": "table", "paths": ["a.csv"], "columns": {"url": "u"}, "category": {"column": "c"}},
        {"kind": "warc", "paths": ["a.warc.gz"]},
        {"kind": "crawl", "seeds": ["https://example.cn/"], "rounds": 1},
        {"kind": "search", "queries": "q.txt", "endpoint": "openverse", "per_query": 100},
        {"kind": "shards", "paths": ["*.tar"]},
    ],
)
def test_sources_are_told_apart_by_kind(given: dict[str, object]) -> None:
    assert SOURCE.validate_python(given).kind == given["kind"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kind": "search", "queries": "q.txt"}, "endpoint"),
        ({"kind": "searches", "queries": "q.txt"}, "kind"),
        ({"kind": "shards", "paths": []}, "paths"),
        ({"kind": "shards", "paths": ["a.tar"], "strength": "medium"}, "strength"),
        ({"kind": "table", "paths": ["a.csv"]}, "layout"),
        ({"kind": "table", "paths": ["a.csv"], "layout": "wukong", "columns": {"url": "u"}}, "layout"),
        ({"kind": "table", "paths": ["a.csv"], "layout": "wukung"}, "known: wukong"),
        ({"kind": "table", "paths": ["a.tsv"], "layout": "chinese-clip"}, "kind: shards, layout: chinese-clip"),
        ({"kind": "table", "paths": ["a.tar"], "layout": "webdataset"}, "kind: shards, layout: webdataset"),
        ({"kind": "table", "paths": ["a.jsonl"], "layout": "zero", "text_kind": "alt"}, "leave `text_kind:` out"),
        ({"kind": "table", "paths": [], "layout": "wukong"}, "paths"),
        ({"kind": "table", "paths": ["a.csv"], "layout": "wukong", "strength": "medium"}, "strength"),
        ({"kind": "crawl", "seeds": ["https://example.cn/"], "rounds": 0}, "rounds"),
        ({"kind": "crawl", "seeds": ["https://example.cn/"], "max_depht": 1}, "max_depht"),
        ({"kind": "crawl", "seeds": ["ftp://example.cn/"]}, "seeds"),
    ],
)
def test_a_wrong_source_names_what_is_wrong(given: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        SOURCE.validate_python(given)


def test_layouts_fill_in_columns_kind_and_strength() -> None:
    resolved = TableSource(kind="table", paths=["x"], layout="laion").resolved()
    assert resolved.columns == {"url": "URL", "text": "TEXT"}
    assert (resolved.kind, resolved.constants) == ("alt", {"source": "laion", "strength": "weak"})


def test_what_the_recipe_says_overrides_the_layout() -> None:
    source = TableSource.model_validate(
        {
            "kind": "table",
            "paths": ["x"],
            "layout": "wukong",
            "text_kind": "alt",
            "strength": {"column": "s"},
            "license": "CC0",
        }
    )
    resolved = source.resolved()
    assert resolved.columns == {"url": "url", "text": "caption", "strength": "s"}
    assert (resolved.kind, resolved.constants) == ("alt", {"source": "wukong", "license": "CC0"})


def test_every_layout_has_a_text() -> None:
    assert all(layout.columns.text or layout.holds_several_texts for layout in LAYOUTS.values())


@pytest.mark.parametrize("layout", ["datacomp", "img2dataset"])
def test_layouts_with_a_hash_of_the_bytes_bring_it(layout: str) -> None:
    columns = TableSource(kind="table", paths=["x"], layout=layout).resolved().columns
    assert columns["expected_sha256"] == "sha256"


def test_a_column_of_hashes_is_named_like_any_other() -> None:
    source = TableSource.model_validate({"kind": "table", "paths": ["x"], "columns": {"url": "u", "sha256": "h"}})
    assert source.resolved().columns == {"url": "u", "expected_sha256": "h"}
    assert "expected_sha256" not in TableSource(kind="table", paths=["x"], layout="laion").resolved().columns


def test_taisu_s_list_of_urls_reads_as_weak_captions() -> None:
    resolved = TableSource.model_validate({"kind": "table", "layout": "taisu", "paths": ["x.csv"]}).resolved()
    assert (resolved.columns["url"], resolved.columns["text"]) == ("url", "caption")
    assert (resolved.kind, resolved.constants["strength"], resolved.constants["source"]) == ("caption", "weak", "taisu")
