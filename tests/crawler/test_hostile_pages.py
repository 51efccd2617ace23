"""Promise 34: pages made to stall or swell a parser cost a bounded time and memory, and say why they gave nothing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from crawler.extract import extract_page
from crawler.page_elements import MAX_LINKS
from crawler.parse_child import MAX_MEMORY_BYTES, PageParser

URL = "http://site.test/dir/page.html"
IMAGE = b"<img src=a.jpg alt=x>"
SECONDS = 5.0

BOMBS: dict[str, Callable[[], bytes]] = {
    "promise 34: 100,000 nested tags": lambda: b"<div>" * 100_000 + IMAGE,
    "promise 34: 100,000 nested inline tags": lambda: b"<b>" * 100_000 + IMAGE,
    "promise 34: 100,000 attributes": lambda: b"<img " + b" ".join(b"a%d=1" % n for n in range(100_000)) + b">" + IMAGE,
    "promise 34: an attribute of 20 MB": lambda: b"<img src=a.jpg alt='" + b"x" * 20_000_000 + b"'>",
    "promise 34: a srcset of 20 MB": lambda: b"<img alt=x srcset='" + b"a 1x," * 4_000_000 + b"'>",
    "promise 34: 200,000 links": lambda: b"".join(b"<a href=/p%d>x</a>" % n for n in range(200_000)),
    "promise 34: 200,000 images": lambda: b"".join(b"<img src=/p%d.jpg alt=a>" % n for n in range(200_000)),
    "promise 34: JSON-LD of a million brackets": lambda: (
        b"<script type='application/ld+json'>" + b"[" * 900_000 + b"</script>" + IMAGE
    ),
    "promise 34: 5,000 images in one link": lambda: (
        b"<a href=/x>" + b"<img src=a.jpg>w" * 5000 + b"z" * 3_000_000 + b"</a>"
    ),
    "promise 34: image sets that do not end": lambda: (
        b"<p style='background:" + b"image-set(" * 400_000 + b"'>" + IMAGE
    ),
    "promise 34: 400,000 styles in one tag": lambda: b"<p " + b"style=x url( " * 400_000 + b">" + IMAGE,
    "promise 34: 300,000 lazy names in one tag": lambda: b"<p " + b"data-original= " * 300_000 + b">" + IMAGE,
    "promise 34: a million comments that do not end": lambda: b"charset" + b"<!--" * 1_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_page_ends_in_bounded_time_and_memory_with_a_reason(name: str) -> None:
    """It ends in what could be read, or in an error that says what happened; a good page is read after it."""
    with PageParser("mybot", parse_seconds=SECONDS) as parser:
        page = parser.extract(BOMBS[name](), URL, None, [])
        if page.error:
            assert re.match(r"parsing took too long|more than 5000 images|the parser crashed or ran out", page.error)
        assert len(page.links) <= MAX_LINKS
        after = parser.extract(IMAGE, URL, None, [])
        assert [(candidate.url, candidate.text) for candidate in after.candidates] == [
            ("http://site.test/dir/a.jpg", "x")
        ]
        assert _peak_bytes() <= MAX_MEMORY_BYTES


def test_a_page_that_refreshes_itself_for_ever_is_followed_nowhere() -> None:
    """Promise 23: a refresh by meta is never interpreted, so none can be endless."""
    markup = b"<meta http-equiv=refresh content='0;url=/next'>" * 1000 + IMAGE
    page = extract_page(markup, URL)
    assert (page.links, page.error, len(page.candidates)) == ([], None, 1)


def _peak_bytes() -> int:
    """The greatest memory of any child of this process that is running now (VmHWM)."""
    children = Path("/proc/self/task").glob("*/children")
    pids = {pid for path in children for pid in path.read_text().split()}
    peaks = [re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return max((int(peak[1]) * 1024 for peak in peaks if peak), default=0)
