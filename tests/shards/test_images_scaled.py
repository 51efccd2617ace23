"""The quick ways to a stored copy: they give the picture that the plain way gives, and refuse what is not whole."""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shards import image_scaling, webp_decoder
from shards.image_bytes import PngChunks, inflated_png, png_chunks, repacked_png
from shards.image_scaling import jpeg_scale, target_size
from shards.image_settings import ImageSettings
from shards.images import Decoded, Refusal, read_image, stored_copy

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "images"
ORIGINAL = ImageSettings(keep="original")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width: int, height: int) -> Image.Image:
    """Something with edges, slopes and colours."""
    fractal = Image.effect_mandelbrot((width, height), (-2, -1.2, 0.6, 1.2), 60)
    slope = Image.linear_gradient("L").resize((width, height))
    return Image.merge("RGB", (fractal, slope, slope.transpose(Image.Transpose.ROTATE_180)))


def read(data: bytes, **settings: object) -> Decoded:
    decoded = read_image(data, ImageSettings.model_validate(settings))
    assert isinstance(decoded, Decoded), decoded
    return decoded


def psnr(image: Image.Image, other: Image.Image) -> float:
    error = float(((np.asarray(image, np.float64) - np.asarray(other, np.float64)) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


@pytest.mark.parametrize(
    ("size", "max_side", "short_side", "expected"),
    [
        ((1600, 1200), 512, None, (512, 384)),
        ((1600, 1200), 8192, 256, (341, 256)),
        ((1200, 1600), 8192, 256, (256, 341)),
        ((1600, 1200), 300, 256, (300, 225)),
        ((256, 256), 512, 256, (256, 256)),
        ((255, 900), 8192, 256, (255, 900)),
        ((255, 900), 512, 256, (145, 512)),
        ((5000, 20), 512, 16, (512, 2)),
        ((5000, 20), 8192, 16, (4000, 16)),
        ((9000, 1), 512, None, (512, 1)),
        ((513, 1), 512, 16, (512, 1)),
        ((640, 480), None, None, (640, 480)),
    ],
)
def test_stored_size_is_within_both_bounds_and_never_larger_than_the_image(
    size: tuple[int, int], max_side: int | None, short_side: int | None, expected: tuple[int, int]
) -> None:
    assert target_size(*size, max_side, short_side) == expected
    assert target_size(*size[::-1], max_side, short_side) == expected[::-1]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_shorter_side_is_bounded_by_the_recipe(kind: str) -> None:
    decoded = read(saved(photo(900, 600), kind), short_side_px=100, max_side_px=8192)
    assert decoded.image.size == (150, 100)
    assert (decoded.original_width, decoded.original_height) == (900, 600)


@pytest.mark.parametrize(
    ("size", "target", "scale"),
    [((1600, 1200), (512, 384), 2), ((1024, 768), (512, 384), 2), ((1023, 768), (512, 384), 1),
     ((2048, 1536), (512, 384), 4), ((8000, 4096), (512, 256), 8), ((99999, 99999), (1, 1), 8), ((5, 5), (5, 5), 1)],
)  # fmt: skip
def test_jpegs_are_scaled_on_the_way_but_never_below_the_target(
    size: tuple[int, int], target: tuple[int, int], scale: int
) -> None:
    assert jpeg_scale(size, target) == scale


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{"subsampling": "4:4:4"}, {"subsampling": "4:2:0"}, {"progressive": True}])
@pytest.mark.parametrize("size", [(900, 601), (513, 1030), (1023, 37), (17, 16), (15, 15), (3, 1)])
@pytest.mark.parametrize("max_side", [16, 250, 512, 8192])
def test_the_quick_jpeg_decoder_gives_pillows_pixels(
    mode: str, options: dict[str, object], size: tuple[int, int], max_side: int
) -> None:
    data = saved(photo(*size).convert(mode), "JPEG", quality=90, **options)
    target = target_size(*size, max_side, None)
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft(None, target)  # type: ignore[no-untyped-call, arg-type, unused-ignore]  # None keeps the mode
        opened.load()
        plain = image_scaling.resized(opened, target).convert("RGB")
    assert np.array_equal(np.asarray(read(data, max_side_px=max_side).image), np.asarray(plain))


JPEG = saved(photo(640, 480), "JPEG", quality=90)
PROGRESSIVE = saved(photo(640, 480), "JPEG", quality=90, progressive=True)
_HALF = len(JPEG) // 2
SMALL = saved(photo(158, 88), "JPEG", quality=90)
"""At an eighth of its size it would be too small for the decoder whose warnings count."""


@pytest.mark.parametrize("keep", ["stored", "original"])
@pytest.mark.parametrize("format", ["jpeg", "png"])
@pytest.mark.parametrize(
    "data",
    [
        JPEG[:-2],
        JPEG[:_HALF],
        JPEG[:_HALF] + b"\xff\xd9",  # says that it is whole: grey from the middle on, and Pillow keeps it
        JPEG[:_HALF] + b"\xff\xd9" + JPEG[_HALF:],
        JPEG[:_HALF] + bytes(400) + JPEG[_HALF + 400 :],
        PROGRESSIVE[: len(PROGRESSIVE) // 2],
        SMALL[: len(SMALL) // 2] + b"\xff\xd9",
        saved(photo(300, 200), "PNG")[:-13],
        saved(photo(300, 200), "PNG")[:3000],
        saved(photo(300, 200), "WEBP")[:-40],
        saved(photo(300, 200), "WEBP", lossless=True)[:-40],
        saved(photo(300, 200), "WEBP")[:300],
    ],
)
def test_an_image_that_is_not_whole_is_refused(data: bytes, keep: str, format: str) -> None:
    refused = read_image(data, ImageSettings.model_validate({"keep": keep, "format": format, "short_side_px": 64}))
    assert isinstance(refused, Refusal)
    assert refused.reason == "decode_error"


@pytest.mark.parametrize(
    "data",
    [JPEG[:-2] + b"abc" + JPEG[-2:], JPEG + b"<?php PK", JPEG[:-2] + b"\xff" * 9 + b"\xff\xd9"],
    ids=["bytes before the end", "bytes after the end", "fill bytes"],
)
def test_a_jpeg_with_harmless_bytes_too_many_is_read(data: bytes) -> None:
    assert psnr(read(data).image, read(JPEG).image) == 99.0


@pytest.mark.parametrize("max_side", [100, 150, 299, 512])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_quick_webp_decoder_gives_much_the_same_picture(max_side: int, lossless: bool) -> None:
    data = saved(photo(600, 400), "WEBP", quality=90, lossless=lossless)
    with Image.open(io.BytesIO(data)) as opened:
        plain = opened.convert("RGB").resize(target_size(600, 400, max_side, None), Image.Resampling.LANCZOS)
    decoded = read(data, max_side_px=max_side)
    assert decoded.image.size == plain.size
    assert psnr(decoded.image, plain) > 38
    if max_side == 512:
        assert read(data, max_side_px=8192).image.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def test_webp_with_alpha_a_profile_or_exif_takes_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the quick way was taken")

    monkeypatch.setattr("shards.images.decode_plain_webp", refuse)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = photo(60, 40)
    assert read(saved(image, "WEBP", exif=exif)).original_width == 40
    assert read(saved(image, "WEBP", icc_profile=b"x" * 200)).original_width == 60
    image.putalpha(7)
    assert read(saved(image, "WEBP")).alpha_share == 1.0


def test_without_its_own_interface_webp_is_read_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_decoder, "_library", lambda: None)
    assert read(saved(photo(600, 400), "WEBP"), max_side_px=100).image.size == (100, 67)


def test_where_there_is_no_wheel_of_the_quick_resampler_pillow_gives_much_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(photo(900, 600), "PNG")
    quick = read(data, max_side_px=250).image
    image_scaling._resample.cache_clear()
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    plain = read(data, max_side_px=250).image
    image_scaling._resample.cache_clear()
    assert psnr(quick, plain) > 48


PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def png_of(mode: str, width: int = 61, height: int = 43) -> bytes:
    if mode == "I;16":
        return saved(Image.fromarray(np.arange(width * height, dtype=np.uint16).reshape(height, width)), "PNG")
    return saved(photo(width, height).convert(mode), "PNG")


def chunks_of(data: bytes) -> PngChunks:
    chunks = png_chunks(data)
    assert isinstance(chunks, PngChunks)
    return chunks


@pytest.mark.parametrize("mode", PNG_MODES)
@pytest.mark.parametrize("width", [1, 61, 700])
def test_a_png_with_rows_that_are_not_compressed_is_the_same_picture(mode: str, width: int) -> None:
    data = png_of(mode, width)
    rows = inflated_png(data, chunks_of(data))
    assert rows is not None
    with (
        Image.open(io.BytesIO(data)) as one,
        Image.open(io.BytesIO(repacked_png(data, chunks_of(data), rows))) as other,
    ):
        assert one.mode == other.mode
        assert one.tobytes() == other.tobytes()


def with_pixels(data: bytes, pixels: bytes) -> bytes:
    """A PNG with other compressed rows, in two chunks."""
    chunks = chunks_of(data)
    parts = (pixels[:10], pixels[10:])
    written = [
        struct.pack(">I", len(part)) + b"IDAT" + part + struct.pack(">I", zlib.crc32(b"IDAT" + part)) for part in parts
    ]
    return data[: chunks.pixels[0][0] - 8] + b"".join(written) + data[chunks.pixels[-1][1] + 4 :]


ROWS = b"".join(b"\0" + bytes((row,)) * 183 for row in range(43))


@pytest.mark.parametrize("keep", ["stored", "original"])
@pytest.mark.parametrize(
    ("pixels", "is_read"),
    [
        (zlib.compress(ROWS), True),
        (zlib.compress(ROWS + b"more"), True),
        (zlib.compress(ROWS)[:-1] + b"!", False),
        (zlib.compress(ROWS[:-1]), False),
        (zlib.compress(ROWS[:-400]), False),
        (zlib.compress(ROWS[:184] + b"\5" + ROWS[185:]), False),
        (zlib.compress(ROWS)[:-30], False),
        (b"no zlib stream at all", False),
        (zlib.compress(bytes(30_000_000)), True),
    ],
    ids=[
        "whole",
        "rows too many",
        "wrong adler",
        "byte missing",
        "rows missing",
        "wrong filter",
        "cut",
        "junk",
        "bomb",
    ],
)
def test_rows_of_a_png_are_checked(pixels: bytes, is_read: bool, keep: str) -> None:
    data = with_pixels(png_of("RGB"), pixels)
    found = read_image(data, ImageSettings.model_validate({"keep": keep}))
    assert isinstance(found, Decoded if is_read else Refusal), found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(1600, 1200), (7, 5)])
def test_original_bytes_are_checked_without_a_full_decode(kind: str, size: tuple[int, int]) -> None:
    data = saved(photo(*size), kind)
    decoded = read_image(data, ORIGINAL)
    assert isinstance(decoded, Decoded)
    assert (decoded.original_width, decoded.original_height) == size
    assert stored_copy(data, decoded, ORIGINAL)[0] is data
    assert decoded.image.width * decoded.image.height <= max(size[0] * size[1] // 4, 35) or kind == "WEBP"


@pytest.mark.parametrize("folder", ["pillow-odd", "pngsuite"])
def test_original_bytes_say_of_odd_files_what_a_full_decode_says(folder: str) -> None:
    if not (SHARED / folder).exists():
        pytest.skip("shared test data is missing")
    for path in sorted(path for path in (SHARED / folder).rglob("*") if path.is_file()):
        data = path.read_bytes()
        full, check = read_image(data, ImageSettings()), read_image(data, ORIGINAL)
        if isinstance(full, Refusal):
            assert check == full, path
        else:
            assert isinstance(check, Decoded), path
            for name in ("format", "original_width", "original_height", "is_animated", "alpha_share"):
                assert getattr(check, name) == getattr(full, name), path
