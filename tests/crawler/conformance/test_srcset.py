"""`srcset` attributes as the web platform tests expect them to be read."""

import html
import re

from crawler.srcset import SrcsetCandidate, parse_srcset
from tests.crawler.conformance.material import CASES, needs_data

_LINE = re.compile(r"<img srcset='([^']*)'(?: sizes='[^']*')? data-expect='([^']*)'")


def chosen_at_density_1(candidates: list[SrcsetCandidate]) -> str:
    """What a browser shows on a common screen, at a slot as wide as the window (HTML, "select an image source").

    A width in pixels over the slot's 800 is a density; of densities that suffice the least is taken, else the highest.
    """
    densities = [((c.width / 800) if c.width is not None else (c.density or 0.0), c.url) for c in candidates]
    enough = sorted((pair for pair in densities if pair[0] >= 1.0), key=lambda pair: pair[0])
    return enough[0][1] if enough else max(densities, key=lambda pair: pair[0], default=(0.0, ""))[1]


@needs_data
def test_all_seventy_cases_choose_the_expected_image() -> None:
    lines = (CASES / "srcset-wpt" / "cases.html").read_text("utf-8")
    cases = [(html.unescape(raw), html.unescape(expected)) for raw, expected in _LINE.findall(lines)]
    right = [raw for raw, expected in cases if chosen_at_density_1(parse_srcset(raw)) == expected]
    assert (len(right), len(cases)) == (70, 70), [raw for raw, _ in cases if raw not in right]
