"""How much of a source a run looks at: `limit`, its first rows, and `sample`, a share of its images by their uids."""

from typing import Annotated

from pydantic import Field

Limit = Annotated[
    int | None,
    Field(ge=1, description="Look at so many rows at most, the first in the source's order; of a crawl, at pages."),
]
Sample = Annotated[
    float | None,
    Field(gt=0, le=1, description="Of the rows read, keep those of this share of all images, by a hash of the uid."),
]

PART_KEYS = frozenset({"limit", "sample"})
"""The keys of a `source:` that say how much of it is looked at; every kind of source has them."""


def told_part(kind: str, limit: int | None, sample: float | None) -> str | None:
    """The part of a source in words; None where all of it is looked at.

    >>> told_part("table", 1000, 0.01), told_part("crawl", 20, None), told_part("table", None, 1.0)
    ('limit 1,000 rows, sampled 0.01 by uid', 'limit 20 pages', None)
    """
    said = [] if limit is None else [f"limit {limit:,} {'pages' if kind == 'crawl' else 'rows'}"]
    if sample is not None and sample < 1:
        said.append(f"sampled {sample} by uid")
    return ", ".join(said) or None
