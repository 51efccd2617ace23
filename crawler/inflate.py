"""Content decoding within limits: no body grows beyond its bound, whatever its server wrapped it in."""

import zlib

MAX_LAYERS = 2
MAX_RATIO = 200
"""Decompressed bytes for each byte on the wire, judged beyond the first MiB. Pictures and pages stay far below."""

_STEP = 256 * 1024
_MAX_MEMBERS = 1000
_GZIP_MAGIC = b"\x1f\x8b"
_RATIO_FREE_BYTES = 2**20
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class DecompressBombError(Exception):
    """A body that decompresses to more than its bound, or by more than the ratio."""


class UnknownEncodingError(Exception):
    """A Content-Encoding that we did not ask for and do not read."""


class BrokenEncodingError(Exception):
    """A body that is not what its Content-Encoding says."""


class Inflater:
    """Undoes a Content-Encoding piece by piece; `identity` passes through."""

    def __init__(self, content_encoding: str, max_bytes: int, cut: bool = False) -> None:
        named = [name.strip().lower() for name in content_encoding.split(",")]
        encodings = [name for name in named if name not in ("", "identity")]
        if len(encodings) > MAX_LAYERS or any(name not in _WINDOW_BITS for name in encodings):
            raise UnknownEncodingError(f"content-encoding {content_encoding[:80]!r}")
        self._layers = [_Layer(_WINDOW_BITS[name], max_bytes, cut) for name in reversed(encodings)]

    def feed(self, data: bytes) -> bytes:
        """The decoded bytes of the next piece. Beyond the bound it raises DecompressBombError, or with `cut` stops."""
        for layer in self._layers:
            data = layer.feed(data)
        return data

    def finish(self) -> None:
        """Raises BrokenEncodingError unless each layer came to its end."""
        if any(not layer.is_finished for layer in self._layers):
            raise BrokenEncodingError("the compressed body ends too early")


class _Layer:
    def __init__(self, window_bits: int, max_bytes: int, cut: bool) -> None:
        self._window_bits = window_bits
        self._max_bytes = max_bytes
        self._cut = cut
        self._decompressor = zlib.decompressobj(window_bits)
        self._num_in = 0
        self._num_out = 0
        self._num_members = 1
        self._behind_end = b""  # the first byte behind a gzip member, while the second has not come
        self._is_over = False

    @property
    def is_finished(self) -> bool:
        return self._num_in == 0 or self._decompressor.eof

    def feed(self, data: bytes) -> bytes:
        self._allow_raw_deflate(data)
        self._num_in += len(data)
        pieces: list[bytes] = []
        has_more = bool(data)
        while has_more and not self._is_done():
            data = self._start_next_member(data) if self._decompressor.eof else data
            if self._decompressor.eof:
                break
            try:
                piece = self._decompressor.decompress(data, _STEP)
            except zlib.error as error:
                raise BrokenEncodingError(str(error)) from None
            data = self._decompressor.unconsumed_tail or self._decompressor.unused_data
            has_more = bool(data) or len(piece) == _STEP  # a full piece may leave output within zlib
            self._num_out += len(piece)
            self._check()
            pieces.append(piece)
        return b"".join(pieces)

    def _is_done(self) -> bool:
        return self._is_over or (self._cut and self._num_out >= self._max_bytes)

    def _start_next_member(self, data: bytes) -> bytes:
        """A gzip body may have several members (RFC 1952, section 2.2). Else what follows the end is ignored."""
        data, self._behind_end = self._behind_end + data, b""
        if self._window_bits != _WINDOW_BITS["gzip"] or not data.startswith(_GZIP_MAGIC[: len(data)]):
            self._is_over = True
        elif len(data) < len(_GZIP_MAGIC):
            self._behind_end = data
        elif self._num_members == _MAX_MEMBERS:
            raise BrokenEncodingError(f"more than {_MAX_MEMBERS} gzip members")
        else:
            self._num_members += 1
            self._decompressor = zlib.decompressobj(self._window_bits)
        return data

    def _check(self) -> None:
        if self._cut:
            return
        if self._num_out > self._max_bytes:
            raise DecompressBombError(f"more than {self._max_bytes} bytes out of {self._num_in}")
        if self._num_out > _RATIO_FREE_BYTES and self._num_out > MAX_RATIO * self._num_in:
            raise DecompressBombError(f"{self._num_out} bytes out of {self._num_in}")

    def _allow_raw_deflate(self, data: bytes) -> None:
        """Many servers send `deflate` without the zlib header that RFC 9110, section 8.4.1.2, asks for."""
        if self._window_bits == 15 and self._num_in == 0 and data and data[0] & 15 != 8:
            self._decompressor = zlib.decompressobj(-15)
