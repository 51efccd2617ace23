"""Rules over columns that a recipe's source leaves empty: that they drop every row is told before a run of days."""

import re
from collections.abc import Iterator

from crawler.archives.source import WarcSource
from crawler.image_role import Role
from crawler.lists.shards_source import ShardsSource
from crawler.search.source import SearchSource
from crawler.sources import CrawlSource, TableSource
from filters.rules import PlacedRule
from pipelines.recipe import Recipe

_OF_PAGES = ("page_language", "page_charset", "charset_from", "author", *Role._fields)
_TOLD_BY_TABLES = ("page_url", "query", "license", "category", "strength")
_MINDS_NULL = re.compile(
    r"\bis\s+(?:not\s+)?(?:null|true|false|distinct)\b|\b(?:coalesce|ifnull|nullif|case)\b", re.IGNORECASE
)


def rules_without_rows(recipe: Recipe, rules: tuple[PlacedRule, ...]) -> Iterator[str]:
    """One line for each rule that names a column which this source never fills, and does not say what null means."""
    empty = _empty_columns(recipe)
    for rule in rules:
        names = [name for name in rule.columns if name in empty]
        if names and not _MINDS_NULL.search(rule.expression):
            yield (
                f"rule {rule.name} names {', '.join(names)}, empty in this {recipe.source.kind} source: "
                f"it drops every row. Write `{names[0]} IS NULL OR …` to keep them"
            )


def _empty_columns(recipe: Recipe) -> frozenset[str]:
    source = recipe.source
    empty = {"warc_record"} if not isinstance(source, WarcSource) else set()
    if not isinstance(source, CrawlSource | WarcSource):
        empty.update(_OF_PAGES)
    if not isinstance(source, SearchSource | ShardsSource):
        empty.add("query_rank")
    if isinstance(source, TableSource):
        told = source.resolved()
        empty.update(name for name in _TOLD_BY_TABLES if name not in told.columns and name not in told.constants)
    elif isinstance(source, CrawlSource | WarcSource):
        empty.update(("query", "category"))
    return frozenset(empty)
