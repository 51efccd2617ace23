"""What a sample is: its identity, its kinds of text, the reasons it may fall for, and the columns of each stage."""

import hashlib

import pyarrow as pa

from shards.text_kinds import TEXT_KINDS

SCHEMA_VERSION = "1"

REASONS = (
    "bad_url",
    "blocked_scheme",
    "blocked_address",
    "blocklisted",
    "dns_error",
    "connect_error",
    "tls_error",
    "timeout",
    "protocol_error",
    "http_status",
    "too_many_redirects",
    "too_large",
    "decompress_bomb",
    "incomplete_body",
    "empty_body",
    "robots_disallowed",
    "robots_unreachable",
    "opt_out",
    "not_an_image",
    "unsupported_format",
    "decode_error",
    "decode_crash",
    "pixel_bomb",
    "hash_mismatch",
    "bad_text",
    "parse_error",
    "bad_row",
    "worker_oom",
    "not_attempted",
    "removed",
)
"""What the web did: the closed list of drop reasons that are not names of rules."""

STAGES = ("crawl", "collect", "admit", "fetch", "measure", "dedup", "score", "select", "release")

MAX_TEXTS = 32
"""Distinct texts that one sample keeps; `num_pages` goes on counting."""


def uid_of(url: str) -> str:
    """The identity of a canonical image URL (or raw URL, or `file:row`): blake2b-128 as 32 hex digits."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def kind_rank(kind: str) -> tuple[int, str]:
    """Sort key of a text kind: listed kinds in their order, then the others by name."""
    return (TEXT_KINDS.index(kind), "") if kind in TEXT_KINDS else (len(TEXT_KINDS), kind)


RAW_CANDIDATE = pa.schema(
    [
        ("url", pa.string()),  # absolute, as the source gave it; null only for a bad_row
        ("page_url", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),  # as the source gave it
        ("query", pa.string()),
        ("query_rank", pa.int32()),  # the image's place among the query's results, from 1
        ("source", pa.string()),  # the source's kind, or its layout's name
        ("strength", pa.string()),  # strong | weak | null
        ("category", pa.string()),
        ("license", pa.string()),
        ("expected_sha256", pa.string()),  # of the wire bytes, as the list says: 64 hex digits in lower case
        ("origin", pa.string()),  # file:row, or WARC file:offset
        ("warc_record", pa.string()),  # WARC file:offset of the page's record
        ("page_language", pa.string()),  # tag in lower case, as the page declares it, or by its title's script
        ("page_charset", pa.string()),  # Python's name of the codec that read the page
        ("charset_from", pa.string()),  # bom | header | meta | detector | contents: what settled the charset
        ("author", pa.string()),  # of the page, as it names them
        ("is_icon", pa.bool_()),  # by address, declared size and class; null where no page was read
        ("is_tracker", pa.bool_()),
        ("is_spacer", pa.bool_()),
        ("is_avatar", pa.bool_()),
        ("member", pa.string()),  # tar:offset:bytes of an image that lies in the source itself; else null
        ("drop_reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""One row per (image URL, text) as a source yields it, before URLs and texts are made canonical."""

FETCHED = pa.schema(
    [
        ("uid", pa.string()),
        ("drop_reason", pa.string()),
        ("detail", pa.string()),
        ("final_url", pa.string()),
        ("http_status", pa.int32()),
        ("content_type", pa.string()),  # as declared; bytes decide
        ("robots", pa.string()),  # what robots.txt of the final host said: allowed | disallowed | unreachable
        ("opt_out", pa.string()),  # the directive that keeps the image out of training data, and where it stood
        ("etag", pa.string()),  # the validators of the answer, for a later re-check
        ("last_modified", pa.string()),
        ("format", pa.string()),  # of the wire bytes: jpeg | png | webp | gif
        ("bytes", pa.int64()),  # on the wire, after content decoding
        ("sha256", pa.string()),  # of those bytes
        ("original_width", pa.int32()),  # after EXIF orientation
        ("original_height", pa.int32()),
        ("is_animated", pa.bool_()),
        ("alpha_share", pa.float64()),  # share of pixels that are not opaque, 0.0-1.0
        ("width", pa.int32()),  # of the stored copy
        ("height", pa.int32()),
        ("stored_format", pa.string()),  # jpg | png | webp: the member's extension
        ("stored_sha256", pa.string()),
        ("tar_offset", pa.int64()),  # of the member's data in the part's tar
        ("tar_bytes", pa.int64()),
    ]
)
"""One row per sample that fetch was given. Rows with a `drop_reason` have null image columns."""
