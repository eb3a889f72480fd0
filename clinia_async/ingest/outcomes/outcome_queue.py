"""Outcomes that wait for the code that iterates over the job: bounded, so that a slow one slows the job."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence

from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, RecordOutcome


class OutcomeQueue:
    """Holds outcomes by the chunk and gives them out by the chunk.

    At most `limit` outcomes wait, or one chunk.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._waiting: deque[ChunkOutcomes] = deque()
        self._current: Iterator[RecordOutcome] = iter(())
        """What was given out last: an iteration that stopped amid it goes on there."""
        self._count = 0
        self._limit = limit
        self._closed = False
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()

    def put(self, outcomes: ChunkOutcomes) -> None:
        """Add outcomes at once, so that no cancel can lose them. Await `wait_for_room` behind it."""
        self._waiting.append(outcomes)
        self._count += len(outcomes)
        self._filled.set()

    async def wait_for_room(self) -> None:
        while self._count > self._limit:
            self._taken.clear()
            await self._taken.wait()

    def close(self) -> None:
        """Let the iteration end behind what is held."""
        self._closed = True
        self._filled.set()

    async def batches(self, *, landed: bool = True) -> AsyncIterator[Iterator[RecordOutcome]]:
        """Yield the outcomes chunk by chunk; without those of records that landed unless `landed`."""
        yield self._current if landed else filter(_is_unlanded, self._current)
        while True:
            while self._waiting:
                outcomes = self._waiting.popleft()
                self._count -= len(outcomes)
                self._taken.set()
                found: Sequence[RecordOutcome] = outcomes if landed else outcomes.unlanded()
                self._current = iter(found)
                yield self._current
            if self._closed:
                return
            self._filled.clear()
            await self._filled.wait()


def _is_unlanded(outcome: RecordOutcome) -> bool:
    return not outcome.disposition.has_landed
