"""Promises 25 to 33, and 10: images that explode, crash, lie or carry what must not be stored."""

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from shards.tars import TarReader
from tests.crawler.promises.servers import Exchange, Row, Site, download, fixed, sites

SECRET = b"SECRET<?php system($_GET[0]); ?>"
PHOTO = Image.merge("RGB", [Image.linear_gradient("L").rotate(turn).resize((320, 240)) for turn in (0, 90, 180)])
PLAIN = Image.new("RGB", (320, 240), (200, 40, 90))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 2) -> bytes:
    """A PNG whose header says what we like."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *chunks, chunk(b"IEND", b"")])


def zeros(count: int) -> bytes:
    """So many zero bytes, deflated, without ever holding them."""
    deflater, pieces = zlib.compressobj(9), []
    for left in range(count, 0, -(2**22)):
        pieces.append(deflater.compress(bytes(min(left, 2**22))))
    return b"".join([*pieces, deflater.flush()])


def one_bit_png(side: int) -> bytes:
    """A real black image of side x side pixels, some thousand times smaller than they."""
    return png(side, side, chunk(b"IDAT", zeros((side // 8 + 1) * side)), depth=1, color=0)


def with_chunk(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose frame header lies about its size."""
    data = bytearray(saved(PHOTO, "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_of_frames(count: int) -> bytes:
    frame = b"\x21\xf9\4\0\1\0\0\0\x2c\0\0\0\0\2\0\2\0\0\2\3\x44\x02\5\0"
    return b"GIF89a\2\0\2\0\x80\0\0" + b"\xff\0\0\0\0\xff" + frame * count + b"\x3b"


def exif_of(*tags: tuple[int, object], gps: bool = False) -> bytes:
    exif = Image.Exif()
    for tag, value in tags:
        exif[tag] = value
    if gps:
        exif.get_ifd(0x8825)[2] = (39.0, 54.0, 15.0)
        exif.get_ifd(0x8825)[29] = SECRET.decode()
    return exif.tobytes()


def text_chunk(kind: bytes, size: int) -> bytes:
    head = {b"zTXt": b"key\0\0", b"iTXt": b"key\0\1\0\0\0", b"iCCP": b"key\0\0"}[kind]
    return chunk(kind, head + zeros(size))


def swapped_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@dataclass(frozen=True)
class Picture:
    """Bytes of an image, and what its row must say; `reasons` holds None where it may be kept."""

    name: str
    data: bytes
    reasons: tuple[str | None, ...]
    size: tuple[int, int] | None = None
    color: tuple[int, int, int] | None = None


JPEG, PNG, GIF = saved(PHOTO, "JPEG", quality=90), saved(PHOTO, "PNG"), saved(PHOTO.convert("P"), "GIF")
WEBP = saved(PHOTO, "WEBP", quality=90)
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"

BOMBS = [
    Picture("promise 25: 900 megapixels in 110 KB", one_bit_png(30_000), ("pixel_bomb",)),
    Picture("promise 25: 81 megapixels, below Pillow's own limit", one_bit_png(9_000), ("pixel_bomb",)),
    Picture("promise 25: just over the limit", one_bit_png(6_325), ("pixel_bomb",)),
    Picture("promise 25: a PNG header of 2**31 by 2**31", png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", zeros(99))),
            ("pixel_bomb", "decode_error")),
    Picture("promise 25: a PNG that is longer than its header says", png(4, 4, chunk(b"IDAT", zeros(2**24))),
            (None, "decode_error")),
    Picture("promise 25: a PNG that is shorter than its header says", png(6000, 6000, chunk(b"IDAT", zeros(99))),
            ("decode_error",)),
    Picture("promise 25: a JPEG header of 65 500 by 65 500", jpeg_of_size(65_500, 65_500), ("pixel_bomb",)),
    Picture("promise 25: a JPEG header within the limit, without the pixels", jpeg_of_size(6_300, 6_300),
            ("decode_error",)),
    Picture("promise 25: a GIF screen of 65 535 by 65 535",
            b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0\x3b", ("pixel_bomb",)),
    Picture("promise 25: a GIF frame beyond its screen",
            b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\xff\xff\xff\xff\0\2\2\x44\1\0\x3b",
            ("pixel_bomb", "decode_error")),
    Picture("promise 25: a WebP canvas of 2**24 by 2**24",
            b"RIFF\x3c\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + b"\0" * 40,
            ("pixel_bomb", "decode_error")),
    Picture("promise 25: a lossless WebP of 16 384 by 16 384",
            b"RIFF\x3c\0\0\0WEBPVP8L\x20\0\0\0\x2f\xff\xff\xff\x0f" + b"\0" * 40, ("pixel_bomb", "decode_error")),
]  # fmt: skip

FOREIGN = [
    Picture(f"promise 26: {name}", data, ("unsupported_format", "not_an_image"))
    for name, data in {
        "BMP": saved(PHOTO, "BMP"),
        "TIFF": saved(PHOTO, "TIFF"),
        "ICO": saved(PHOTO, "ICO"),
        "PCX": saved(PHOTO, "PCX"),
        "PPM": saved(PHOTO, "PPM"),
        "TGA": saved(PHOTO, "TGA"),
        "SGI": saved(PHOTO, "SGI"),
        "EPS": saved(PHOTO, "EPS"),
        "EPS in a binary header": b"\xc5\xd0\xd3\xc6"
        + struct.pack("<II", 30, 99)
        + b"\0" * 22
        + b"%!PS-Adobe-3.0 EPSF",
        "PDF": PDF,
        "PSD": b"8BPS\0\1" + b"\0" * 200,
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "SVG with a declaration": b'<?xml version="1.0"?>\n<!-- x -->\n<svg/>',
        "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 99,
        "JPEG XL": b"\xff\x0a" + b"\0" * 99,
        "WMF": b"\xd7\xcd\xc6\x9a" + b"\0" * 99,
        "FITS": b"SIMPLE  =                    T" + b" " * 3000,
        "a font": b"\0\1\0\0" + b"\0" * 99,
        "a program": b"\x7fELF\2\1\1" + b"\0" * 99,
        "a script": b"#!/bin/sh\necho hello\n",
        "a page": b"<!doctype html><title>404</title>",
        "a page that starts like a picture": b"GIF8 is a format",
        "a sound in RIFF": b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 40,
        "a film in RIFF": b"RIFF\x24\0\0\0AVI LIST" + b"\0" * 40,
        "nothing but the magic of a JPEG": b"\xff\xd8",
    }.items()
]

METADATA = [
    Picture("promise 28: a zTXt bomb", with_chunk(PNG, text_chunk(b"zTXt", 2**24)), (None, "decode_error")),
    Picture("promise 28: a hundred zTXt bombs", with_chunk(PNG, *[text_chunk(b"zTXt", 2**22)] * 100),
            (None, "decode_error")),
    Picture("promise 28: an iTXt bomb", with_chunk(PNG, text_chunk(b"iTXt", 2**24)), (None, "decode_error")),
    Picture("promise 28: an iCCP bomb", with_chunk(PNG, text_chunk(b"iCCP", 2**24)), (None, "decode_error")),
    Picture("promise 28: a tEXt of 3 MB", with_chunk(PNG, chunk(b"tEXt", b"key\0" + b"x" * 3_000_000)),
            (None, "decode_error")),
    Picture("promise 28: 100 000 empty chunks", with_chunk(PNG, chunk(b"tEXt", b"k\0") * 100_000),
            (None, "decode_error")),
    Picture("promise 28: an EXIF of 64 KB that points into itself",
            saved(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff"
                  + b"\x0e\1\2\0\xff\xff\xff\x7f\x08\0\0\0" * 5000), (None,)),
    Picture("promise 28: an EXIF directory without end",
            saved(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0"), (None,)),
    Picture("promise 28: a JPEG of 200 comments", JPEG[:2] + (b"\xff\xfe\xff\xff" + b"c" * 65533) * 200 + JPEG[2:],
            (None,)),
    Picture("promise 28: a WebP with 8 MB of XMP", saved(PHOTO, "WEBP", xmp=b"x" * 8_000_000), (None,)),
]  # fmt: skip

FRAMES = [
    Picture("promise 29: a GIF of 20 000 frames", gif_of_frames(20_000), (None,), (2, 2)),
    Picture("promise 29: a GIF of frames without end", gif_of_frames(5_000)[:-1], (None, "decode_error")),
    Picture("promise 29: an animated PNG", saved(PLAIN, "PNG", save_all=True, append_images=[PHOTO] * 3), (None,),
            (320, 240), (200, 40, 90)),
    Picture("promise 29: an animated WebP", saved(PLAIN, "WEBP", save_all=True, append_images=[PHOTO] * 3,
                                                  lossless=True), (None,), (320, 240), (200, 40, 90)),
]  # fmt: skip

LARGE_EXIF = exif_of((0x010E, SECRET.decode()), (0x013B, SECRET.decode()), gps=True)
TEXTS = PngImagePlugin.PngInfo()
TEXTS.add_text("Comment", SECRET.decode())
TEXTS.add_itxt("XML:com.adobe.xmp", SECRET.decode())
POLYGLOTS = [
    Picture(f"promise 30: {name}", data, (None,), (320, 240))
    for name, data in {
        "a GIF that is a script": GIF[:-1] + b"\x21\xfe" + bytes([len(SECRET)]) + SECRET + b"\0\x3b*/=1;" + SECRET,
        "a JPEG and a ZIP": JPEG + b"PK\3\4" + SECRET + b"PK\5\6" + b"\0" * 18,
        "a PNG and a page": PNG + b"<script>" + SECRET,
        "a WebP and a PDF": WEBP + PDF + SECRET,
        "a JPEG within the comment of a JPEG": JPEG[:2] + b"\xff\xfe" + struct.pack(">H", len(SECRET) + 2) + SECRET
        + JPEG[2:],
        "a script in a PNG's own chunk": with_chunk(PNG, chunk(b"phPx", SECRET)),
        "GPS and a name in a JPEG's EXIF": saved(PHOTO, "JPEG", exif=LARGE_EXIF),
        "GPS in a PNG's EXIF": saved(PHOTO, "PNG", exif=LARGE_EXIF, pnginfo=TEXTS),
        "GPS in a WebP's EXIF": saved(PHOTO, "WEBP", exif=LARGE_EXIF, xmp=SECRET),
        "a comment in a JPEG": saved(PHOTO, "JPEG", comment=SECRET, icc_profile=ImageCms.ImageCmsProfile(
            ImageCms.createProfile("sRGB")).tobytes()),
        "a comment in a GIF": saved(PHOTO.convert("P"), "GIF", comment=SECRET),
    }.items()
]  # fmt: skip


def grey_alpha() -> Image.Image:
    image = Image.new("LA", (320, 240), (40, 255))
    image.paste((40, 0), (0, 0, 320, 240))
    return image


ODD = [
    Picture("promise 31: CMYK", saved(Image.new("CMYK", (320, 240), (0, 255, 255, 0)), "JPEG", quality=98), (None,),
            (320, 240)),
    Picture("promise 31: 16-bit grey", saved(Image.new("I;16", (320, 240), 0x80FF), "PNG"), (None,), (320, 240),
            (128, 128, 128)),
    Picture("promise 31: 16-bit colour", png(4, 4, chunk(b"IDAT", zlib.compress(
        (b"\0" + b"\x80\xff\x10\x00\xff\xff" * 4) * 4)), depth=16), (None,), (4, 4), (128, 16, 255)),
    Picture("promise 31: a palette with transparency",
            saved(Image.new("P", (320, 240), 0), "PNG", transparency=0), (None,), (320, 240), (255, 255, 255)),
    Picture("promise 31: grey with alpha", saved(grey_alpha(), "PNG"), (None,), (320, 240), (255, 255, 255)),
    Picture("promise 31: colour with alpha", saved(Image.new("RGBA", (320, 240), (255, 0, 0, 128)), "PNG"), (None,),
            (320, 240), (255, 127, 127)),
    Picture("promise 31: one bit", saved(Image.new("1", (320, 240), 1), "PNG"), (None,), (320, 240), (255, 255, 255)),
    Picture("promise 31: a profile of another space", saved(PLAIN, "PNG", icc_profile=swapped_profile()), (None,),
            (320, 240)),
    Picture("promise 31: a broken profile", saved(PLAIN, "JPEG", icc_profile=b"broken" * 50), (None,), (320, 240),
            (200, 40, 90)),
    *[Picture(f"promise 31: orientation {turn}", saved(PHOTO, "JPEG", exif=exif_of((0x0112, turn))), (None,),
              (240, 320) if turn >= 5 else (320, 240)) for turn in range(1, 9)],
    Picture("promise 31: an orientation that is none", saved(PHOTO, "JPEG", exif=exif_of((0x0112, 77))), (None,),
            (320, 240)),
]  # fmt: skip


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


BROKEN = [
    *[Picture(f"promise 32: {name} cut at {share:.0%}", data[: int(len(data) * share)],
              ("decode_error", "not_an_image"))
      for name, data in {"JPEG": JPEG, "PNG": PNG, "WEBP": WEBP, "GIF": GIF,
                         "progressive JPEG": saved(PHOTO, "JPEG", progressive=True)}.items()
      for share in (0.02, 0.3, 0.6, 0.95)],
    Picture("promise 32: a JPEG without its end marker", JPEG[:-2], ("decode_error", None)),
    Picture("promise 32: a PNG without its end", PNG[:-12], ("decode_error",)),
    Picture("promise 32: a PNG with a wrong checksum of its pixels", flipped(PNG, PNG.index(b"IDAT") + 60),
            ("decode_error",)),
    Picture("promise 32: a PNG with a wrong checksum of its header", flipped(PNG, 30), ("decode_error",)),
    Picture("promise 32: a PNG without pixels", png(4, 4), ("decode_error",)),
    Picture("promise 32: a JPEG full of zeros", JPEG[:400] + bytes(len(JPEG) - 400), ("decode_error",)),
    Picture("promise 32: a JPEG without tables", JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0"):], ("decode_error",)),
    Picture("promise 32: an image of no width", png(0, 4, chunk(b"IDAT", zeros(4))), ("decode_error",)),
]  # fmt: skip

SMALL = [
    Picture("promise 33: one pixel", saved(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"), (None,), (1, 1)),
    Picture("promise 33: a tracker", b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0\x3b",
            (None,), (1, 1)),
    Picture("promise 33: a strip of 2000 by 8", saved(Image.new("RGB", (2000, 8)), "JPEG"), (None,), (2000, 8)),
    Picture("promise 33: a strip of 8 by 2000", saved(Image.new("RGB", (8, 2000)), "PNG"), (None,), (8, 2000)),
]  # fmt: skip

PICTURES = [*BOMBS, *FOREIGN, *METADATA, *FRAMES, *POLYGLOTS, *ODD, *BROKEN, *SMALL]


@dataclass(frozen=True)
class Outcome:
    rows: dict[str, Row]
    stored: dict[str, bytes]
    seconds: float


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("images")
    pages = {f"/{number}": fixed(picture.data) for number, picture in enumerate(PICTURES)}
    started = time.monotonic()
    with sites(Site(pages)) as [site]:
        urls = [site.url(path) for path in pages]
        fetch: dict[str, object] = {"decoders": 2, "give_up_after": 999, "total_timeout_s": 20}
        found = download(folder, urls, [site], fetch=fetch, crawler={"per_host": {"concurrency": 16, "delay_s": 0.0}})
    rows = {picture.name: found[url] for picture, url in zip(PICTURES, urls, strict=True)}
    with TarReader(folder / "part.tar") as tar:
        stored = {
            name: tar.read(row["tar_offset"], row["tar_bytes"])  # type: ignore[arg-type]  # ints of a kept row
            for name, row in rows.items()
            if row["tar_offset"] is not None
        }
    return Outcome(rows, stored, time.monotonic() - started)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_every_image_is_kept_whole_or_refused_with_its_reason(picture: Picture, outcome: Outcome) -> None:
    row = outcome.rows[picture.name]
    assert row["drop_reason"] in picture.reasons, row
    if row["drop_reason"] is not None:
        assert row["tar_offset"] is None
        return
    assert row["sha256"] == hashlib.sha256(picture.data).hexdigest()
    stored = outcome.stored[picture.name]
    assert row["stored_sha256"] == hashlib.sha256(stored).hexdigest()
    assert SECRET[:6] not in stored
    if picture.size is not None:
        assert (row["original_width"], row["original_height"]) == picture.size
    with Image.open(io.BytesIO(stored)) as again:
        again.load()
        assert (again.format, again.mode, again.size) == ("JPEG", "RGB", (row["width"], row["height"]))
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
        assert not again.getexif()
        assert stored.endswith(b"\xff\xd9")
        if picture.color is not None:
            found = np.asarray(again, np.int16)[again.height // 2, again.width // 2]
            assert np.abs(found - picture.color).max() <= 4, found


def test_promise_31_what_is_stored_is_the_same_each_time(outcome: Outcome, tmp_path: Path) -> None:
    """promise 31: the conversion is deterministic, whatever was decoded before it in the same process."""
    chosen = [picture for picture in PICTURES if picture.name in outcome.stored][::-5]
    with sites(Site({f"/{n}": fixed(picture.data) for n, picture in enumerate(chosen)})) as [site]:
        urls = [site.url(f"/{n}") for n in range(len(chosen))]
        rows = download(tmp_path, urls, [site])
    for url, picture in zip(urls, chosen, strict=True):
        assert rows[url]["stored_sha256"] == outcome.rows[picture.name]["stored_sha256"]


def test_promise_31_orientations_show_the_same_corner(outcome: Outcome) -> None:
    """promise 31: a photograph that is stored turned comes out upright: its marked corner moves as EXIF says."""
    corners = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    stored = outcome.stored
    upright = np.asarray(Image.open(io.BytesIO(stored["promise 31: orientation 1"])), np.int16)
    for turn, (row, column) in corners.items():
        turned = np.asarray(Image.open(io.BytesIO(stored[f"promise 31: orientation {turn}"])), np.int16)
        assert np.abs(turned[row, column] - upright[0, 0]).max() <= 12, turn


def test_promise_30_raw_bytes_are_stored_only_where_the_recipe_says_so(tmp_path: Path) -> None:
    """promise 30: `keep: original` stores the very bytes, and the row's two digests say that they are the same."""
    data = {"/jpeg": JPEG + SECRET, "/gif": GIF + SECRET, "/cut": JPEG[:-300], "/bomb": one_bit_png(9_000)}
    with sites(Site({path: fixed(body) for path, body in data.items()})) as [site]:
        urls = {path: site.url(path) for path in data}
        rows = download(tmp_path, [*urls.values()], [site], image={"keep": "original"})
    kept, gif = rows[urls["/jpeg"]], rows[urls["/gif"]]
    assert kept["stored_sha256"] == kept["sha256"] == hashlib.sha256(data["/jpeg"]).hexdigest()
    assert gif["stored_format"] == "jpg"
    assert gif["stored_sha256"] != gif["sha256"]
    assert rows[urls["/cut"]]["drop_reason"] == "decode_error"
    assert rows[urls["/bomb"]]["drop_reason"] == "pixel_bomb"


def test_promise_27_a_decoder_that_is_killed_costs_no_other_image(tmp_path: Path) -> None:
    """promise 27: whatever ends decoding processes from outside, each image is tried again on a fresh one."""
    bodies = {f"/{n}": saved(PHOTO.resize((200 + n, 200)), "PNG") for n in range(48)}
    own = os.getpid()

    def decoders() -> list[int]:
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                text = status.read_text()
                command = (status.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if f"\nPPid:\t{own}\n" in text and b"decoder" in command:
                found.append(int(status.parent.name))
        return found

    def is_limited(pid: int) -> bool:
        """A process limits itself as the last step of its start."""
        try:
            limits = Path(f"/proc/{pid}/limits").read_text()
        except OSError:
            return False
        return "unlimited" not in next(line for line in limits.splitlines() if line.startswith("Max address space"))

    def slow(exchange: Exchange) -> None:
        time.sleep(0.15)
        exchange.answer(bodies[exchange.path])

    killed: list[int] = []

    def kill_two() -> None:
        until = time.monotonic() + 6
        while len(killed) < 2 and time.monotonic() < until:
            for pid in [pid for pid in decoders() if is_limited(pid)]:
                time.sleep(0.2)  # it is at work by then
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_two)
    with sites(Site(dict.fromkeys(bodies, slow))) as [site]:
        killer.start()
        rows = download(tmp_path, [site.url(path) for path in bodies], [site])
        killer.join()
    assert killed
    assert sum(row["drop_reason"] is not None for row in rows.values()) == 0, rows
    assert not decoders()


MEASURE = """
import json, pathlib, resource, sys
sys.path[:] = json.loads(sys.argv[4])
from tests.crawler.promises.servers import Site, download
folder, address, paths = pathlib.Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
class Listed:
    address = address
def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm") and "kB" in line}
    return found["VmHWM"] / 1024, found["VmRSS"] / 1024
def run(name, paths):
    (folder / name).mkdir()
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = peak()[1]
    urls = [f"http://{address}{path}" for path in paths]
    crawler = {"per_host": {"concurrency": 8, "delay_s": 0.0}}
    rows = download(folder / name, urls, [Listed], crawler=crawler, fetch={"give_up_after": 999})
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    reasons = sorted({str(row["drop_reason"]) for row in rows.values()})
    return {"grown": peak()[0] - before, "child": child, "reasons": reasons}
run("warm", paths["plain"][:2])
print(json.dumps({name: run(name, paths[name]) for name in ("plain", "bodies", "bombs")}))
"""


def test_promise_10_and_25_bombs_cost_less_than_64_mb(tmp_path: Path) -> None:
    """promise 10 (and 25, 28): peak memory of a process that downloads bombs, and of its decoding processes."""
    small = saved(PHOTO, "JPEG")
    bomb = zeros(2**27)
    pages = {f"/plain{n}": fixed(small) for n in range(10)}
    pages |= {f"/body{n}": fixed(bomb, "Content-Encoding: deflate") for n in range(5)}
    pages["/body5"] = fixed(zlib.compress(bomb, 9), "Content-Encoding: deflate, deflate")
    pages["/body6"] = fixed(bomb[2:-4], "Content-Encoding: deflate")
    pages |= {f"/bomb{n}": fixed(one_bit_png(side)) for n, side in enumerate((9_000, 30_000))}
    pages["/bomb2"] = fixed(with_chunk(PNG, text_chunk(b"zTXt", 2**26)))
    pages["/bomb3"] = fixed(with_chunk(PNG, text_chunk(b"iCCP", 2**26)))
    pages["/bomb4"] = fixed(png(4, 4, chunk(b"IDAT", bomb)))
    pages["/bomb5"] = fixed(jpeg_of_size(65_500, 65_500))
    pages["/bomb6"] = fixed(gif_of_frames(20_000))
    paths = {kind: [path for path in pages if path.startswith(f"/{start}")]
             for kind, start in (("plain", "plain"), ("bodies", "body"), ("bombs", "bomb"))}  # fmt: skip
    with sites(Site(pages)) as [site]:
        command = [sys.executable, "-c", MEASURE, str(tmp_path), site.address, json.dumps(paths), json.dumps(sys.path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["plain"]["reasons"] == ["None"]
    assert found["bodies"]["reasons"] == ["decompress_bomb"]
    assert found["bodies"]["grown"] < 64, found
    assert found["bombs"]["grown"] < 64, found
    assert found["bombs"]["child"] - found["plain"]["child"] < 64, found
