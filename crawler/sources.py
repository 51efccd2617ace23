"""What a recipe's `source:` may say: tables of URLs, WARC files, seed sites, queries to search for, or shards."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crawler.archives.source import WarcSource
from crawler.lists.shards_source import SHARD_LAYOUTS, ShardsSource
from crawler.part_of_source import Limit, Sample
from crawler.search.source import SearchSource
from crawler.urls import canonical_url, host_of
from shards.layouts import LAYOUTS, Layout
from shards.settings import Section

_NO_HOST = re.compile(r"[/?#@\\*\s]|:(?![0-9A-Fa-f:.]*\])")
"""What stands in no host: a scheme, a port, a path. Colons are those of an IPv6 address in brackets."""


class ColumnName(Section):
    """A value that differs from row to row."""

    column: str = Field(min_length=1, description="The table's column that holds the value.")


class TableColumns(Section):
    """Which column of the table holds what. Columns that are not named here are not read."""

    url: str = Field(min_length=1, description="Column of the image URL.")
    text: str | None = Field(default=None, description="Column of the text; null: the table has none.")
    page_url: str | None = Field(default=None, description="Column of the page that shows the image.")
    query: str | None = Field(default=None, description="Column of the query that found the image.")
    license: str | None = Field(default=None, description="Column of the image's licence.")
    sha256: str | None = Field(
        default=None, description="Column of the sha256 of the image's bytes, for `fetch.verify_sha256`."
    )


class TableSource(Section):
    """A list of image URLs with texts, in CSV, TSV, Parquet or JSON: lines, or one array."""

    kind: Literal["table"] = Field(description="Rows of files, one image URL and text each.")
    paths: list[str] = Field(min_length=1, description="Files or globs, local or s3://.")
    layout: str | None = Field(default=None, description=f"A known layout: {', '.join(LAYOUTS)}.")
    columns: TableColumns | None = Field(default=None, description="The columns, where no layout fits.")
    text_kind: str | None = Field(
        default=None, min_length=1, description="Kind of the texts; null: the layout's, or caption."
    )
    strength: Literal["strong", "weak"] | ColumnName | None = Field(
        default=None, description="How closely the texts describe the images; null: the layout's, or unknown."
    )
    category: str | ColumnName | None = Field(default=None, description="The images' category.")
    license: str | ColumnName | None = Field(default=None, description="The images' licence.")
    limit: Limit = None
    sample: Sample = None

    @model_validator(mode="after")
    def _one_way_to_find_columns(self) -> Self:
        if (self.layout is None) == (self.columns is None):
            known = ", ".join(LAYOUTS)
            raise ValueError(f"give either `layout:` (one of {known}) or `columns: {{url: …, text: …}}`")
        if self.layout in SHARD_LAYOUTS and self.layout not in LAYOUTS:
            raise ValueError(f"{self.layout} holds images, not their URLs: write `kind: shards, layout: {self.layout}`")
        if self.layout is not None and self.layout not in LAYOUTS:
            raise ValueError(f"unknown layout {self.layout!r}; known: {', '.join(LAYOUTS)}")
        if isinstance(self.license, ColumnName) and self.columns is not None and self.columns.license:
            raise ValueError("`license: {column: …}` and `columns: {license: …}` say the same thing: keep one")
        if self.layout is not None and self.text_kind is not None and LAYOUTS[self.layout].holds_several_texts:
            raise ValueError(f"layout {self.layout} says of what kind each text is: leave `text_kind:` out")
        return self

    def resolved(self) -> "ResolvedTable":
        """The source with its layout looked up: column names and constants side by side."""
        layout = LAYOUTS[self.layout] if self.layout else None
        columns = self.columns or (layout.columns if layout else TableColumns(url="url"))
        named: dict[str, str | None] = {
            "url": columns.url,
            "text": columns.text,
            "page_url": columns.page_url,
            "query": columns.query,
            "license": columns.license,
            "expected_sha256": columns.sha256,
            "category": layout.columns.category if layout else None,
        }
        constants: dict[str, str | None] = {"source": self.layout or self.kind}
        for field, value in (
            ("strength", self.strength or (layout.strength if layout else None)),
            ("category", self.category),
            ("license", self.license),
        ):
            if isinstance(value, ColumnName):
                named[field] = value.column
            elif value is not None:
                named.pop(field, None)
                constants[field] = value
        return ResolvedTable(
            columns={k: v for k, v in named.items() if v},
            constants=constants,
            kind=self.text_kind or (layout.text_kind if layout else "caption"),
            layout=layout if layout and layout.holds_several_texts else None,
        )


@dataclass(frozen=True)
class ResolvedTable:
    """What a table reader needs to know: candidate column -> file column, fixed values, and the texts' kind.

    `layout` stands where a record holds several texts, and says which.
    """

    columns: dict[str, str]
    constants: dict[str, str | None]
    kind: str
    layout: Layout | None = None


class CrawlSource(Section):
    """Sites to crawl, politely, from seed pages."""

    kind: Literal["crawl"] = Field(description="Pages crawled from seeds, round by round.")
    seeds: list[str] = Field(min_length=1, description="Absolute http(s) URLs to start from.")
    sitemaps: bool = Field(default=True, description="Read the seed hosts' sitemaps too.")
    rounds: int = Field(default=4, ge=1, le=1000, description="Frontier rounds at most.")
    max_depth: int = Field(default=3, ge=0, description="Links away from a seed at most; a seed has depth 0.")
    max_pages: int = Field(default=100_000, ge=1, description="Pages of the whole crawl at most.")
    max_pages_per_host: int = Field(default=10_000, ge=1, description="Pages of one host at most.")
    max_pages_per_host_and_round: int | None = Field(
        default=None, ge=1, description="Pages of one host in one round at most; null: as many as the host has left."
    )
    allowed_hosts: list[str] = Field(
        default=[],
        description="Hosts that may be crawled, `*.example.cn` for all below one; empty: the seeds' hosts.",
    )
    max_page_bytes: int = Field(
        default=5_242_880, gt=0, description="Pages larger than this, once decoded, are too_large."
    )
    max_url_chars: int = Field(default=2048, ge=16, le=8192, description="Longer links are not followed.")
    max_links_per_page: int = Field(default=2000, ge=0, description="Links taken from one page at most.")
    max_sitemap_urls: int = Field(default=50_000, ge=0, description="URLs taken from one host's sitemaps at most.")
    limit: Limit = None
    sample: Sample = None

    @property
    def most_pages(self) -> int:
        """Pages of the whole crawl at most, by either bound."""
        return self.max_pages if self.limit is None else min(self.max_pages, self.limit)

    @field_validator("seeds")
    @classmethod
    def _seeds_are_web_pages(cls, seeds: list[str]) -> list[str]:
        odd = [seed for seed in seeds if canonical_url(seed) is None]
        if odd:
            raise ValueError(f"no http(s) URL: {', '.join(odd[:5])}; expected e.g. https://example.cn/")
        return seeds

    @field_validator("allowed_hosts")
    @classmethod
    def _patterns_are_hosts(cls, patterns: list[str]) -> list[str]:
        odd = [pattern for pattern in patterns if host_in_pattern(pattern) is None]
        if odd:
            raise ValueError(
                f"no host: {', '.join(odd[:5])}; expected e.g. www.example.cn, or *.example.cn for all below"
            )
        return patterns


def host_in_pattern(pattern: str) -> str | None:
    """The A-label of a host, or of what stands behind `*.`; None where that is no host alone."""
    name = pattern.removeprefix("*.")
    url = None if _NO_HOST.search(name) else canonical_url(f"http://{name}/")
    return None if url is None else host_of(url)


Source = Annotated[TableSource | WarcSource | CrawlSource | SearchSource | ShardsSource, Field(discriminator="kind")]
