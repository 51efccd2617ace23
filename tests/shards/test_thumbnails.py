"""Pictures for a page: small, encoded by us, with nothing of the stored copy's bytes in them."""

import io

import numpy as np
import pytest
from PIL import Image

from shards.image_thumbnails import thumbnail


def encoded(width: int, height: int, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_it_is_a_small_jpeg_of_the_same_shape(form: str) -> None:
    made = thumbnail(encoded(400, 200, form), 144)
    with Image.open(io.BytesIO(made.jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (144, 72))
    assert (made.width, made.height) == (144, 72)


def test_a_small_image_is_not_enlarged() -> None:
    made = thumbnail(encoded(20, 10, "PNG"), 144)
    assert (made.width, made.height) == (20, 10)


def test_no_comment_of_the_copy_reaches_it() -> None:
    made = thumbnail(encoded(40, 40, "JPEG", comment=b"<script>alert(1)</script>"), 20)
    assert b"script" not in made.jpeg


@pytest.mark.parametrize("data", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff\xe0 broken"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="stored copy"):
        thumbnail(data, 144)
