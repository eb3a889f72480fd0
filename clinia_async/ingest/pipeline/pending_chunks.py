"""Chunks whose tasks are pending: they hold no worker, and are bounded by number and by bytes."""

import asyncio
from collections.abc import Callable

from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.senders.worker_pool import Work, WorkerPool

MOST_RECORDS = 120_000
"""Records of pending chunks, at most, or one chunk: each holds its key."""
MOST_BYTES = 16 * 1024 * 1024
"""Bytes of them in memory, packed or not."""
MOST_CHUNKS = 200
PACKED_FROM = 1024 * 1024
"""Bytes of pending chunks beyond which those that come are packed; a fast service costs no compression."""


class PendingChunks:
    """Waits for each chunk in a task of its own, and makes workers wait while there are too many."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._records = self._bytes = self._chunks = 0
        self._room = asyncio.Event()

    def add(self, chunk: Chunk, work: Callable[[], Work]) -> None:
        """Run `work`, which completes the chunk."""
        size = chunk.records.size()
        self._count(chunk, 1, size)
        self._pool.start(self._run(chunk, work, size))

    async def wait_for_room(self) -> None:
        while self._is_full:
            self._room.clear()
            await self._room.wait()

    @property
    def _is_full(self) -> bool:
        return self._records >= MOST_RECORDS or self._bytes >= MOST_BYTES or self._chunks >= MOST_CHUNKS

    async def _run(self, chunk: Chunk, work: Callable[[], Work], size: int) -> None:
        try:
            if self._bytes > PACKED_FROM:
                for _ in chunk.records.pack():
                    await asyncio.sleep(0)
                self._bytes += chunk.records.size() - size
                size = chunk.records.size()
                self._room.set()
            waiting = work()
            del work  # it holds the task, and with that the receipts, which are soon of no more use
            await waiting
        finally:
            self._count(chunk, -1, size)
            self._room.set()

    def _count(self, chunk: Chunk, sign: int, size: int) -> None:
        self._chunks += sign
        self._records += sign * len(chunk.records)
        self._bytes += sign * size
