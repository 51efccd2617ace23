"""What a recipe may say of a search: its queries, whom they are put to, and how many results are wanted."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from crawler.part_of_source import Limit, Sample
from crawler.search.settings import Endpoint
from shards.settings import Section


class SearchSource(Section):
    """Queries put to an image search, in the order of a list."""

    kind: Literal["search"] = Field(description="Results of an image search.")
    queries: str = Field(min_length=1, description="File of queries: the first column of each line, tabs between.")
    endpoint: str | Endpoint = Field(description="A known endpoint, or the description of one.")
    per_query: int = Field(default=1000, ge=1, le=1_000_000, description="Results of one query at most.")
    query_as_text: bool = Field(default=True, description="Give each image its query as a text of kind `query`.")
    part_queries: int = Field(default=50, ge=1, le=100_000, description="Queries in one part, between commits.")
    limit: Limit = None
    sample: Sample = None

    @field_validator("endpoint")
    @classmethod
    def _is_known(cls, endpoint: str | Endpoint) -> str | Endpoint:
        if isinstance(endpoint, str) and endpoint not in (known := _described()):
            raise ValueError(f"no endpoint is called {endpoint!r}; known: {', '.join(known)}, or describe one")
        return endpoint

    @property
    def most_results(self) -> int:
        """Results of one query at most: no more of them can be among the first `limit` rows."""
        return self.per_query if self.limit is None else min(self.per_query, self.limit)

    @property
    def described(self) -> Endpoint:
        return _described()[self.endpoint] if isinstance(self.endpoint, str) else self.endpoint

    @property
    def name(self) -> str:
        """What candidates say of where they are from."""
        return self.endpoint if isinstance(self.endpoint, str) else self.kind


def _described() -> Mapping[str, Endpoint]:
    from crawler.search.endpoints import ENDPOINTS  # they look at URLs, for which pyarrow is loaded

    return ENDPOINTS
