"""Encoding declarations as html5lib's cases of encoding sniffing expect them to be read."""

import pytest

from crawler.charset import codec_of, declared_codec, decode
from tests.crawler.conformance.material import CASES, needs_data

FOLDER = CASES / "html5lib-encoding"
FILES = {"tests1.dat": 59, "tests2.dat": 22, "test-yahoo-jp.dat": 1}
# scripted/tests1.dat needs a page's script to be run: `document.write` of a declaration. We run none.


def cases_of(name: str) -> list[tuple[bytes, str]]:
    """(bytes, label) of a file of `#data` and `#encoding` blocks."""
    blocks = (b"\n" + (FOLDER / name).read_bytes()).split(b"\n#data\n")[1:]
    parts = [block.partition(b"\n#encoding\n") for block in blocks]
    return [(data, rest.strip().split(b"\n")[0].decode()) for data, _, rest in parts]


@needs_data
@pytest.mark.parametrize(("name", "number"), FILES.items())
def test_pages_declare_what_the_cases_say(name: str, number: int) -> None:
    """Where the standard falls back to windows-1252 nothing is declared: what reads such a page is ours to detect."""
    cases = cases_of(name)
    assert len(cases) == number
    for data, label in cases:
        decoded = decode(data, None)
        found = decoded.codec if decoded.settled_by == "bom" else declared_codec(data)
        assert (found or "cp1252") == codec_of(label), data[:200]


@needs_data
def test_a_traditional_text_without_declaration_is_detected() -> None:
    text = (FOLDER / "chardet" / "test_big5.txt").read_bytes()
    decoded = decode(text, None)
    assert (decoded.codec, decoded.settled_by) == ("big5hkscs", "detector")
    assert "\ufffd" not in decoded.text
