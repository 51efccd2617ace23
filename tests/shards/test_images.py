"""Hostile and odd images: what is refused, and what the stored copies of the others look like."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from shards.image_bytes import plain_jpeg_frame
from shards.image_settings import ImageSettings
from shards.images import Decoded, Refusal, decode_stored, encode_stored, read_image, stored_copy

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "images"
SETTINGS = ImageSettings()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(data: bytes, **settings: object) -> Decoded:
    decoded = read_image(data, ImageSettings.model_validate(settings))
    assert isinstance(decoded, Decoded), decoded
    return decoded


def refusal(data: bytes, **settings: object) -> str:
    refused = read_image(data, ImageSettings.model_validate(settings))
    assert isinstance(refused, Refusal)
    return refused.reason


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG whose header says what we like."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([_chunk(b"IHDR", header), *chunks, _chunk(b"IEND", b"")])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PLAIN = Image.new("RGB", (20, 10), (10, 200, 30))
GRADIENT = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
JPEG = saved(GRADIENT, "JPEG", quality=95)
GIF_FRAME = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0\x3b"
PIXELS = _chunk(b"IDAT", zlib.compress(b"\0" + b"\x10\x20\x30" * 4))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"),
        (b"<html>hello</html>", "not_an_image"),
        (b"\xff\xd8", "not_an_image"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "not_an_image"),
        (saved(PLAIN, "BMP"), "unsupported_format"),
        (saved(PLAIN, "TIFF"), "unsupported_format"),
        (saved(PLAIN, "ICO"), "unsupported_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported_format"),
        (b"8BPS\0\1", "unsupported_format"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
        (b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg/>", "unsupported_format"),
        (JPEG[:200], "decode_error"),
        (JPEG[: len(JPEG) // 2], "decode_error"),
        (saved(PLAIN, "PNG")[:60], "decode_error"),
        (saved(PLAIN, "WEBP")[:60], "decode_error"),
        (saved(PLAIN, "GIF")[:20], "decode_error"),
        (saved(PLAIN, "PNG")[:-20] + b"\0" * 20, "decode_error"),
        (png(0, 10, PIXELS), "decode_error"),
        (png(30_000, 30_000, PIXELS), "pixel_bomb"),
        (png(9000, 9000, PIXELS), "pixel_bomb"),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0" + b"\0" * 40, "pixel_bomb"),
        (b"GIF89a\xff\xff\xff\xff\x80\0\0" + b"\0\0\0\xff\xff\xff" + GIF_FRAME, "pixel_bomb"),
        (png(4, 1, PIXELS[:-1] + b"!"), "decode_error"),
        (png(4, 1, PIXELS)[:-1], "decode_error"),
        (png(4, 1, _chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 8_000_000)), PIXELS), "decode_error"),
    ],
)  # fmt: skip
def test_bytes_that_are_refused(data: bytes, reason: str) -> None:
    assert refusal(data) == reason


def test_pixel_limit_is_inclusive() -> None:
    data = saved(PLAIN, "PNG")
    assert read(data, max_pixels=200).original_width == 20
    assert refusal(data, max_pixels=199) == "pixel_bomb"


def test_only_listed_formats_are_read() -> None:
    assert refusal(saved(PLAIN, "GIF"), formats=["jpeg", "png"]) == "unsupported_format"
    assert read(saved(PLAIN, "GIF"), formats=["gif"]).format == "gif"


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 0), (255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("P", 0, None),
        ("I;16", 0x80FF, (128, 128, 128)),
        ("I;16", 0x00FF, (0, 0, 0)),
    ],
)
def test_modes_become_rgb_on_white(mode: str, color: object, expected: tuple[int, int, int] | None) -> None:
    decoded = read(saved(Image.new(mode, (8, 8), color), "PNG"))  # type: ignore[arg-type]  # colors differ by mode
    assert decoded.image.mode == "RGB"
    if expected is not None:
        assert decoded.image.getpixel((4, 4)) == expected


def test_cmyk_jpeg_becomes_rgb() -> None:
    decoded = read(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100))
    red, green, blue = decoded.image.getpixel((8, 8))  # type: ignore[misc]  # an RGB pixel
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize(("alpha", "share"), [(255, 0.0), (254, 1.0), (0, 1.0)])
def test_alpha_share_counts_what_is_not_opaque(alpha: int, share: float) -> None:
    assert read(saved(Image.new("RGBA", (9, 9), (1, 2, 3, alpha)), "PNG")).alpha_share == share


def test_alpha_share_of_palette_and_grey_transparency() -> None:
    image = Image.new("P", (10, 10), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (0, 0, 10, 4))
    assert read(saved(image, "PNG", transparency=0)).alpha_share == 0.4
    grey = Image.new("I;16", (10, 10), 500)
    decoded = read(saved(grey, "PNG", transparency=500))
    assert decoded.alpha_share in (0.0, 1.0)  # Pillow writes this chunk only in some versions
    assert decoded.image.getpixel((0, 0)) in ((255, 255, 255), (1, 1, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied_and_size_recorded_after_it(orientation: int, kind: str) -> None:
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = read(saved(image, kind, exif=exif, quality=95))
    size = (20, 40) if orientation >= 5 else (40, 20)
    assert (decoded.original_width, decoded.original_height) == decoded.image.size == size
    corner = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}[orientation]
    place = tuple(3 if side == 0 else length - 4 for side, length in zip(corner, size, strict=True))
    assert min(decoded.image.getpixel(place)) > 200  # type: ignore[arg-type]  # an RGB pixel


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 9]
)
def test_broken_exif_is_upright(exif: bytes) -> None:
    assert read(saved(PLAIN, "JPEG", exif=exif)).image.size == (20, 10)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((512, 512), (512, 512)), ((513, 100), (512, 100)), ((1600, 1200), (512, 384)), ((100, 1), (100, 1)),
     ((3000, 2), (512, 1)), ((1, 1), (1, 1)), ((511, 300), (511, 300))],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_longer_side_is_bounded_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int], kind: str) -> None:
    decoded = read(saved(Image.new("RGB", size), kind))
    assert decoded.image.size == expected
    assert (decoded.original_width, decoded.original_height) == size


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_first_frame_of_an_animation_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (30, 30), (255, 0, 0)), Image.new("RGB", (30, 30), (0, 0, 255))
    decoded = read(saved(first, kind, save_all=True, append_images=[second], duration=50, lossless=True))
    assert decoded.is_animated
    red, _, blue = decoded.image.getpixel((15, 15))  # type: ignore[misc]  # an RGB pixel
    assert red > 240
    assert blue < 15
    assert not read(saved(first, kind)).is_animated


def test_profile_is_applied() -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert read(saved(PLAIN, "PNG", icc_profile=swapped)).image.mode == "RGB"
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read(saved(PLAIN, "PNG", icc_profile=srgb)).image.getpixel((1, 1)) == (10, 200, 30)
    assert read(saved(PLAIN, "PNG", icc_profile=b"broken" * 60)).image.getpixel((1, 1)) == (10, 200, 30)


@pytest.mark.parametrize(("form", "extension"), [("jpeg", "jpg"), ("png", "png"), ("webp", "webp")])
def test_stored_copy_is_a_fresh_encode_without_metadata(form: str, extension: str) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x010E] = "SECRET"
    for data in (
        saved(PLAIN, "PNG", pnginfo=text, exif=exif, icc_profile=srgb) + b"PK\3\4SECRET<?php",
        saved(PLAIN, "JPEG", exif=exif, comment=b"SECRET", icc_profile=srgb) + b"PK\3\4SECRET<?php",
        saved(PLAIN, "GIF", comment=b"SECRET") + b"SECRET",
    ):
        settings = ImageSettings.model_validate({"format": form})
        decoded = read(data, format=form)
        stored, written = encode_stored(decoded.image, settings)
        assert written == extension
        assert b"SECRET" not in stored
        assert b"icc" not in stored.lower()
        with Image.open(io.BytesIO(stored)) as again:
            assert not again.getexif()
            assert "comment" not in again.info
        assert encode_stored(read(data, format=form).image, settings)[0] == stored


def test_original_bytes_are_kept_where_the_recipe_says_so() -> None:
    settings = ImageSettings(keep="original", max_side_px=16)
    large = saved(GRADIENT, "JPEG")
    decoded = read_image(large, settings)
    assert isinstance(decoded, Decoded)
    assert stored_copy(large, decoded, settings) == (large, "jpg", 640, 480)
    gif = saved(PLAIN, "GIF")
    decoded = read_image(gif, settings)
    assert isinstance(decoded, Decoded)
    stored, extension, width, height = stored_copy(gif, decoded, settings)
    assert (stored[:2], extension, width, height) == (b"\xff\xd8", "jpg", 16, 8)


def test_stored_copy_decodes_to_the_array_that_is_measured() -> None:
    stored, _ = encode_stored(read(JPEG).image, SETTINGS)
    pixels = decode_stored(stored)
    assert pixels.shape == (384, 512, 3)
    assert pixels.dtype == np.uint8
    with Image.open(io.BytesIO(stored)) as image:
        assert np.array_equal(pixels, np.asarray(image))
    for broken in (b"", stored[:100], b"hello"):
        with pytest.raises(ValueError, match="stored copy"):
            decode_stored(broken)


@pytest.mark.parametrize(
    ("mode", "options", "is_plain"),
    [
        ("RGB", {}, True),
        ("L", {}, True),
        ("RGB", {"progressive": True, "subsampling": "4:4:4"}, True),
        ("RGB", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}, False),
        ("RGB", {"icc_profile": bytes(200)}, False),
        ("CMYK", {}, False),
    ],
)
def test_kept_originals_decode_upright_and_to_colours(mode: str, options: dict[str, object], is_plain: bool) -> None:
    original = saved(GRADIENT.convert(mode), "JPEG", **options)
    assert (plain_jpeg_frame(original) is not None) == is_plain
    with Image.open(io.BytesIO(original)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(decode_stored(original), np.asarray(expected))


def frame_header(width: int, height: int, channels: int = 3, depth: int = 8) -> bytes:
    parts = b"".join(bytes([number, 0x11, 0]) for number in range(channels))
    return struct.pack(">BBHBHHB", 0xFF, 0xC0, 8 + len(parts), depth, height, width, channels) + parts


SCAN = b"\xff\xda\0\x08\x01\0\0\0\x3f\0"


@pytest.mark.parametrize(
    ("segments", "frame"),
    [
        (frame_header(640, 480) + SCAN, (640, 480, 3)),
        (frame_header(65535, 1, channels=1) + SCAN, (65535, 1, 1)),
        (frame_header(640, 480), None),  # no scan
        (frame_header(640, 480)[:9], None),
        (SCAN, None),  # no frame
        (frame_header(1, 1) + frame_header(60000, 60000) + SCAN, None),
        (frame_header(640, 0) + SCAN, None),  # its height follows the scan
        (frame_header(640, 480, channels=4) + SCAN, None),
        (frame_header(640, 480, depth=12) + SCAN, None),
        (b"\xff" + frame_header(640, 480) + SCAN, None),  # padded
        (b"", None),
    ],
)
def test_frame_of_a_plain_jpeg_is_read_from_its_header(segments: bytes, frame: tuple[int, int, int] | None) -> None:
    assert plain_jpeg_frame(b"\xff\xd8" + segments) == frame


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("keep", ["stored", "original"])
def test_plain_jpeg_is_read_as_any_other_is(mode: str, keep: str) -> None:
    """A comment, which changes nothing, sends it the long way round."""
    plain = saved(GRADIENT.convert(mode), "JPEG", quality=90)
    commented = plain[:2] + b"\xff\xfe\0\x08hello!" + plain[2:]
    assert plain_jpeg_frame(plain) is not None
    assert plain_jpeg_frame(commented) is None
    one, other = (read(data, keep=keep) for data in (plain, commented))
    assert (one.original_width, one.original_height) == (other.original_width, other.original_height)
    assert (one.format, one.image.mode, one.image.tobytes()) == (other.format, other.image.mode, other.image.tobytes())


def test_plain_jpeg_of_too_many_pixels_is_not_decoded() -> None:
    claimed = b"\xff\xd8" + frame_header(60000, 60000) + SCAN
    assert refusal(claimed) == "pixel_bomb"


def test_scaled_decoding_stays_close_to_full_decoding() -> None:
    photo = Image.effect_mandelbrot((1600, 1200), (-2, -1.2, 0.6, 1.2), 60).convert("RGB")
    scaled = np.asarray(read(saved(photo, "JPEG", quality=95)).image, np.float64)
    full = np.asarray(photo.resize((512, 384), Image.Resampling.LANCZOS), np.float64)
    assert 10 * np.log10(255**2 / ((scaled - full) ** 2).mean()) > 28


@pytest.mark.parametrize("folder", ["pillow-odd", "pngsuite", "avif"])
def test_odd_files_are_read_or_refused_but_never_raise(folder: str) -> None:
    if not (SHARED / folder).exists():
        pytest.skip("shared test data is missing")
    num_read = 0
    for path in sorted(path for path in (SHARED / folder).rglob("*") if path.is_file()):
        found = read_image(path.read_bytes(), SETTINGS)
        if isinstance(found, Refusal):
            assert found.reason in ("not_an_image", "unsupported_format", "decode_error", "pixel_bomb")
            assert " at 0x" not in (found.detail or "")
        else:
            num_read += 1
            assert found.image.mode == "RGB"
            assert max(found.image.size) <= 512
            assert 0.0 <= found.alpha_share <= 1.0
    assert num_read > (0 if folder == "avif" else 50) - 1
