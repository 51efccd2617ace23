"""robots.txt as RFC 9309 reads it: what one crawler may fetch of a host, how fast, and for what use."""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from crawler.optout import usage_opt_out

MAX_ROBOTS_BYTES = 500 * 1024
"""What is read of a robots.txt (RFC 9309, section 2.5); the rest is cut off."""

# Spellings as Google's parser takes them (RFC 9309 asks to be lenient, section 2.2).
_AGENT_KEYS = {"user-agent", "useragent", "user agent"}
_DISALLOW_KEYS = {"disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"}
_DELAY_KEYS = {"crawl-delay", "crawldelay", "crawl delay"}
_USAGE_KEYS = {"content-usage", "content-signal"}
_TRAINING_KEYS = {"disallowaitraining", "allowaitraining"}
"""A path each, as of draft-canel-robots-ai-control."""
_MAX_DETAIL_CHARS = 200
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})|([^\x21-\x7e])")


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """The rules of the one group that applies to us; `RobotsRules()` allows all."""

    rules: tuple["Rule", ...] = ()
    crawl_delay: float | None = None
    usages: tuple[tuple["Rule", str], ...] = ()
    sitemaps: tuple[str, ...] = ()
    unreachable: tuple[str, str] | None = None  # reason and detail: no verdict was had, nothing is allowed

    @classmethod
    def parse(cls, body: bytes, agent: str) -> "RobotsRules":
        """Reads a served file. `agent` is our product token; groups of `*` count where none names it."""
        for_all, groups, sitemaps = _read_groups(body[:MAX_ROBOTS_BYTES])
        named = [group for group in groups if agent.lower() in group.agents]
        chosen = named or [group for group in groups if "*" in group.agents]
        rules = {rule for group in chosen for rule in group.rules}
        delays = [group.crawl_delay for group in chosen if group.crawl_delay is not None]
        return cls(
            rules=tuple(sorted(rules, key=lambda rule: (-rule.length, not rule.allow, rule.pieces))),
            crawl_delay=max(delays, default=None),
            usages=tuple(usage for group in (for_all, *chosen) for usage in group.usages),
            sitemaps=tuple(sitemaps),
        )

    @classmethod
    def of_response(cls, status: int, body: bytes, agent: str) -> "RobotsRules":
        """RFC 9309, section 2.3.1: 2xx is read, 4xx allows all (but 429), the rest forbids all for now."""
        if 200 <= status < 300:
            return cls.parse(body, agent)
        if 400 <= status < 500 and status != 429:
            return cls()
        return cls.out_of_reach(f"robots.txt answered {status}")

    @classmethod
    def out_of_reach(cls, detail: str, reason: str = "robots_unreachable") -> "RobotsRules":
        """No verdict could be had: nothing is allowed for now. `reason` is what its URLs are dropped for."""
        return cls(unreachable=(reason, detail))

    def allowed(self, url: str) -> bool:
        """Whether a canonical URL of this host may be fetched: the longest rule decides, allow on a tie."""
        if self.unreachable is not None:
            return False
        path = _path_of(url)
        if path == "/robots.txt":
            return True
        return next((rule.allow for rule in self.rules if rule.matches(path)), True)

    def opt_out(self, url: str) -> str | None:
        """The Content-Usage, Content-Signal or DisallowAITraining line that keeps a URL out of training data, or None:
        that of the longest path decides, a refusal on a tie."""
        path = _path_of(url)
        fitting = [(rule, line) for rule, line in self.usages if rule.matches(path)]
        if not fitting:
            return None
        longest = max(rule.length for rule, _ in fitting)
        return next((line for rule, line in fitting if rule.length == longest and not rule.allow), None)

    def verdict(self, url: str) -> tuple[str, str] | None:
        """The drop reason and its detail for a canonical URL, or None where it may be fetched."""
        if self.unreachable is not None:
            return self.unreachable
        if not self.allowed(url):
            return "robots_disallowed", "robots.txt"
        directive = self.opt_out(url)
        return None if directive is None else ("opt_out", f"robots.txt {directive}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One path pattern: literal pieces between the `*`s, the last one bound to the end by `$`."""

    allow: bool
    pieces: tuple[str, ...]
    anchored: bool
    length: int

    @classmethod
    def of(cls, allow: bool, pattern: str) -> "Rule":
        normal = _normalise(pattern)
        anchored = normal.endswith("$")
        pieces = (normal[:-1] if anchored else normal).replace("$", "%24").split("*")
        return cls(allow, tuple(pieces), anchored, len(normal))

    def matches(self, path: str) -> bool:
        """Leftmost placement of each piece in turn: linear, and it finds a match wherever there is one."""
        if not path.startswith(self.pieces[0]):
            return False
        position = len(self.pieces[0])
        if len(self.pieces) == 1:
            return not self.anchored or position == len(path)
        for piece in self.pieces[1:-1]:
            found = path.find(piece, position)
            if found < 0:
                return False
            position = found + len(piece)
        last = self.pieces[-1]
        if self.anchored:
            return len(path) - len(last) >= position and path.endswith(last)
        return path.find(last, position) >= 0


@dataclass
class _Group:
    agents: set[str] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)
    crawl_delay: float | None = None
    usages: list[tuple[Rule, str]] = field(default_factory=list)
    is_closed: bool = False  # a rule came: the next user-agent line opens another group


def _read_groups(body: bytes) -> tuple[_Group, list[_Group], list[str]]:
    """What stands before any group (its uses concern everybody, its rules nobody), the groups, the sitemaps."""
    for_all = _Group()
    groups: list[_Group] = []
    sitemaps: list[str] = []
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    for line in re.split(r"\r\n|\r|\n", text):
        key, value = _key_and_value(line)
        if key in _AGENT_KEYS:
            if not groups or groups[-1].is_closed:
                groups.append(_Group())
            groups[-1].agents |= _agents_of(value)
        elif key == "sitemap" and value:
            sitemaps.append(value)
        elif key is not None:
            _add_record(groups[-1] if groups else for_all, key, value)
    return for_all, groups, sitemaps


def _key_and_value(line: str) -> tuple[str | None, str]:
    content = line.partition("#")[0].strip()
    key, colon, value = content.partition(":")
    if colon:
        return key.strip().lower(), value.strip()
    words = content.split()
    return (words[0].lower(), words[1]) if len(words) == 2 else (None, "")


def _agents_of(value: str) -> set[str]:
    """`*`, or the product token that a user-agent line starts with: `FooBot/1.2` names foobot."""
    if value == "*" or value[:2] in ("* ", "*\t"):
        return {"*"}
    token = re.match(r"[A-Za-z_-]+", value)
    return {token.group().lower()} if token else set()


def _add_record(group: _Group, key: str, value: str) -> None:
    if key == "allow" or key in _DISALLOW_KEYS:
        group.is_closed = True
        if value:  # an empty Disallow forbids nothing
            group.rules.append(Rule.of(key == "allow", value))
    elif key in _DELAY_KEYS:
        if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}", value, re.ASCII):
            group.crawl_delay = max(float(value), group.crawl_delay or 0.0)
    elif key in _USAGE_KEYS:
        path, _, line = value.partition(" ") if value.startswith(("/", "*")) else ("/", "", value)
        group.usages.append((Rule.of(not usage_opt_out(line), path), f"{key}: {line.strip()}"))
    elif key in _TRAINING_KEYS and value:
        group.usages.append((Rule.of(key == "allowaitraining", value), f"{key}: {value}"[:_MAX_DETAIL_CHARS]))


@lru_cache(maxsize=1024)
def _path_of(url: str) -> str:
    """Path and query of a canonical URL, its own `*` and `$` escaped so that they mean themselves."""
    path = "/" + url.partition("#")[0].split("/", 3)[3]
    return _normalise(path).replace("*", "%2A").replace("$", "%24")


def _normalise(path: str) -> str:
    """RFC 9309, section 2.2.2: unreserved octets unescaped, other escapes in capitals, non-ASCII escaped."""
    return _ESCAPE.sub(_normal_escape, path)


def _normal_escape(match: re.Match[str]) -> str:
    if match.group(2) is not None:
        return "".join(f"%{octet:02X}" for octet in match.group(2).encode("utf-8", "replace"))
    octet = int(match.group(1), 16)
    return chr(octet) if octet in _UNRESERVED else f"%{match.group(1).upper()}"
