"""Canonical URLs: the WHATWG serialisation without the fragment, for whole columns and for single links."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

MAX_URL_BYTES = 8192
"""Longer URLs are `bad_url`: no server we know serves an image behind one."""

CANONICAL_COLUMNS = pa.schema([("canonical_url", pa.string()), ("host", pa.string()), ("drop_reason", pa.string())])

# What the WHATWG parser returns unchanged, and RE2 recognises in one pass: a lower-case LDH host without `--`
# (no Punycode to check) whose last label starts with a letter (no IPv4 number), no port, no user, a path whose
# segments are not dots, only characters that no encode set touches, and no %2e, which is a dot in disguise.
_LABEL = "[a-z0-9_]+(?:-[a-z0-9_]+)*"
_CHARACTER = "(?:[A-Za-z0-9_~!$&()*+,;=:@-]|%(?:[013-9A-Fa-f][0-9A-Fa-f]|2[0-9A-DFa-df]))"
_SEGMENT = rf"(?:(?:\.{{0,2}}{_CHARACTER}|\.\.\.)(?:{_CHARACTER}|\.)*)?"
_QUERY = r"(?:[A-Za-z0-9._~!$&()*+,;=:@/?%-]*)"
ALREADY_CANONICAL = rf"^https?://(?:{_LABEL}\.)*[a-z](?:[a-z0-9_]|-[a-z0-9_])*(?:/{_SEGMENT})+(?:\?{_QUERY})?$"


def canonical_urls(urls: pa.ChunkedArray | pa.Array) -> pa.Table:
    """`canonical_url`, `host` (A-label, no port) and `drop_reason` (bad_url, blocked_scheme or null) of raw URLs.

    A row with a reason, and a null row (`bad_url`), has neither canonical URL nor host.
    """
    chunks = urls.chunks if isinstance(urls, pa.ChunkedArray) else [urls]
    batches = [_canonical_chunk(chunk.cast(pa.string())) for chunk in chunks]
    return pa.Table.from_batches(batches, schema=CANONICAL_COLUMNS)


def canonical_url(raw: str) -> str | None:
    """The canonical form of one absolute http(s) URL, or None. A canonical URL is a fixed point.

    >>> canonical_url("HTTP://Example.COM:80/a/../图.jpg#top")
    'http://example.com/%E5%9B%BE.jpg'
    """
    canonical, _, reason = _examine(raw)
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
        self._can_parse = can_ada.can_parse
        self._parsed = can_ada.parse(url) if _is_bounded(url) and can_ada.can_parse(url) else None

    def resolve(self, href: str) -> str | None:
        """As `resolve(self.url, href)`."""
        if self._parsed is None:
            return None
        try:
            if not _is_bounded(href) or not self._can_parse(href, self.url):
                return None
            url = self._parsed + href
        except ValueError:
            return None
        if url.protocol not in ("http:", "https:"):
            return None
        url.hash = ""
        canonical: str = url.href
        return canonical if len(canonical) <= MAX_URL_BYTES else None


def host_of(canonical: str) -> str:
    """The host of a canonical URL, without port: an A-label, or an address (IPv6 in brackets).

    >>> host_of("http://user@xn--fiq228c.cn:8080/a@b"), host_of("http://[::1]:80/")
    ('xn--fiq228c.cn', '[::1]')
    """
    host = canonical.split("/", 3)[2].rpartition("@")[2]
    return host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]


def uids(urls: pa.ChunkedArray | pa.Array) -> pa.Array:
    """`shards.schema.uid_of` of each row; null where the URL is null."""
    fresh = hashlib.blake2b(digest_size=16)
    values = urls.cast(pa.binary()).to_pylist()
    return pa.array([None if raw is None else _hex_digest(fresh, raw) for raw in values], pa.string())


def _hex_digest(fresh: "hashlib.blake2b", data: bytes) -> str:
    """Hashing with a copy takes half the time of making a new hash object."""
    hasher = fresh.copy()
    hasher.update(data)
    return hasher.hexdigest()


def _canonical_chunk(raw: pa.Array) -> pa.RecordBatch:
    is_canonical = pc.and_(
        pc.match_substring_regex(raw, ALREADY_CANONICAL), pc.less_equal(pc.binary_length(raw), MAX_URL_BYTES)
    )
    is_canonical = pc.fill_null(is_canonical, False)
    if pc.all(is_canonical, min_count=0).as_py():
        return _batch(raw, _plain_hosts(raw), pa.nulls(len(raw), pa.string()))
    is_odd = pc.invert(is_canonical)
    odd = [_examine(url) for url in raw.filter(is_odd).to_pylist()]
    odd_canonical, odd_host, odd_reason = (pa.array(column, pa.string()) for column in zip(*odd, strict=True))
    canonical = pc.replace_with_mask(raw, is_odd, odd_canonical)
    return _batch(
        canonical,
        pc.replace_with_mask(_plain_hosts(canonical), is_odd, odd_host),
        pc.replace_with_mask(pa.nulls(len(raw), pa.string()), is_odd, odd_reason),
    )


def _batch(*columns: pa.Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), schema=CANONICAL_COLUMNS)


def _plain_hosts(canonical: pa.Array) -> pa.Array:
    """What lies between the second slash and the third: the host, where there is neither user nor port."""
    return pc.list_element(pc.split_pattern(canonical, "/", max_splits=3), 2)


def _examine(raw: str | None) -> tuple[str | None, str | None, str | None]:
    """Canonical URL, host and drop reason of one URL."""
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
    try:
        return len(url) <= MAX_URL_BYTES and len(url.encode()) <= MAX_URL_BYTES
    except UnicodeEncodeError:
        return False
