"""The recipe's `release.about` section: what nobody can compute of a dataset, for its card and its Croissant file."""

import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from shards.settings import Section


def _as_text(value: object) -> object:
    """YAML reads 2026-11-22 as a date, and 2 or 1.0 as a number."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Date = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Version = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^\d+\.\d+\.\d+$")]
Line = Annotated[str, Field(min_length=1, max_length=2000)]


class AboutSettings(Section):
    """Who made the dataset, under which terms, and whom to ask. Nothing of it decides what is in the dataset."""

    description: Line | None = Field(default=None, description="What the dataset is, in a sentence or two.")
    license: Line | None = Field(
        default=None,
        description="Terms of the dataset as a whole: an SPDX name (CC-BY-4.0), a URL, or words. Images keep theirs.",
    )
    version: Version = Field(default="1.0.0", description="Version of the dataset, MAJOR.MINOR.PATCH.")
    date_published: Date | None = Field(default=None, description="Day of publication, YYYY-MM-DD.")
    creators: list[Line] = Field(default=[], max_length=100, description="Who made it: people or organisations.")
    url: Line | None = Field(default=None, description="The dataset's home page.")
    contact: Line | None = Field(default=None, description="Whom to ask to have an image removed: a URL or an address.")
    cite: Line | None = Field(default=None, description="How to cite it, preferably as BibTeX.")
    rule_sources: dict[str, Line] = Field(
        default={}, description="Where each rule comes from: a paper, a standard, or whoever chose it."
    )
