"""A site's reservation of text and data mining: `/.well-known/tdmrep.json` as the W3C's TDMRep report says it."""

import json
from dataclasses import dataclass

from crawler.robots import RobotsRules, Rule

TDMREP_PATH = "/.well-known/tdmrep.json"
MAX_TDMREP_BYTES = 500 * 1024
_MAX_RULES = 1000
_MAX_DETAIL_CHARS = 200


@dataclass(frozen=True, slots=True)
class TdmRules:
    """(location, its pattern, whether mining is reserved there) in the file's order: the first that fits decides."""

    rules: tuple[tuple[str, RobotsRules, bool], ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> "TdmRules":
        """Reads a served file; what is no such file (a web page, say) reserves nothing."""
        try:
            entries = json.loads(body)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(entries, list):
            return cls()
        read = [_rule_of(entry) for entry in entries[:_MAX_RULES]]
        return cls(tuple(rule for rule in read if rule is not None))

    def opt_out(self, url: str) -> str | None:
        """The rule that reserves a canonical URL of this host, as text, or None."""
        for location, pattern, is_reserved in self.rules:
            if not pattern.allowed(url):
                return f"tdmrep.json {location}: tdm-reservation 1"[:_MAX_DETAIL_CHARS] if is_reserved else None
        return None


def _rule_of(entry: object) -> tuple[str, RobotsRules, bool] | None:
    """Locations are patterns like those of robots.txt; a reservation is 0 or 1, and some write it as text."""
    if not isinstance(entry, dict):
        return None
    location, reservation = entry.get("location"), entry.get("tdm-reservation")
    if not isinstance(location, str) or not location or str(reservation) not in ("0", "1"):
        return None
    rooted = location if location.startswith(("/", "*")) else f"/{location}"
    return location, RobotsRules(rules=(Rule.of(False, rooted),)), str(reservation) == "1"
