"""Who may ask: this machine's user, with the token, from the page itself; no other site, and no name bound anew."""

import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
ENTRANCE_S = 120.0
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?", re.IGNORECASE)
_OWN_FETCHES = ("same-origin", "none")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""What every answer carries, refusals too."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status and a sentence."""

    status: int
    sentence: str


@dataclass
class Gate:
    """The token stands in every path: a page of another site cannot know it, and no cookie carries it along unasked.

    `entrance` is a path that leads in once and for a short while: a browser is started with it, since a command line
    can be read by everybody on the machine.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    entrance: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    _until: float = field(default_factory=lambda: time.monotonic() + ENTRANCE_S)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self, headers: Mapping[str, list[str]]) -> Refusal | None:
        """What the headers alone speak against: names in lower case, each with all of its values."""
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            return Refusal(421, "this server answers to 127.0.0.1 and localhost only")
        origins = headers.get("origin", [])
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return Refusal(403, "a page of another origin asks")
        if any(site not in _OWN_FETCHES for site in headers.get("sec-fetch-site", [])):
            return Refusal(403, "a page of another site asks")
        return None

    def path_within(self, path: str) -> str | None:
        """The path behind the token, such as `/api/about`; None without the right token."""
        token, slash, rest = path.removeprefix("/").partition("/")
        is_right = hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())
        return f"/{rest}" if is_right and slash and path.startswith("/") else None

    def may_enter(self, path: str) -> bool:
        """Whether the path is the entrance, which this closes."""
        with self._mutex:
            is_right = hmac.compare_digest(path.encode("utf-8", "replace"), f"/open/{self.entrance}".encode())
            if not is_right or not self.entrance or time.monotonic() > self._until:
                return False
            self.entrance = ""
            return True
