"""Decoding in children: a crash, a hang or a memory bomb costs one image and nothing else."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from crawler.decoder import DecoderPool, StoredImage
from shards.image_bytes import sniff
from shards.image_settings import ImageSettings
from shards.images import Refusal
from tests.crawler.conftest import picture

SETTINGS = ImageSettings()

# A child that speaks the protocol, but dies of or hangs on certain images.
FRAGILE = """
import sys, time, os
sys.path[:] = sys.argv[2:]
import crawler.decoder_child as d
SAID = {
    b"endless": b"\\0\\0\\0\\2\\xf0\\0\\0\\0{}",
    b"long facts": b"\\xf0\\0\\0\\2\\0\\0\\0\\0{}",
    b"no json": b"\\0\\0\\0\\2\\0\\0\\0\\0}{",
    b"no facts": b"\\0\\0\\0\\2\\0\\0\\0\\0{}",
    b"no object": b"\\0\\0\\0\\2\\0\\0\\0\\x0012",
    b"other names": b'\\0\\0\\0\\x0c\\0\\0\\0\\0{"reason2":1}',
}
plain = d.decode
def fragile(data, settings):
    if data == b"crash": os.kill(os.getpid(), 11)
    if data == b"hang": time.sleep(60)
    if data == b"exit": os._exit(3)
    if data in SAID: sys.stdout.buffer.write(SAID[data]); sys.stdout.buffer.flush(); time.sleep(60)
    if data.startswith(b"log"):
        with open(data[3:].decode(), "a") as log: log.write("x")
        if os.path.getsize(data[3:]) == 1: os.kill(os.getpid(), 9)
    return plain(data, settings)
d.decode = fragile
d.serve(sys.argv[1])
"""


def fragile(settings: ImageSettings = SETTINGS) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", FRAGILE, settings.model_dump_json(exclude={"store"}), *sys.path]


def decoded(
    work: Callable[[DecoderPool], Awaitable[Sequence[StoredImage | Refusal]]],
    settings: ImageSettings = SETTINGS,
    count: int = 1,
    command: list[str] | None = None,
    max_seconds: float = 30,
) -> list[StoredImage | Refusal]:
    async def run() -> list[StoredImage | Refusal]:
        async with DecoderPool(settings, count, command, max_seconds) as pool:
            return list(await work(pool))

    return asyncio.run(run())


def all_at_once(*bodies: bytes) -> Callable[[DecoderPool], Awaitable[Sequence[StoredImage | Refusal]]]:
    async def work(pool: DecoderPool) -> list[StoredImage | Refusal]:
        return await asyncio.gather(*(pool.decode(body) for body in bodies))

    return work


def in_turn(*bodies: bytes) -> Callable[[DecoderPool], Awaitable[Sequence[StoredImage | Refusal]]]:
    async def work(pool: DecoderPool) -> list[StoredImage | Refusal]:
        return [await pool.decode(body) for body in bodies]

    return work


def test_images_come_back_stored_with_both_digests() -> None:
    first, second, third = decoded(in_turn(picture(1000, 600, "JPEG"), picture(1000, 600, "JPEG"), b"hello"))
    assert isinstance(first, StoredImage)
    assert (first.original_width, first.width, first.height, first.stored_format) == (1000, 512, 307, "jpg")
    assert sniff(first.stored) == "jpeg"
    assert second == first
    assert third == Refusal("not_an_image", "starts with b'hello'")


def test_the_bounds_of_the_stored_copy_reach_the_children() -> None:
    settings = ImageSettings(short_side_px=100, format="webp", keep="stored")
    (image,) = decoded(all_at_once(picture(1000, 600, "JPEG")), settings)
    assert isinstance(image, StoredImage)
    assert (image.width, image.height, sniff(image.stored)) == (167, 100, "webp")


def test_original_bytes_come_back_as_they_went() -> None:
    body = picture(1000, 600, "JPEG")
    (image,) = decoded(all_at_once(body), ImageSettings(keep="original"))
    assert isinstance(image, StoredImage)
    assert image.stored == body
    assert image.sha256 == image.stored_sha256
    assert (image.width, image.height) == (1000, 600)


@pytest.mark.parametrize("count", [1, 3])
def test_many_images_at_once_get_each_its_own_answer(count: int) -> None:
    bodies = [picture(20 + number, 20, "PNG") for number in range(40)]
    bodies[7] = bodies[7][:30]
    large = os.urandom(3 * 2**20)  # more than a pipe holds
    answers = decoded(all_at_once(*bodies, large, *bodies), count=count)
    assert answers[40] == Refusal("not_an_image", f"starts with {large[:16]!r}")
    for number, answer in enumerate(answers[:40] + answers[41:]):
        if number % 40 == 7:
            assert isinstance(answer, Refusal)
        else:
            assert isinstance(answer, StoredImage)
            assert answer.original_width == 20 + number % 40


@pytest.mark.parametrize(
    ("data", "detail", "max_seconds"),
    [(b"crash", "signal 11", 30), (b"exit", "status 3", 30), (b"hang", "no answer in 1 s", 1)],
)
def test_a_crash_costs_that_image_alone(data: bytes, detail: str, max_seconds: float) -> None:
    good = picture()
    bodies = (good, good, data, good, good, data, good)
    answers = decoded(all_at_once(*bodies), count=2, command=fragile(), max_seconds=max_seconds)
    for body, answer in zip(bodies, answers, strict=True):
        if body == good:
            assert isinstance(answer, StoredImage)
        else:
            assert answer == Refusal("decode_crash", answer.detail if isinstance(answer, Refusal) else None)
            assert isinstance(answer, Refusal)
            assert detail in (answer.detail or "")


@pytest.mark.parametrize("data", [b"endless", b"long facts", b"no json", b"no facts", b"no object", b"other names"])
def test_a_child_that_leaves_the_protocol_is_ended(data: bytes) -> None:
    good = picture()
    before, broken, after = decoded(all_at_once(good, data, good), command=fragile())
    assert isinstance(before, StoredImage)
    assert isinstance(broken, Refusal)
    assert broken.reason == "decode_crash"
    assert after == before


def test_an_image_is_tried_once_more_when_its_child_was_killed(tmp_path: Path) -> None:
    log = tmp_path / "tries"
    good = picture()
    answers = decoded(all_at_once(good, b"log" + str(log).encode(), good, good), command=fragile())
    assert [type(answer) for answer in answers] == [StoredImage, Refusal, StoredImage, StoredImage]
    assert isinstance(answers[1], Refusal)
    assert answers[1].reason == "not_an_image"  # the second try came through
    assert log.read_text() == "xx"


def test_a_child_that_cannot_start_is_our_fault_and_no_image_s() -> None:
    with pytest.raises(RuntimeError, match="no Pillow here"):
        decoded(all_at_once(picture()), command=[sys.executable, "-c", "raise SystemExit('no Pillow here')"])


def test_a_caller_that_goes_away_leaves_the_others_theirs() -> None:
    async def work(pool: DecoderPool) -> Sequence[StoredImage | Refusal]:
        tasks = [asyncio.create_task(pool.decode(picture(50 + number))) for number in range(6)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[4].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        return [answer for answer in done if isinstance(answer, StoredImage)]

    widths = [answer.width for answer in decoded(work) if isinstance(answer, StoredImage)]
    assert widths == [51, 52, 53, 55]


def test_children_are_gone_when_the_pool_is_left() -> None:
    async def run() -> list[int]:
        async with DecoderPool(SETTINGS, 2) as pool:
            await asyncio.gather(*(pool.decode(picture()) for _ in range(8)))
            pids = [child._process.pid for child in pool._children]
        return pids

    for pid in asyncio.run(run()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_child_is_less_urgent_than_who_sends_requests() -> None:
    async def run() -> list[int]:
        async with DecoderPool(SETTINGS, 1) as pool:
            await pool.decode(picture())
            return [os.getpriority(os.PRIO_PROCESS, child._process.pid) for child in pool._children]

    assert asyncio.run(run()) == [min(19, os.getpriority(os.PRIO_PROCESS, 0) + 4)]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_decoding_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent = textwrap.dedent("""
        import asyncio, sys
        from crawler.decoder import DecoderPool
        from shards.image_settings import ImageSettings
        async def main(command):
            async with DecoderPool(ImageSettings(), 1, command) as pool:
                asyncio.create_task(pool.decode(b"hang"))
                while not (pool._children and pool._children[0].is_ready):
                    await asyncio.sleep(0.01)
                print(pool._children[0]._process.pid, flush=True)
                await asyncio.sleep(60)
        asyncio.run(main(sys.argv[1:]))
    """)
    command = [sys.executable, "-c", parent, *fragile()]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, env=os.environ | {"PYTHONPATH": root}) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(200):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            return
        subprocess.run(["sleep", "0.02"], check=True)
    pytest.fail("the child outlived its parent")


@pytest.mark.parametrize(("mode", "kind"), [("LA", "PNG"), ("RGBA", "WEBP"), ("CMYK", "JPEG")])
def test_the_dearest_modes_fit_the_memory_limit(mode: str, kind: str) -> None:
    image = Image.linear_gradient("L").resize((3000, 2500)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"progressive": True} if kind == "JPEG" else {"method": 0} if kind == "WEBP" else {}))
    (answer,) = decoded(all_at_once(buffer.getvalue()), ImageSettings(max_pixels=7_500_000))
    assert isinstance(answer, StoredImage), answer


def test_a_large_image_fits_the_memory_limit() -> None:
    settings = ImageSettings(max_pixels=6_000_000)
    fits, too_large = decoded(in_turn(picture(3000, 2000), picture(3001, 2000)), settings)
    assert isinstance(fits, StoredImage)
    assert too_large == Refusal("pixel_bomb", "more than 6000000 pixels")
