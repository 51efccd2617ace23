"""How a recipe describes the endpoint of an image search: its address, paging, fields, rate and key."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator, model_validator

from crawler.search.json_path import parse_path
from shards.settings import Section

PLACEHOLDERS = ("query", "page", "offset", "token", "size")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_CSS = re.compile(r"(?P<selector>.*?)(?:::attr\((?P<attribute>[A-Za-z_:][\w:.-]*)\))?", re.DOTALL)

Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Paths = Annotated[list[str], Field(min_length=1, max_length=10)]


class EndpointKey(Section):
    """A secret that the endpoint wants: read from the environment where a request is sent, and written nowhere."""

    env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="The environment variable that holds the key.")
    header: str | None = Field(
        default=None, pattern=r"^[A-Za-z][A-Za-z0-9-]*$", description="The header that carries it."
    )
    parameter: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_.~-]+$", description="The parameter of the URL that carries it."
    )
    prefix: str = Field(default="", pattern=r"^[ -~]*$", description='What stands before it, as "Bearer ".')
    required: bool = Field(default=True, description="Without the variable: refuse to run, or ask without a key.")

    @model_validator(mode="after")
    def _goes_one_way(self) -> Self:
        if (self.header is None) == (self.parameter is None):
            raise ValueError("give either `header:` or `parameter:`, whichever the endpoint reads its key from")
        return self


class ItemFields(Section):
    """Where an item says what. A list is tried in order; several values of a text are joined by commas."""

    url: str | Paths = Field(description="The image's URL.")
    page_url: str | Paths | None = Field(default=None, description="The page that shows the image.")
    license: str | Paths | None = Field(default=None, description="The image's licence.")
    category: str | Paths | None = Field(default=None, description="The image's category.")
    texts: dict[Kind, str | Paths] = Field(default={}, description="Texts of the image by kind, as title.")

    def named(self) -> dict[str, list[str]]:
        """Candidate column, or `text:KIND`, -> its paths."""
        plain = {name: getattr(self, name) for name in ("url", "page_url", "license", "category")}
        fields = plain | {f"text:{kind}": paths for kind, paths in self.texts.items()}
        return {name: [paths] if isinstance(paths, str) else paths for name, paths in fields.items() if paths}


class Endpoint(Section):
    """How to ask an image search, and how to read what it answers. Paths are JSONPath, or CSS selectors for HTML."""

    url: str = Field(
        max_length=2000, description="The address asked by GET, with {query} and {page}, {offset} or {token}; {size}."
    )
    format: Literal["json", "html"] = Field(default="json", description="What it answers: JSON, or pages of HTML.")
    items: str = Field(description="The results of one answer, in order.")
    fields: ItemFields = Field(description="Where an item says what, from the item on.")
    rank: str | None = Field(default=None, description="An item's place in its answer, where the order does not say.")
    markup: list[Kind] = Field(default=[], description="Kinds of text that hold HTML: their tags are taken out.")
    page_size: int = Field(default=20, ge=1, le=1000, description="Items a page: fills {size}, and steps {offset}.")
    first_page: int = Field(default=1, ge=0, le=1, description="What the first page is called in {page}.")
    token: str | None = Field(default=None, description="Where an answer says the {token} of the next.")
    next_url: str | None = Field(default=None, description="Where an answer says the address of the next.")
    more: str | None = Field(default=None, description="Something that is in an answer only if there are more.")
    num_pages: str | None = Field(default=None, description="Where an answer says how many pages there are.")
    error: str | None = Field(default=None, description="Where a 200 says that it is an error.")
    max_pages: int = Field(default=1000, ge=1, le=100_000, description="Pages of one query at most.")
    max_answer_bytes: int = Field(default=5 * 2**20, ge=1, le=2**28, description="Longer answers are `too_large`.")
    delay_s: float = Field(default=1.0, ge=0, le=86_400, description="Seconds between two requests, at the least.")
    concurrency: int = Field(default=1, ge=1, le=16, description="Requests in flight, at the most.")
    obey_robots: bool = Field(
        default=True, description="Ask robots.txt; false only for an API whose terms invite programs."
    )
    key: EndpointKey | None = Field(default=None, description="The secret that it wants.")

    @field_validator("url")
    @classmethod
    def _is_a_template(cls, url: str) -> str:
        names = _PLACEHOLDER.findall(url)
        odd = [name for name in names if name not in PLACEHOLDERS]
        if odd:
            raise ValueError(f"{{{odd[0]}}} is no placeholder; known: {', '.join(f'{{{p}}}' for p in PLACEHOLDERS)}")
        if "query" not in names:
            raise ValueError("has no {query}: where does the query go?")
        if len({"page", "offset", "token"}.intersection(names)) > 1:
            raise ValueError("has more than one of {page}, {offset} and {token}")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or "{" in parts.netloc or _canonical(url) is None:
            raise ValueError(
                "is no http(s) address with its host written out, such as https://api.example.org/?q={query}"
            )
        if "@" in parts.netloc:
            raise ValueError("holds credentials: name the key in `key: {env: …}`")
        return url

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        for name, path in self._paths():
            _check_path(name, path, self.format)
        if ("{token}" in self.url) != (self.token is not None):
            raise ValueError("`token:` and the placeholder {token} belong together")
        if self.next_url is not None and re.search(r"\{(page|offset|token)\}", self.url):
            raise ValueError("pages are found by `next_url:` or by {page}, {offset} or {token}, not by both")
        if self.format == "html" and not self.obey_robots:
            raise ValueError("`obey_robots: false` is for APIs; pages of HTML are asked for as robots.txt allows")
        unknown = [kind for kind in self.markup if kind not in self.fields.texts]
        if unknown:
            raise ValueError(f"`markup:` names {unknown[0]!r}, which `fields.texts` has not")
        return self

    def _paths(self) -> list[tuple[str, str]]:
        alone = ("items", "rank", "token", "next_url", "more", "num_pages", "error")
        found = [(name, getattr(self, name)) for name in alone if getattr(self, name) is not None]
        return found + [(f"fields.{name}", path) for name, paths in self.fields.named().items() for path in paths]

    @property
    def has_pages(self) -> bool:
        """Whether a query can be asked for more than one page."""
        return self.next_url is not None or re.search(r"\{(page|offset|token)\}", self.url) is not None

    @property
    def host(self) -> str:
        return urlsplit(str(_canonical(self.url))).hostname or ""

    def address(self, query: str, page: int, token: str) -> str:
        """What is asked for the page (from 0) of a query, without the key."""
        values = {
            "query": query,
            "page": str(page + self.first_page),
            "offset": str(page * self.page_size),
            "token": token,
            "size": str(self.page_size),
        }
        return _filled(self.url, values)


def split_css(path: str) -> tuple[str, str | None]:
    """Selector and attribute of `a.next::attr(href)`; an empty selector is the item itself, None its text."""
    found = _CSS.fullmatch(path.strip())
    assert found is not None  # it fits anything
    return found["selector"].strip(), found["attribute"]


def _check_path(name: str, path: str, form: str) -> None:
    try:
        if form == "json":
            parse_path(path)
        else:
            _check_selector(split_css(path)[0])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_selector(selector: str) -> None:
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    if selector:
        try:
            LexborHTMLParser("<p>").css(selector)
        except SelectolaxError as error:
            raise ValueError(str(error)) from None


def _canonical(template: str) -> str | None:
    from crawler.urls import canonical_url  # a recipe is checked without loading pyarrow

    return canonical_url(_filled(template, {}))


def _filled(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: quote(values.get(found[1], "1"), safe=""), template)
