"""Outcomes on their way to whoever iterates over the job: bounded, so that a slow reader slows the job."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from clinia_async.ingest.outcomes import RecordOutcome


class OutcomeStream:
    def __init__(self, limit: int = 10_000) -> None:
        self._outcomes: deque[RecordOutcome] = deque()
        self._limit = limit
        self._closed = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, outcome: RecordOutcome) -> None:
        """Takes the outcome at once, so that a cancel cannot lose it, and then waits for room."""
        self.put_now(outcome)
        await self.room()

    async def room(self) -> None:
        while len(self._outcomes) > self._limit:
            self._room.clear()
            await self._room.wait()

    def put_now(self, outcome: RecordOutcome) -> None:
        self._outcomes.append(outcome)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[RecordOutcome]:
        while True:
            while self._outcomes:
                outcome = self._outcomes.popleft()
                self._room.set()
                yield outcome
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()
