"""Decoding in a child: a crash, a hang or a memory bomb costs one image and nothing else."""

import os
import signal
import sys

import pytest

from crawler import decoder as decoding
from crawler.decoder import ImageDecoder, StoredImage
from shards.image_settings import ImageSettings
from shards.images import Refusal, sniff
from tests.crawler.conftest import picture

SETTINGS = ImageSettings()

# A child that speaks the protocol, but dies of or hangs on certain images.
FRAGILE = """
import sys, time, os
sys.path[:] = sys.argv[2:]
import crawler.decoder as d
plain = d._decode
def fragile(data, settings):
    if data == b"crash": os.kill(os.getpid(), 11)
    if data == b"hang": time.sleep(60)
    if data == b"exit": os._exit(3)
    return plain(data, settings)
d._decode = fragile
d.serve(sys.argv[1])
"""


def test_images_come_back_stored_with_both_digests() -> None:
    with ImageDecoder(SETTINGS) as decoder:
        first = decoder.decode(picture(1000, 600, "JPEG"))
        assert isinstance(first, StoredImage)
        assert (first.original_width, first.width, first.height, first.stored_format) == (1000, 512, 307, "jpg")
        assert sniff(first.stored) == "jpeg"
        assert decoder.decode(picture(1000, 600, "JPEG")) == first
        assert decoder.decode(b"hello") == Refusal("not_an_image", "starts with b'hello'")


@pytest.mark.parametrize(
    ("data", "detail"),
    [(b"crash", "signal 11"), (b"exit", "status 3"), (b"hang", "no answer in 1 s")],
)
def test_a_crash_costs_that_image_alone(data: bytes, detail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_SECONDS", 1)
    command = [sys.executable, "-c", FRAGILE, SETTINGS.model_dump_json(exclude={"store"}), *sys.path]
    with ImageDecoder(SETTINGS, command) as decoder:
        assert isinstance(decoder.decode(picture()), StoredImage)
        crashed = decoder.decode(data)
        assert isinstance(crashed, Refusal)
        assert crashed.reason == "decode_crash"
        assert detail in (crashed.detail or "")
        assert isinstance(decoder.decode(picture()), StoredImage)


def test_an_image_is_tried_again_when_its_child_was_killed() -> None:
    with ImageDecoder(SETTINGS) as decoder:
        assert isinstance(decoder.decode(picture()), StoredImage)
        assert decoder._child is not None
        os.kill(decoder._child.pid, signal.SIGKILL)
        assert isinstance(decoder.decode(picture()), StoredImage)


def test_a_child_that_cannot_start_is_our_fault_and_no_image_s() -> None:
    decoder = ImageDecoder(SETTINGS, [sys.executable, "-c", "raise SystemExit('no Pillow here')"])
    with pytest.raises(RuntimeError, match="no Pillow here"):
        decoder.decode(picture())
    decoder.close()


def test_a_large_image_fits_the_memory_limit() -> None:
    with ImageDecoder(ImageSettings(max_pixels=6_000_000)) as decoder:
        assert isinstance(decoder.decode(picture(3000, 2000)), StoredImage)
        assert decoder.decode(picture(3001, 2000)) == Refusal("pixel_bomb", "more than 6000000 pixels")
