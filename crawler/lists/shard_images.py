"""Images taken from the tars of a source: read by offset, decoded within the same limits as downloads, stored anew."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from crawler.blocklist import Blocklist
from crawler.decoder import DecoderPool
from crawler.faults import Fault
from crawler.fetched_rows import Row, fetched_row, put_image
from crawler.input_files import open_stream
from crawler.lists.encoded_images import from_base64, is_encoded
from crawler.settings import FetchSettings
from shards.errors import BadInputError
from shards.image_settings import ImageSettings
from shards.images import Refusal
from shards.schema import FETCHED
from shards.tars import TarWriter

_MOST_OPEN = 64
_AT_ONCE = 8
"""Images in memory for each decoder: it never waits, and their copies come in order."""

Taken = tuple[Row, bytes]


def take_images(
    samples: pa.Table,
    tars: Mapping[str, str],
    fetch: FetchSettings,
    image: ImageSettings,
    blocklist: Blocklist,
    *,
    tar_path: Path,
    stands: Callable[[pa.Table], pa.Array] | None = None,
) -> pa.Table:
    """Rows of FETCHED, one for each sample (columns uid, host, member), by uid; stored copies go to `tar_path`.

    `tars` maps the names in `member` to paths. Copies that `stands` (rows -> boolean) does not let stand are not
    stored. Nothing is asked of any network, so that what servers say stays null. Raises BadInputError for a tar that
    is gone.
    """
    wanted = samples.sort_by("uid").to_pylist()
    return asyncio.run(_take_all(wanted, tars, fetch, image, blocklist, tar_path, stands))


async def _take_all(
    wanted: list[Row],
    tars: Mapping[str, str],
    fetch: FetchSettings,
    image: ImageSettings,
    blocklist: Blocklist,
    tar_path: Path,
    stands: Callable[[pa.Table], pa.Array] | None,
) -> pa.Table:
    rows: list[Row] = []
    under_way: deque[asyncio.Task[Taken]] = deque()
    async with DecoderPool(image, fetch.decoders) as pool:
        with TarWriter(tar_path) as tar, _Members(tars) as members:

            async def settle() -> None:
                row, stored = await under_way.popleft()
                rows.append(_stored(row, stored, tar, stands))

            for sample in wanted:
                under_way.append(asyncio.create_task(_take(sample, members, fetch, pool, blocklist)))
                if len(under_way) >= _AT_ONCE * fetch.decoders:
                    await settle()
            while under_way:
                await settle()
    return pa.Table.from_pylist(rows, schema=FETCHED)


async def _take(
    sample: Row, members: "_Members", fetch: FetchSettings, pool: DecoderPool, blocklist: Blocklist
) -> Taken:
    tar, offset, size = _place(str(sample["member"]))
    host = sample["host"]
    if isinstance(host, str) and host in blocklist:
        return fetched_row(sample, None, Fault("blocklisted", host)), b""
    if (size // 4 * 3 if is_encoded(tar) else size) > fetch.max_bytes:
        return fetched_row(
            sample, None, Fault("too_large", f"{size} bytes in the {'table' if is_encoded(tar) else 'tar'}")
        ), b""
    if size == 0:
        return fetched_row(sample, None, Fault("empty_body")), b""
    body = members.read(tar, offset, size)
    if len(body) < size:
        return fetched_row(sample, None, Fault("incomplete_body", "the file ends within the image")), b""
    if is_encoded(tar):
        decoded_body = from_base64(body)
        if decoded_body is None:
            return fetched_row(sample, None, Fault("decode_error", "not base64")), b""
        body = decoded_body
    decoded = await pool.decode(body)
    if isinstance(decoded, Refusal):
        return fetched_row(sample, None, Fault(decoded.reason, decoded.detail)), b""
    row = fetched_row(sample, None, None)
    put_image(row, decoded, len(body))
    return row, decoded.stored


def _stored(row: Row, stored: bytes, tar: TarWriter, stands: Callable[[pa.Table], pa.Array] | None) -> Row:
    if row["drop_reason"] is not None:
        return row
    if stands is None or stands(pa.Table.from_pylist([row], schema=FETCHED))[0].as_py():
        row["tar_offset"] = tar.add(f"{row['uid']}.{row['stored_format']}", stored)
    else:
        row["tar_bytes"] = None
    return row


def _place(member: str) -> tuple[str, int, int]:
    tar, offset, size = member.rsplit(":", 2)
    return tar, int(offset), int(size)


class _Members:
    """Reads members of tars by offset, with a bounded number of tars open."""

    def __init__(self, tars: Mapping[str, str]) -> None:
        self._paths = tars
        self._open: OrderedDict[str, pa.NativeFile] = OrderedDict()

    def read(self, tar: str, offset: int, size: int) -> bytes:
        """The bytes, fewer where the tar has become shorter."""
        if tar not in self._open:
            if tar not in self._paths:
                raise BadInputError(f"{tar}: is no longer among the source's files")
            self._open[tar] = open_stream(self._paths[tar], None)
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(tar)
        stream = self._open[tar]
        stream.seek(offset)
        body: bytes = stream.read(size)
        return body

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.popitem()[1].close()
