"""What image bytes say before any decoder runs: format, size, checksums, orientation; and a PNG made quick to read."""

import struct
from dataclasses import dataclass

import numpy as np
from isal import isal_zlib

_ONES = np.ones(64, np.float32)
_MAGIC = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"))
# Images that we recognise only to say so: their parsers are never run.
_FOREIGN_MAGIC = (
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"8BPS", "psd"),
    (b"\x00\x00\x00\x0cjP", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL", "jpegxl"),
    (b"\xff\x0a", "jpegxl"),
    (b"%!PS", "eps"),
    (b"<svg", "svg"),
)
_WEBP_EXTRAS = 0x20 | 0x10 | 0x08 | 0x02  # VP8X: a profile, alpha, EXIF, an animation
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
_PLAIN_JPEG_SEGMENTS = (*_JPEG_FRAMES, 0xC4, 0xDB, 0xDD, 0xE0)  # Huffman and quantisation tables, restarts, JFIF
_START_OF_SCAN = 0xDA
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_LAST_PNG_FILTER = 4
_MAX_STORED_BLOCK = 65535  # RFC 1951 3.2.4
_MAX_INFLATED_BYTES = 32 * 2**20  # larger ones are rare, and would lie in memory three times


def sniff(data: bytes) -> str | None:
    """The format whose magic number the bytes start with: jpeg, png, webp, gif or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def foreign_format(data: bytes) -> str | None:
    """The name of an image format that is never read."""
    if data[4:8] == b"ftyp":
        return data[8:12].decode("ascii", "replace").strip()
    head = data[:512].lstrip()
    if head.startswith(b"<?xml") and b"<svg" in data[:4096]:
        return "svg"
    return next((name for magic, name in _FOREIGN_MAGIC if head.startswith(magic) or data.startswith(magic)), None)


def plain_jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """Width, height and channels of a JPEG that is grey or YCbCr, of 8 bits, without EXIF, a profile or Adobe's word on
    its colours: pixels and no more, as in stored copies. None for any other.

    What is wrong with its segments is the decoder's to say.
    """
    frame: tuple[int, int, int] | None = None
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker, length = data[offset + 1], int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == _START_OF_SCAN:
            return frame
        if marker not in _PLAIN_JPEG_SEGMENTS:
            return None
        if marker in _JPEG_FRAMES:
            if frame is not None or offset + 10 > len(data):
                return None
            depth, height, width, channels = struct.unpack_from(">BHHB", data, offset + 4)
            if depth != 8 or channels not in (1, 3) or not width or not height:
                return None
            frame = width, height, channels
        offset += 2 + length
    return None


def webp_size(data: bytes) -> tuple[int, int]:
    """Canvas size from the first chunk's header; zeros where it cannot be read (the decoder will say why)."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return 0, 0
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
    return width & 0x3FFF, height & 0x3FFF


def is_plain_webp(data: bytes) -> bool:
    """One opaque picture without a profile or EXIF, as far as the container says."""
    return data[12:16] in (b"VP8 ", b"VP8L") or (data[12:16] == b"VP8X" and not data[20] & _WEBP_EXTRAS)


@dataclass(frozen=True)
class PngChunks:
    """Where the parts of a PNG lie: (start, end) of each chunk's data between its name and its checksum."""

    header: tuple[int, ...]
    pixels: tuple[tuple[int, int], ...]
    names: frozenset[bytes]
    end: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of pixels, after the byte that names its filter."""
        width, _, depth, color = self.header[:4]
        return (width * depth * _PNG_CHANNELS.get(color, 0) + 7) // 8

    @property
    def is_interlaced(self) -> bool:
        return self.header[6] != 0

    @property
    def is_plain(self) -> bool:
        """One opaque, upright picture of 8 bits; what is wrong with anything else is the decoder's to say."""
        return self.header[2:4] in ((8, 0), (8, 2)) and not self.names & {b"tRNS", b"eXIf", b"acTL"}

    def has_wrong_filter(self, rows: bytes) -> bool:
        return max(rows[:: self.row_bytes + 1]) > _LAST_PNG_FILTER


def png_chunks(data: bytes) -> PngChunks | str:
    """The chunks of a PNG, or its fault: no end, or a wrong checksum of a critical chunk.

    Pillow is content once it has all pixels, so it would not notice either.
    """
    view, offset = memoryview(data), 8
    header: tuple[int, ...] = ()
    pixels: list[tuple[int, int]] = []
    names: set[bytes] = set()
    while offset + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if not name[0] & 32 and end <= len(data):
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if _crc32(view[offset + 4 : end - 4]) != checksum:
                return f"wrong checksum of chunk {name!r}"
        names.add(name)
        if name == b"IHDR" and length == 13 and not header:
            header = struct.unpack_from(">IIBBBBB", data, offset + 8)
        elif name == b"IDAT":
            pixels.append((offset + 8, end - 4))
        elif name == b"IEND":
            return PngChunks(header, tuple(pixels), frozenset(names), end) if header else "no header"
        offset = end
    return "the file ends too early"


def inflated_png(data: bytes, chunks: PngChunks) -> bytes | None:
    """A PNG's rows, each after its filter's byte; None where Pillow had better judge. At half of zlib's cost."""
    expected = (chunks.row_bytes + 1) * chunks.header[1]
    if chunks.is_interlaced or not chunks.pixels or not 0 < expected <= _MAX_INFLATED_BYTES:
        return None
    view = memoryview(data)
    inflater = isal_zlib.decompressobj()
    try:
        rows = inflater.decompress(b"".join(view[start:end] for start, end in chunks.pixels), expected + 1)
    except isal_zlib.error:  # type: ignore[misc]  # its stub takes the class for an instance
        return None
    finally:
        _leave_vector_registers_clean()
    return rows if len(rows) == expected and inflater.eof else None


def repacked_png(data: bytes, chunks: PngChunks, rows: bytes) -> bytes:
    """The same PNG with its rows not compressed any more, in one chunk."""
    packed = _stored_stream(rows)
    parts = [data[: chunks.pixels[0][0] - 8], struct.pack(">I", len(packed)), b"IDAT", packed, b"\0\0\0\0"]
    ends = [end + 4 for _, end in chunks.pixels]
    starts = [*(start - 8 for start, _ in chunks.pixels[1:]), chunks.end]
    return b"".join([*parts, *(data[end:start] for end, start in zip(ends, starts, strict=True))])


def _stored_stream(rows: bytes) -> bytes:
    view = memoryview(rows)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(rows), _MAX_STORED_BLOCK):
        block = view[start : start + _MAX_STORED_BLOCK]
        is_last = start + _MAX_STORED_BLOCK >= len(rows)
        parts += [struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF), block]
    checksum = isal_zlib.adler32(rows)
    _leave_vector_registers_clean()
    return b"".join([*parts, struct.pack(">I", checksum)])


def _crc32(data: memoryview) -> int:
    checksum: int = isal_zlib.crc32(data)
    _leave_vector_registers_clean()
    return checksum


def _leave_vector_registers_clean() -> None:
    """isal 1.8 returns without VZEROUPPER, and then SSE code takes five times as long, in this thread, until somebody's
    code has one: numpy's addition does. Measured on an x86 with AVX-512: Lanczos after an inflate 4.9 ms, else 1.1 ms.
    """
    np.add(_ONES, _ONES)


def orientation_of(exif: object) -> int:
    """EXIF tag 0x0112 of the first directory, 1 to 8; anything unsound is 1 (upright)."""
    if not isinstance(exif, bytes):
        return 1
    tiff = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 14:
        return 1
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for offset in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, offset)
        if tag == 0x0112:
            return int(value) if kind == 3 and 1 <= value <= 8 else 1
    return 1
