"""A site's `/ai.txt` (Spawning): robots.txt's grammar, said of file types and paths that no model may be trained on."""

import re
from dataclasses import dataclass, field

from crawler.robots import RobotsRules

AI_TXT_PATH = "/ai.txt"
MAX_AI_TXT_BYTES = 500 * 1024
_FIRST_RULE = re.compile(rb"(?im)^\s*user-?agent\s*:")


@dataclass(frozen=True, slots=True)
class AiTxtRules:
    """What of a host may not be used for training; `AiTxtRules()` reserves nothing."""

    rules: RobotsRules = field(default_factory=RobotsRules)

    @classmethod
    def parse(cls, body: bytes, agent: str) -> "AiTxtRules":
        """Reads a served file; one that names no user agent (a web page, say) reserves nothing."""
        bounded = body[:MAX_AI_TXT_BYTES].removeprefix(b"\xef\xbb\xbf")
        return cls(RobotsRules.parse(bounded, agent)) if _FIRST_RULE.search(bounded) else cls()

    def opt_out(self, url: str) -> str | None:
        """The line that keeps a canonical URL of this host out of training data, or None: the longest one decides."""
        if self.rules.allowed(url):
            return None
        for rule in self.rules.rules:
            if not rule.allow and not RobotsRules(rules=(rule,)).allowed(url):
                return f"ai.txt Disallow: {'*'.join(rule.pieces)}{'$' if rule.anchored else ''}"[:200]
        return "ai.txt"
