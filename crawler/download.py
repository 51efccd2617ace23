"""Downloads one part's images: polite fetches into a spool that survives a kill, then rows and a tar of copies."""

import asyncio
import gc
import json
import resource
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from crawler.faults import Fault
from crawler.fetch_report import FetchReport
from crawler.fetched_rows import fetched_row
from crawler.host_memory import HostMemory
from crawler.image_fetch import Earlier
from crawler.part_downloads import Hosts, PartDownloads, PartSettings
from crawler.settings import CrawlerSettings, FetchSettings, NetworkSettings
from crawler.spool import Spool
from shards.errors import UsageError
from shards.image_settings import ImageSettings
from shards.schema import FETCHED
from shards.tars import TarWriter

_OPEN_FILES = 65_536
_GC_THRESHOLD = 10_000
"""A request leaves few cycles behind: looking for them every 700 objects costs some 5 % of a part's time."""

_ROWS_AT_ONCE = 1_000
"""Rows that are objects at a time while a part is published: each takes ten times what it takes as columns."""


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
    owns_host: Callable[[str], bool] | None = None,
    num_lanes: int = 1,
    memory_path: Path | None = None,
    report: Callable[[FetchReport], None] | None = None,
    earlier: Earlier | None = None,
) -> pa.Table:
    """Rows of FETCHED, one for each sample (columns uid, canonical_url, host; where known expected_sha256, etag,
    last_modified), by uid.

    Stored copies go to `tar_path`, of all images or of those that `stands` (rows -> boolean) lets stand. Downloads are
    appended to `spool_path` as they finish; a later call with the same file asks for none of them again. The spool is
    the caller's to delete once the part is committed. After `deadline_s` seconds the rest is `not_attempted`.

    Hosts that `owns_host` disowns (default: all but the samples') get 1/`num_lanes` of their rate. What was learned of
    hosts is taken from `memory_path` and put back there. `report` is told every two seconds, and at the end, how it
    goes. `earlier` (uid -> row and stored bytes, or None) makes this a re-check: what has not changed keeps its earlier
    copy, what has is `hash_mismatch`.
    Raises TryAgainError when the whole network is gone; what was downloaded before stays in the spool.
    """
    if crawler.user_agent is None:
        raise UsageError(
            "crawler.user_agent is missing: say who you are and where you can be reached, as in "
            '"mybot/1.0 (+https://example.org/bot; bot@example.org)"'
        )
    with Spool(spool_path, _deciding_settings(crawler, fetch, image, earlier is not None)) as spool:
        wanted = samples.sort_by("uid")
        missing = wanted.filter(pa.array([uid not in spool.entries for uid in wanted["uid"].to_pylist()], pa.bool_()))
        if missing.num_rows:
            hosts = frozenset(map(str, wanted["host"].unique().to_pylist()))
            own_hosts: Hosts = hosts if owns_host is None else _Owned(owns_host)
            memory = HostMemory(memory_path, crawler.user_agent)
            settings = PartSettings(crawler, fetch, network, image, own_hosts, num_lanes)
            part = PartDownloads(settings, spool.add, earlier=earlier, memory=memory, report=report)
            try:
                _run(part, missing, deadline_s)
            finally:
                memory.save()
        return _publish(wanted["uid"].to_pylist(), spool, tar_path, stands)


class _Owned:
    """A set of hosts by the function that knows them."""

    def __init__(self, owns_host: Callable[[str], bool]) -> None:
        self._owns_host = owns_host

    def __contains__(self, host: object, /) -> bool:
        return self._owns_host(str(host))


def _run(part: PartDownloads, samples: pa.Table, deadline_s: float | None) -> None:
    import uvloop

    _allow_open_files()
    thresholds = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, *thresholds[1:])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(part.run(samples, deadline_s))
    finally:
        gc.set_threshold(*thresholds)


def _allow_open_files() -> None:
    """Idle connections count too: the usual 1,024 files would be a fault of ours that looks like the web's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _deciding_settings(crawler: CrawlerSettings, fetch: FetchSettings, image: ImageSettings, is_recheck: bool) -> str:
    facts = {
        "version": 2,
        "image": image.model_dump(mode="json", exclude={"store"}),
        "verify_sha256": fetch.verify_sha256,
        "opt_outs": crawler.opt_outs,
        "is_recheck": is_recheck,
    }
    return json.dumps(facts, sort_keys=True)


def _publish(uids: list[str], spool: Spool, tar_path: Path, stands: Callable[[pa.Table], pa.Array] | None) -> pa.Table:
    """The rows in the order of these uids, and the tar of their stored copies in the same."""
    rows = _rows(uids, spool)
    is_kept = pc.is_null(rows["drop_reason"])
    if stands is not None:
        is_kept = pc.and_(is_kept, stands(rows))
    offsets: list[int | None] = []
    with TarWriter(tar_path) as tar:
        for uid, extension, keep in zip(uids, rows["stored_format"].to_pylist(), is_kept.to_pylist(), strict=True):
            offsets.append(tar.add(f"{uid}.{extension}", spool.stored(spool.entries[uid])) if keep else None)
    sizes = pc.if_else(is_kept, rows["tar_bytes"], pa.scalar(None, pa.int64()))
    for name, column in (("tar_offset", pa.array(offsets, pa.int64())), ("tar_bytes", sizes)):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), column)
    return rows


def _rows(uids: list[str], spool: Spool) -> pa.Table:
    pieces = [
        pa.Table.from_pylist([_entry_row(uid, spool) for uid in uids[start : start + _ROWS_AT_ONCE]], schema=FETCHED)
        for start in range(0, len(uids), _ROWS_AT_ONCE)
    ]
    return pa.concat_tables([FETCHED.empty_table(), *pieces]).combine_chunks()


def _entry_row(uid: str, spool: Spool) -> dict[str, object]:
    entry = spool.entries.get(uid)
    if entry is None:
        return fetched_row({"uid": uid}, None, Fault("not_attempted", "the deadline passed"))
    return spool.row(entry)
