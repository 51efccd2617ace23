"""What being safe and polite costs: one part downloaded with every guard, and with all of them patched away.

    python infra/bench/fetch_guards.py            2,000 images, medians of 5; about 4 minutes
    python infra/bench/fetch_guards.py --quick    300 images, two rounds; under 50 s

The guards: the address guard, robots.txt with tdmrep.json and ai.txt, opt-out headers, politeness (slots, gaps, the
host breaker's notes). They are replaced in this process alone. What bounds memory stays: requests in flight, room for
bodies. CPU is of this process and its decoders; server and images are those of fetch.py.
"""

import argparse
import contextlib
import json
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
from image_corpus import CorpusImage, make_corpus, read_corpus
from image_server import ImageServer, serve_images
from machine import machine

import crawler.image_fetch
from crawler.download import download_images
from crawler.guard import AddressGuard, AddressInfo
from crawler.permission import Permission
from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, PerHost
from shards.image_settings import ImageSettings
from shards.schema import uid_of

COUNT, QUICK_COUNT = 2_000, 300
AIM_SHARE = 0.10
_WORK = Path(tempfile.gettempdir()) / "curate-bench-fetch"
_AGENT = "bench/1.0 (+https://example.org/bot; bot@example.org)"
_GUARD_NAMES = ("address", "lookups", "opt_outs", "politeness")

Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds, under 50 s")
    parser.add_argument("--repeat", type=int, help="rounds; default 5, quick 2")
    parser.add_argument("--count", type=int, help=f"images; default {COUNT}, quick {QUICK_COUNT}")
    parser.add_argument("--work", type=Path, default=_WORK, help="where images are kept")
    parser.add_argument("--corpus", type=Path, help="a corpus made before (truth.parquet and www)")
    arguments = parser.parse_args()
    count = arguments.count or (QUICK_COUNT if arguments.quick else COUNT)
    corpus = arguments.corpus or arguments.work / ("corpus-quick" if arguments.quick else "corpus")
    images = read_corpus(corpus, count) if arguments.corpus else make_corpus(corpus, count, not arguments.quick)
    arguments.work.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="guards-", dir=arguments.work) as scratch,
        serve_images(corpus / "www", arguments.work / "nginx") as server,
    ):
        rounds = arguments.repeat or (2 if arguments.quick else 5)
        print(json.dumps(_compared(server, images, Path(scratch), rounds, one_by_one=not arguments.quick)))


def _compared(server: ImageServer, images: list[CorpusImage], scratch: Path, rounds: int, one_by_one: bool) -> Figures:
    _measured(server, images, scratch)  # imports, and files into the system's cache
    runs: dict[str, list[Figures]] = {"on": [], "off": []}
    for number in range(rounds):
        for side in ("on", "off") if number % 2 == 0 else ("off", "on"):
            with without(_GUARD_NAMES if side == "off" else ()):
                runs[side].append(_measured(server, images, scratch))
    if one_by_one:
        for name in _GUARD_NAMES:
            with without((name,)):
                runs[f"off: {name}"] = [_measured(server, images, scratch) for _ in range(2)]
    medians = {side: _median(some) for side, some in runs.items()}
    on, off = medians["on"], medians["off"]
    # Guards work in this process alone: what the decoders took more or less is noise.
    cost = (on["parent_cpu_ms"] - off["parent_cpu_ms"]) / off["cpu_ms"]
    return {
        "name": "fetch_guards",
        "machine": machine(),
        "images": on["images"],
        "ours": on,
        "peer": {"what": "the same with the guards patched away"} | off,
        "each_alone_off": {side.removeprefix("off: "): run for side, run in medians.items() if ": " in side},
        "cpu_cost": round(cost, 3),
        "cpu_cost_with_decoders": round(on["cpu_ms"] / off["cpu_ms"] - 1, 3),
        "cpu_cost_of_parent": round(on["parent_cpu_ms"] / off["parent_cpu_ms"] - 1, 3),
        "wall_cost": round(on["seconds"] / off["seconds"] - 1, 3),
        "ratio": round(1 + cost, 3),
        "aim": f"guards cost less than {AIM_SHARE:.0%} of CPU",
        "met": cost < AIM_SHARE,
    }


def _median(runs: list[Figures]) -> Figures:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def _measured(server: ImageServer, images: list[CorpusImage], scratch: Path) -> Figures:
    """One part of all images. CPU in ms an image that was stored."""
    urls = [server.url(image.id, image.path) for image in images]
    samples = pa.table(
        {
            "uid": [uid_of(url) for url in urls],
            "canonical_url": urls,
            "host": [server.hosts[image.id % len(server.hosts)] for image in images],
        }
    )
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        before, started = _cpu_s(), time.monotonic()
        rows = download_images(
            samples,
            CrawlerSettings(user_agent=_AGENT, per_host=PerHost(concurrency=32, delay_s=0)),
            FetchSettings(),
            NetworkSettings(allow_private=[f"127.0.1.0/24:{server.http_port}"]),
            ImageSettings(short_side_px=256, max_side_px=8192, quality=95),
            tar_path=Path(folder) / "copies.tar",
            spool_path=Path(folder) / "spool",
        )
        seconds, after = time.monotonic() - started, _cpu_s()
    stored = rows["drop_reason"].null_count
    parent, children = (late - early for early, late in zip(before, after, strict=True))
    return {
        "images": stored,
        "seconds": round(seconds, 3),
        "cpu_ms": round(1000 * (parent + children) / stored, 3),
        "parent_cpu_ms": round(1000 * parent / stored, 3),
        "decoder_cpu_ms": round(1000 * children / stored, 3),
    }


def _cpu_s() -> tuple[float, float]:
    """Of this process, and of its children that ended (a part's decoders do before it returns)."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


@contextmanager
def without(names: tuple[str, ...]) -> Iterator[None]:
    """Takes guards away while it lasts. A guard that is no longer where it was raises AttributeError."""
    patches: dict[str, list[Any]] = {
        "address": [mock.patch.object(AddressGuard, "open_socket", _open_any_socket)],
        "lookups": [
            mock.patch.object(Permission, "refusal", _allowed),
            mock.patch.object(Permission, "said", _nothing_said),
        ],
        "opt_outs": [mock.patch.object(crawler.image_fetch, "opt_out_of_headers", _nothing)],
        "politeness": [
            mock.patch.object(Politeness, "turn", _turn_at_once),
            mock.patch.object(Politeness, "note_answer", _nothing),
            mock.patch.object(Politeness, "note_failure", _nothing),
        ],
    }
    with contextlib.ExitStack() as stack:
        for name in names:
            for patch in patches[name]:
                stack.enter_context(patch)
        yield


def _open_any_socket(self: AddressGuard, info: AddressInfo) -> socket.socket:
    return socket.socket(family=info[0], type=info[1], proto=info[2])


async def _allowed(self: Permission, url: str) -> None:
    return None


def _nothing_said(self: Permission, url: str) -> tuple[None, None]:
    return None, None


def _nothing(*_: object) -> None:
    return None


@asynccontextmanager
async def _turn_at_once(
    self: Politeness, host: str, lead_s: float = 0.0, is_probe: bool = False
) -> AsyncIterator[None]:
    """No slots and no gaps; what bounds memory stays."""
    if not self.has_room.is_set():
        await self.has_room.wait()
    async with self._in_flight:
        yield


if __name__ == "__main__":
    main()
