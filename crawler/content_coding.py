"""HTTP bodies as they went over the wire, undone within a bound: chunks, gzip, deflate, brotli."""

import zlib

MAX_CODINGS = 3
_STEP = 1 << 18
_MAX_CHUNK_LINE = 256


class CodingError(ValueError):
    """A body that is not in the coding that its headers state."""


class TooLargeError(CodingError):
    """A body that grows beyond the bound when it is decoded."""


def decode_body(body: bytes, content_encoding: str | None, max_bytes: int) -> bytes:
    """The body without its content codings. Raises TooLargeError beyond `max_bytes`, CodingError for broken ones.

    A body that states gzip or deflate but is plain passes as it is: archives and servers do that.
    """
    codings = [coding.strip().lower() for coding in (content_encoding or "").split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if len(codings) > MAX_CODINGS:
        raise CodingError(f"{len(codings)} content codings")
    for coding in reversed(codings):
        body = _decode_one(body, coding, max_bytes)
    if len(body) > max_bytes:
        raise TooLargeError(f"more than {max_bytes} bytes")
    return body


def dechunk(body: bytes) -> bytes:
    """The body without chunked framing; as it is where the framing is not there (archives often took it off)."""
    pieces: list[bytes] = []
    position = 0
    while True:
        end = body.find(b"\n", position, position + _MAX_CHUNK_LINE)
        size = _chunk_size(body[position:end]) if end >= 0 else None
        if size is None:
            return b"".join(pieces) if pieces else body
        position = end + 1
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[position : position + size])
        position += size
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1


def _chunk_size(line: bytes) -> int | None:
    digits = line.split(b";", 1)[0].strip()
    if not digits or len(digits) > 8:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


def _decode_one(body: bytes, coding: str, max_bytes: int) -> bytes:
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, zlib.MAX_WBITS | 16, max_bytes) if body.startswith(b"\x1f\x8b") else body
    if coding == "deflate":
        is_zlib = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return _inflate(body, zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS, max_bytes)
    if coding == "br":
        return _unbrotli(body, max_bytes)
    raise CodingError(f"unknown content coding {coding[:40]!r}")


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    """All members of a gzip, or the one stream of a deflate; what was cut short is a CodingError."""
    out, left = bytearray(), body
    while left:
        stream = zlib.decompressobj(window_bits)
        while not stream.eof:
            try:
                piece = stream.decompress(left, _STEP)
            except zlib.error as error:
                raise CodingError(str(error)) from error
            out += piece
            if len(out) > max_bytes:
                raise TooLargeError(f"more than {max_bytes} bytes once decompressed")
            left = stream.unconsumed_tail
            if not piece and not left and not stream.eof:
                raise CodingError("compressed data cut short")
        left = stream.unused_data
        if window_bits <= zlib.MAX_WBITS or not left.startswith(b"\x1f\x8b"):
            break
    return bytes(out)


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    import brotli  # type: ignore[import-untyped]  # ships no types

    stream, out, left = brotli.Decompressor(), bytearray(), body
    try:
        while not stream.is_finished():
            piece = stream.process(left, output_buffer_limit=_STEP)
            out += piece
            left = b""
            if len(out) > max_bytes:
                raise TooLargeError(f"more than {max_bytes} bytes once decompressed")
            if not piece and stream.can_accept_more_data():
                raise CodingError("compressed data cut short")
    except brotli.error as error:
        raise CodingError(str(error)) from error
    return bytes(out)
