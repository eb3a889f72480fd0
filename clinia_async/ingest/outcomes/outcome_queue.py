"""Outcomes on their way to whoever iterates over the job: bounded, so that a slow reader slows the job."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence

from clinia_async.ingest.outcomes.outcome import RecordOutcome, unlanded


class OutcomeQueue:
    """Holds what came together together, and gives it out so; at most `limit` outcomes wait, or one chunk."""

    def __init__(self, limit: int = 1000) -> None:
        self._waiting: deque[Sequence[RecordOutcome]] = deque()
        self._given: Iterator[RecordOutcome] = iter(())
        """What was given out last: whoever stopped amid it goes on there."""
        self._held = 0
        self._limit = limit
        self._closed = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, outcome: RecordOutcome) -> None:
        """Takes the outcome at once, so that a cancel cannot lose it, and then waits for room."""
        self.put_now((outcome,))
        await self.room()

    async def room(self) -> None:
        while self._held > self._limit:
            self._room.clear()
            await self._room.wait()

    def put_now(self, outcomes: Sequence[RecordOutcome]) -> None:
        self._waiting.append(outcomes)
        self._held += len(outcomes)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def batches(self, *, landed: bool = True) -> AsyncIterator[Iterator[RecordOutcome]]:
        """What comes, each batch to be gone through; with or without the outcomes of what has `landed`."""
        yield self._given if landed else filter(_is_unlanded, self._given)
        while True:
            while self._waiting:
                outcomes = self._waiting.popleft()
                self._held -= len(outcomes)
                self._room.set()
                self._given = iter(outcomes if landed else unlanded(outcomes))
                yield self._given
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()


def _is_unlanded(outcome: RecordOutcome) -> bool:
    return not outcome.disposition.has_landed
