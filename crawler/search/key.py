"""The key of a search endpoint: read from the environment, sent with requests, and kept out of all that is written."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from crawler.search.settings import Endpoint
from shards.errors import UsageError

HIDDEN = "[key]"
_LEAST_CHARS = 6


@dataclass(frozen=True)
class SearchKey:
    """What the endpoint's description asks for, with the secret itself; `value` is empty where none is used."""

    value: str = field(repr=False)
    header: str | None = None
    parameter: str | None = None
    prefix: str = ""

    @classmethod
    def read(cls, endpoint: Endpoint, environment: Mapping[str, str] = os.environ) -> "SearchKey":
        """The key from the environment. Raises `UsageError` where it must be there and is not, or can be no key."""
        wanted = endpoint.key
        if wanted is None:
            return cls("")
        value = environment.get(wanted.env, "").strip()
        if not value and wanted.required:
            raise UsageError(
                f"the endpoint {endpoint.host} wants a key: set the environment variable {wanted.env} "
                "(on a cluster, on every node)"
            )
        if value and (len(value) < _LEAST_CHARS or not value.isascii() or not value.isprintable()):
            raise UsageError(f"{wanted.env} holds no key: expected at least {_LEAST_CHARS} printable ASCII characters")
        return cls(value, wanted.header, wanted.parameter, wanted.prefix)

    def headers(self) -> dict[str, str]:
        return {self.header: self.prefix + self.value} if self.value and self.header else {}

    def signed(self, url: str) -> str:
        """The URL with the key in it, where it goes there."""
        if not self.value or self.parameter is None:
            return url
        bare = self.unsigned(url)
        joint = "&" if urlsplit(bare).query else "?"
        return f"{bare}{joint}{quote(self.parameter, safe='')}={quote(self.prefix + self.value, safe='')}"

    def unsigned(self, url: str) -> str:
        """The URL without the key's parameter, whatever it says there: answers repeat their own addresses."""
        if self.parameter is None or self.parameter not in url:
            return url
        parts = urlsplit(url)
        pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != self.parameter]
        return urlunsplit(parts._replace(query=urlencode(pairs)))

    def hidden(self, text: str) -> str:
        """The text without the key in any of its spellings."""
        if not self.value:
            return text
        for spelling in {self.value, quote(self.value, safe=""), quote(self.value), json.dumps(self.value)[1:-1]}:
            text = text.replace(spelling, HIDDEN)
        return text

    def hidden_in(self, body: bytes) -> bytes:
        """The same for bytes of any encoding that holds ASCII as it is."""
        return self.hidden(body.decode("latin-1")).encode("latin-1") if self.value else body
