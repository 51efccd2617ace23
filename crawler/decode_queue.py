"""The way from a body to its stored copy: while many bytes wait for the decoders, no request starts."""

import asyncio

from crawler.decoder import DecoderPool, StoredImage
from crawler.politeness import Politeness
from shards.images import Refusal

MAX_WAITING_BYTES = 16 * 2**20
MAX_LARGE_BODIES = 8
LARGE_BODY_BYTES = 2**20


class DecodeQueue:
    """Bodies that wait for the decoders or are with them: some 16 MiB, and 8 larger than 1 MiB."""

    def __init__(self, pool: DecoderPool, politeness: Politeness) -> None:
        self._pool = pool
        self._politeness = politeness
        self._large = asyncio.Semaphore(MAX_LARGE_BODIES)
        self._num_bytes = 0

    async def decode(self, body: bytes) -> StoredImage | Refusal:
        self._count(len(body))
        try:
            if len(body) <= LARGE_BODY_BYTES:
                return await self._pool.decode(body)
            async with self._large:
                return await self._pool.decode(body)
        finally:
            self._count(-len(body))

    def _count(self, num_bytes: int) -> None:
        self._num_bytes += num_bytes
        if self._num_bytes > MAX_WAITING_BYTES:
            self._politeness.has_room.clear()
        else:
            self._politeness.has_room.set()
