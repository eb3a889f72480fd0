"""The shared end of the input: workers pull from it, one record at a time, never ahead of need."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable

from clinia_async.calls import CreateRelationship
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.keys_in_flight import KeysInFlight
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.records import BadRecord, Blank, Record
from clinia_async.ingest.report import Report

Item = CreateRelationship | Record | BadRecord | Blank
Emit = Callable[[RecordOutcome], Awaitable[None]]


class Intake:
    """Gives out records whose key is free. What is wrong or blank never leaves it."""

    def __init__(
        self, source: str, items: Iterable[Item] | AsyncIterable[Item], keys: KeysInFlight, report: Report
    ) -> None:
        self._source = source
        self._items = aiter(items) if isinstance(items, AsyncIterable) else _asynchronous(items)
        self._keys = keys
        self._report = report
        self._turn = asyncio.Lock()
        self.ended = False

    async def next(self, emit: Emit, *, wait: bool = True) -> Record | None:
        """The next record that may fly, or None at the end of the input.

        Without `wait` also None while too many records wait for a key: for whoever holds keys
        himself, and would wait for himself.
        """
        while not self.ended:
            if self._keys.is_crowded:
                if not wait:
                    return None
                await self._keys.room()
                continue
            record = await self._pull(emit)
            if record is not None and self._keys.claim(record):
                return record
        return None

    async def close(self) -> None:
        self.ended = True
        closing = getattr(self._items, "aclose", None)
        if closing is not None:
            await closing()

    async def _pull(self, emit: Emit) -> Record | None:
        async with self._turn:
            if self.ended:
                return None
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                self.ended = True
                return None
            except BaseException:
                self.ended = True  # a source that broke has no next
                raise
            if isinstance(item, Blank):
                self._report.blank += 1
                return None
            record = self._checked(item)
            self._report.read += 1
        if isinstance(record, Record):
            return record
        await emit(RecordOutcome(record, Disposition.INVALID, f"{record.path}: {record.reason}"))
        return None

    def _checked(self, item: Record | BadRecord | CreateRelationship) -> Record | BadRecord:
        place = self._report.read + 1
        if isinstance(item, CreateRelationship):
            item = Record(place, item)
        if isinstance(item, Record) and item.write.source != self._source:
            return BadRecord(item.line, "$.source", "must be the source of the job", item.text)
        if isinstance(item, Record | BadRecord):
            return item
        raise InvalidWrite(f"record {place}", "must be a CreateRelationship or a record that was read")


async def _asynchronous(items: Iterable[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item
