"""Downloads one part's images: polite fetches, opt-outs, decoding, a spool against kills, and the tar of copies."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from crawler.blocklist import Blocklist
from crawler.decoder import ImageDecoder, StoredImage
from crawler.faults import Fault
from crawler.fetch import Fetcher, Response
from crawler.optout import opt_out_of_headers
from crawler.outage import WINDOW_S, OutageWatch
from crawler.permission import Permission
from crawler.politeness import Politeness
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings, product_token
from crawler.spool import Spool
from shards.errors import TryAgainError, UsageError
from shards.image_settings import ImageSettings
from shards.images import Refusal
from shards.schema import FETCHED
from shards.tars import TarWriter

Row = dict[str, object]

_MAX_WAITING_BYTES = 64 * 2**20
_MAX_DETAIL_CHARS = 300
# What a dead network looks like, seen from one image: held back until the network has proved alive.
_DOUBTFUL_REASONS = frozenset({"connect_error", "dns_error", "timeout", "robots_unreachable"})


def download_images(
    samples: pa.Table,
    crawler: CrawlerSettings,
    fetch: FetchSettings,
    network: NetworkSettings,
    image: ImageSettings,
    *,
    tar_path: Path,
    spool_path: Path,
    deadline_s: float | None = None,
    stands: Callable[[pa.Table], pa.Array] | None = None,
) -> pa.Table:
    """Rows of FETCHED, one for each sample (columns uid, canonical_url, host; expected_sha256 where known), by uid.

    Stored copies go to `tar_path`, of all images or of those that `stands` (rows -> boolean) lets stand. Downloads are
    appended to `spool_path` as they finish; a later call with the same file asks for none of them again. The spool is
    the caller's to delete once the part is committed. After `deadline_s` seconds the rest is `not_attempted`.
    Raises TryAgainError when the whole network is gone; what was downloaded before stays in the spool.
    """
    if crawler.user_agent is None:
        raise UsageError(
            "crawler.user_agent is missing: say who you are and where you can be reached, as in "
            '"mybot/1.0 (+https://example.org/bot; bot@example.org)"'
        )
    with Spool(spool_path, _deciding_settings(fetch, image)) as spool:
        wanted = samples.sort_by("uid").to_pylist()
        missing = [sample for sample in wanted if sample["uid"] not in spool.entries]
        if missing:
            hosts = frozenset(str(sample["host"]) for sample in wanted)
            part = _Part(crawler, fetch, network, image, spool, hosts)
            asyncio.run(part.run(missing, deadline_s))
        return _publish(wanted, spool, tar_path, stands)


def _deciding_settings(fetch: FetchSettings, image: ImageSettings) -> str:
    stored = image.model_dump(mode="json", exclude={"store"})
    return json.dumps({"version": 1, "image": stored, "verify_sha256": fetch.verify_sha256}, sort_keys=True)


@dataclass
class _Doubtful:
    since: float
    row: Row


class _Part:
    """The work on one part: a queue and a few workers for each host, and decoders that all share."""

    def __init__(
        self,
        crawler: CrawlerSettings,
        fetch: FetchSettings,
        network: NetworkSettings,
        image: ImageSettings,
        spool: Spool,
        hosts: frozenset[str],
    ) -> None:
        assert crawler.user_agent is not None
        self._crawler = crawler
        self._fetch = fetch
        self._network = network
        self._image = image
        self._spool = spool
        self._hosts = hosts
        self._user_agent = crawler.user_agent
        self._agent = product_token(crawler.user_agent)
        self._outage = OutageWatch()
        self._doubtful: deque[_Doubtful] = deque()
        self._waiting_bytes = 0

    async def run(self, samples: list[Row], deadline_s: float | None) -> None:
        blocklist = Blocklist.read(self._crawler.blocklist)
        self._politeness = Politeness(self._crawler, self._fetch, self._hosts)
        async with AsyncExitStack() as stack:
            fetcher = Fetcher(self._network, self._fetch, self._user_agent, self._politeness, self._outage)
            self._fetcher = await stack.enter_async_context(fetcher)
            self._permission = Permission(fetcher, self._politeness, blocklist, self._agent)
            stack.push_async_callback(self._permission.close)
            self._open_decoders(stack)
            await self._work(samples, deadline_s)
        self._settle_doubts(before=None)

    def _open_decoders(self, stack: AsyncExitStack) -> None:
        self._decoders: asyncio.Queue[ImageDecoder] = asyncio.Queue()
        for _ in range(self._fetch.decoders):
            self._decoders.put_nowait(stack.enter_context(ImageDecoder(self._image)))
        self._threads = stack.enter_context(ThreadPoolExecutor(self._fetch.decoders, "decode"))

    async def _work(self, samples: list[Row], deadline_s: float | None) -> None:
        tasks = [asyncio.create_task(worker) for worker in self._workers(samples)]
        try:
            done, _ = await asyncio.wait(tasks, timeout=deadline_s, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _workers(self, samples: list[Row]) -> list[Coroutine[None, None, None]]:
        queues: dict[str, deque[Row]] = {}
        for sample in samples:
            queues.setdefault(str(sample["host"]), deque()).append(sample)
        return [
            self._work_off(queue)
            for host, queue in queues.items()
            for _ in range(min(self._crawler.limits_of(host).concurrency, len(queue)))
        ]

    async def _work_off(self, queue: deque[Row]) -> None:
        while queue:
            sample = queue.popleft()
            row, stored = await self._one(sample)
            if row["drop_reason"] in _DOUBTFUL_REASONS:
                self._doubtful.append(_Doubtful(time.monotonic(), row))
                self._stop_if_network_is_gone()
            else:
                self._spool.add(row, stored)
            self._settle_doubts(before=time.monotonic() - WINDOW_S)

    async def _one(self, sample: Row) -> tuple[Row, bytes]:
        """The row of one image, and the bytes to store (none where it is dropped)."""
        url = sample["canonical_url"]
        if not isinstance(url, str):
            return _row(sample, None, Fault("bad_url")), b""
        response = await self._fetcher.get(url, self._permission.refusal)
        fault = response.fault or self._opt_out(response)
        if fault is not None:
            return _row(sample, response, fault), b""
        decoded = await self._decode(response.body)
        if isinstance(decoded, Refusal):
            return _row(sample, response, Fault(decoded.reason, decoded.detail)), b""
        expected = sample.get("expected_sha256")
        if self._fetch.verify_sha256 and expected is not None and str(expected).lower() != decoded.sha256:
            return _row(sample, response, Fault("hash_mismatch", f"sha256 {decoded.sha256}")), b""
        return _row(sample, response, None, decoded), decoded.stored

    def _opt_out(self, response: Response) -> Fault | None:
        directive = opt_out_of_headers(response.headers, self._agent)
        return None if directive is None else Fault("opt_out", directive)

    async def _decode(self, body: bytes) -> StoredImage | Refusal:
        self._count_waiting(len(body))
        decoder = await self._decoders.get()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, decoder.decode, body)
        finally:
            self._decoders.put_nowait(decoder)
            self._count_waiting(-len(body))

    def _count_waiting(self, num_bytes: int) -> None:
        """While many bytes wait for the decoders, no request starts."""
        self._waiting_bytes += num_bytes
        if self._waiting_bytes > _MAX_WAITING_BYTES:
            self._politeness.has_room.clear()
        else:
            self._politeness.has_room.set()

    def _stop_if_network_is_gone(self) -> None:
        if self._outage.is_out():
            raise TryAgainError(
                "hardly any host can be reached any more: the network seems to be gone. Nothing was marked as failed "
                "for it; run the same command again when the network is back"
            )

    def _settle_doubts(self, before: float | None) -> None:
        """Believes failures that are older than the window in which the network proved alive; at the end, all."""
        while self._doubtful and (before is None or self._doubtful[0].since < before):
            self._spool.add(self._doubtful.popleft().row, b"")


def _row(sample: Row, response: Response | None, fault: Fault | None, image: StoredImage | None = None) -> Row:
    row: Row = dict.fromkeys(FETCHED.names)
    row["uid"] = sample["uid"]
    if response is not None:
        row["final_url"] = response.final_url
        row["http_status"] = response.status
        row["content_type"] = _clean(response.header("content-type"))
    if fault is not None:
        row["drop_reason"] = fault.reason
        row["detail"] = _clean(fault.detail)
    elif image is not None and response is not None:
        row["bytes"] = len(response.body)
        row |= {name: value for name, value in vars(image).items() if name in row}
        row["tar_bytes"] = len(image.stored)
    return row


def _clean(text: str | None) -> str | None:
    """What a server said, as valid text of bounded length on one line."""
    if text is None:
        return None
    valid = text[:_MAX_DETAIL_CHARS].encode("utf-8", "replace").decode("utf-8")
    return "".join(character if character.isprintable() else " " for character in valid)


def _publish(
    wanted: list[Row], spool: Spool, tar_path: Path, stands: Callable[[pa.Table], pa.Array] | None
) -> pa.Table:
    """The rows by uid, and the tar of their stored copies in the same order."""
    rows = [_entry_row(sample, spool) for sample in wanted]
    table = pa.Table.from_pylist(rows, schema=FETCHED)
    is_kept = [True] * len(rows) if stands is None else stands(table).to_pylist()
    with TarWriter(tar_path) as tar:
        for row, keep in zip(rows, is_kept, strict=True):
            if row["drop_reason"] is not None:
                continue
            if keep:
                stored = spool.read(spool.entries[str(row["uid"])])
                row["tar_offset"] = tar.add(f"{row['uid']}.{row['stored_format']}", stored)
            else:
                row["tar_bytes"] = None
    return pa.Table.from_pylist(rows, schema=FETCHED)


def _entry_row(sample: Row, spool: Spool) -> Row:
    entry = spool.entries.get(str(sample["uid"]))
    if entry is None:
        return _row(sample, None, Fault("not_attempted", "the deadline passed"))
    return dict(entry.row)
