"""Canonical URLs, their hosts and their uids, of whole columns."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from crawler.urls import MAX_URL_BYTES, examine

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
    odd = [examine(url) for url in raw.filter(is_odd).to_pylist()]
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
