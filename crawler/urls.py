"""Canonical URLs: the WHATWG serialisation without the fragment, of single links."""

MAX_URL_BYTES = 8192
"""Longer URLs are `bad_url`: no server we know serves an image behind one."""

_WEB = ("http://", "https://")


def canonical_url(raw: str) -> str | None:
    """The canonical form of one absolute http(s) URL, or None. A canonical URL is a fixed point.

    >>> canonical_url("HTTP://Example.COM:80/a/../图.jpg#top")
    'http://example.com/%E5%9B%BE.jpg'
    """
    canonical, _, reason = examine(raw)
    return None if reason else canonical


def resolve(base: str, href: str) -> str | None:
    """The canonical form of a link on the page `base`, or None where it is no http(s) URL."""
    import can_ada

    try:
        if not _is_bounded(base) or not _is_bounded(href) or not can_ada.can_parse(href, base):
            return None
        return canonical_url(str(can_ada.parse(base) + href))
    except ValueError:
        return None


class Base:
    """What the links of one page are relative to, parsed once. A base that is no URL resolves nothing."""

    def __init__(self, url: str) -> None:
        import can_ada

        self.url = url
        self._parsed = can_ada.parse(url) if _is_bounded(url) and can_ada.can_parse(url) else None

    def resolve(self, href: str) -> str | None:
        """As `resolve(self.url, href)`."""
        if self._parsed is None or not _is_bounded(href):
            return None
        try:
            url = self._parsed + href
        except ValueError:
            return None
        if "#" in href:
            url.hash = ""
        canonical: str = url.href
        return canonical if len(canonical) <= MAX_URL_BYTES and canonical.startswith(_WEB) else None


def host_of(canonical: str) -> str:
    """The host of a canonical URL, without port: an A-label, or an address (IPv6 in brackets).

    >>> host_of("http://user@xn--fiq228c.cn:8080/a@b"), host_of("http://[::1]:80/")
    ('xn--fiq228c.cn', '[::1]')
    """
    host = canonical.split("/", 3)[2].rpartition("@")[2]
    return host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]


def examine(raw: str | None) -> tuple[str | None, str | None, str | None]:
    """Canonical URL, host and drop reason (bad_url, blocked_scheme or null) of one URL."""
    import can_ada

    if raw is None or not _is_bounded(raw):
        return None, None, "bad_url"
    try:
        url = can_ada.parse(raw)
    except ValueError:
        return None, None, "bad_url"
    if url.protocol not in ("http:", "https:"):
        return None, None, "blocked_scheme"
    url.hash = ""
    canonical = url.href
    if len(canonical) > MAX_URL_BYTES:
        return None, None, "bad_url"
    return canonical, url.hostname, None


def _is_bounded(url: str) -> bool:
    """Whether the URL is valid Unicode (no lone surrogate) of a length that is worth parsing."""
    if url.isascii():
        return len(url) <= MAX_URL_BYTES
    try:
        return len(url) <= MAX_URL_BYTES and len(url.encode()) <= MAX_URL_BYTES
    except UnicodeEncodeError:
        return False
