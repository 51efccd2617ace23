"""MurmurHash3 as mmh3 5.3.1 computes it: `mmh3.hash64(text)[0]` of each text."""

import pyarrow as pa
import pytest

from shards.murmur import hash64

KNOWN = [
    ("", 0),
    ("a", -8839064797231613815),
    ("foo", -2129773440516405919),
    ("hello, world", 3760413751763713166),
    ("0123456789abcde", -6472281833689111727),
    ("0123456789abcdef", 5467490433528156583),
    ("0123456789abcdef0", -1502884478548852619),
    ("0123456789abcdef01234567", 6152970776307343065),
    ("0123456789abcdef0123456789abcdef", 5708918040068455610),
    ("http://a.cn/1.jpg你好，世界", 322635826004473570),
    ("\x00", 5048724184180415669),
    ("\n\t😀", -3006279873752033668),
    ("字" * 100, -8035334954643110062),
]


@pytest.mark.parametrize(("text", "expected"), KNOWN)
def test_a_text_has_mmh3_s_hash(text: str, expected: int) -> None:
    assert hash64(pa.array([text])).tolist() == [expected]


def test_texts_of_all_lengths_are_hashed_together() -> None:
    texts = pa.array([text for text, _ in KNOWN])
    assert hash64(texts).tolist() == [expected for _, expected in KNOWN]
    assert hash64(texts.slice(2, 3)).tolist() == [expected for _, expected in KNOWN[2:5]]
    assert hash64(pa.array([], pa.string())).tolist() == []
