"""What a recipe may say of WARC and WAT files as a source: where they lie, and which of their records to read."""

from typing import Literal, Self

from pydantic import Field, model_validator

from crawler.part_of_source import Limit, Sample
from shards.settings import Section


class IndexWhere(Section):
    """Which records of an index to read: those that fit every key given."""

    host: list[str] = Field(
        default=[], description="Hosts of pages, `*.example.cn` for all below one; empty: every host."
    )
    languages: list[str] = Field(
        default=[], description="ISO-639-3 codes, as `zho`, one of which the page has; empty: every language."
    )
    mime: list[str] = Field(
        default=["text/html", "application/xhtml+xml"],
        description="Content types, as detected, or as served where none was detected; empty: every type.",
    )
    status: int | None = Field(default=200, description="The status with which pages were served; null: any.")


class WarcIndex(Section):
    """An index of WARC records: Common Crawl's columnar one in Parquet, or CDX and CDXJ files."""

    paths: list[str] = Field(default=[], description="Files or globs, local or s3://, or https:// addresses.")
    paths_file: str | None = Field(default=None, description="A list of them, one a line, each behind `source.prefix`.")
    where: IndexWhere | str = Field(
        default=IndexWhere(), description="Which records: these keys, or one SQL condition over the index's columns."
    )
    part_records: int = Field(default=5000, ge=1, le=1_000_000, description="Records of one part, about.")

    @model_validator(mode="after")
    def _names_files(self) -> Self:
        if not self.paths and self.paths_file is None:
            raise ValueError("give `paths:` or `paths_file:` of the index")
        return self


class WarcSource(Section):
    """Pages in WARC files, such as Common Crawl's or a wget's, or what WAT files tell of them."""

    kind: Literal["warc"] = Field(description="HTML pages in WARC files.")
    paths: list[str] = Field(
        default=[],
        description="Files or globs, local or s3://, or https:// addresses: .warc, .warc.gz, .warc.zst, .warc.wat.gz.",
    )
    paths_file: str | None = Field(
        default=None,
        description="A list of files, one a line, each behind `prefix`: Common Crawl's warc.paths.gz or wat.paths.gz.",
    )
    prefix: str = Field(
        default="",
        description="What stands before each path of lists and of the index: a folder, or "
        "`https://data.commoncrawl.org/`, or `s3://commoncrawl/`.",
    )
    index: WarcIndex | None = Field(
        default=None, description="Read the records alone that an index finds, out of files behind `prefix`."
    )
    max_page_bytes: int = Field(
        default=5_242_880, gt=0, description="Pages larger than this, once decoded, are a parse_error."
    )
    limit: Limit = None
    sample: Sample = None

    @model_validator(mode="after")
    def _one_way_to_find_records(self) -> Self:
        if self.index is not None and (self.paths or self.paths_file):
            raise ValueError("`index:` says which files are read: leave `paths:` and `paths_file:` out")
        if self.index is None and not self.paths and self.paths_file is None:
            raise ValueError("give `paths:`, `paths_file:` or `index:`")
        return self
