"""URLs that a sitemap lists, read without an XML parser: nothing in it is ever expanded or followed."""

import html
import re
import zlib

MAX_SITEMAP_BYTES = 50 * 2**20
"""A sitemap's size at most, unzipped (sitemaps.org)."""

_LOC = re.compile(rb"<(?:\w{1,20}:)?loc>\s*(?:<!\[CDATA\[)?\s*([^<>\s\]]{1,8192})")
_INDEX = re.compile(rb"<(?:\w{1,20}:)?sitemapindex[\s>]")


def read_sitemap(body: bytes, max_urls: int) -> tuple[list[str], bool]:
    """The URLs as written, and whether they are sitemaps themselves. Text sitemaps, one URL a line, work too."""
    body = _unzipped(body)
    found: list[str] = []
    for match in _LOC.finditer(body):
        if len(found) >= max_urls:
            break
        found.append(html.unescape(match.group(1).decode("utf-8", "replace")))
    if not found and b"<" not in body[:1024]:
        lines = body.decode("utf-8", "replace").split()
        found = [line for line in lines if line.startswith(("http://", "https://"))][:max_urls]
    return found, bool(_INDEX.search(body[:4096]))


def _unzipped(body: bytes) -> bytes:
    """A `.xml.gz` as its text, cut at the bound; as it is where it is not gzip."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body, MAX_SITEMAP_BYTES)
    except zlib.error:
        return b""
