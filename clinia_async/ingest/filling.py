"""How records become chunks: by what may go together, by number, by size, and by how long they wait."""

import asyncio
from collections.abc import Sequence

from attrs import define, field

from clinia_async.calls import Repeat
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.chunks import Chunk, ChunkLimits
from clinia_async.ingest.flight import Flight
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.records import Kind, Record
from clinia_async.models import TargetType

_Kind = tuple[TargetType | None, bool, bool]
"""What the records of one chunk share: their target (a bulk has one; None where both may go together),
whether they must not be sent twice, and whether they may have arrived already."""


@define(eq=False)
class _Open:
    since: float
    kind: Kind
    """The one of the record that it was made for."""
    records: list[Record] = field(factory=list)
    operations: list[bytes] = field(factory=list)
    size: int = 0

    def has_room(self, operation: bytes, limits: ChunkLimits) -> bool:
        return len(self.records) < limits.operations and self.size + len(operation) + 1 <= limits.bytes


class Filling:
    """The chunks of one worker. `mixed` says that relationships and resources may go in one."""

    def __init__(self, flight: Flight, limits: ChunkLimits, *, mixed: bool) -> None:
        self._flight = flight
        self._limits = limits
        self._mixed = mixed
        self._open: dict[_Kind, _Open] = {}
        self._last: _Open | None = None
        """The one that was filled last, while it is open."""

    async def next(self) -> Chunk | None:
        """The next chunk, or None at the end of the input."""
        while True:
            taken = await self._flight.next(self._until(), self._wanted())
            if taken is None:
                return self._oldest() if self._open else None
            if isinstance(taken, Chunk):
                return taken
            if (chunk := await self._fill(taken)) is not None:
                return chunk

    async def _fill(self, records: Sequence[Record]) -> Chunk | None:
        """The chunk that is full by now, if one is. What it has no room for goes back."""
        opened = None if self._flight.has_doubtful else self._last
        most, largest = self._limits.operations - 1, self._limits.bytes
        for place, record in enumerate(records, 1):
            try:
                operation = record.operation()
            except InvalidWrite as error:
                self._flight.settle([RecordOutcome(record, Disposition.INVALID, str(error))])
                await self._flight.room()
                continue
            if opened is not None and opened.kind is record.kind:  # mostly it goes where the last one went
                size = opened.size + len(operation) + 1
                if size <= largest and len(opened.records) < most:
                    opened.size = size
                    opened.records.append(record)
                    opened.operations.append(operation)
                    continue
            if (chunk := self._add(record, operation)) is not None:
                self._flight.give_back(records[place:])
                return chunk
            opened = None if self._flight.has_doubtful else self._last
        return None

    def _wanted(self) -> int:
        return self._limits.operations - (len(self._last.records) if self._last is not None else 0)

    def _until(self) -> float | None:
        if not self._open:
            return None
        return min(each.since for each in self._open.values()) + self._limits.linger

    def _add(self, record: Record, operation: bytes) -> Chunk | None:
        """The chunk that is full by now, if one is."""
        kind = self._kind(record)
        opened = self._open.get(kind)
        full = None
        if opened is not None and not opened.has_room(operation, self._limits):
            full, opened = self._closed(kind), None
        if opened is None:
            opened = self._open[kind] = _Open(asyncio.get_running_loop().time(), record.kind)
        self._last = opened
        opened.records.append(record)
        opened.operations.append(operation)
        opened.size += len(operation) + 1
        if full is None and len(opened.records) >= self._limits.operations:
            return self._closed(kind)
        return full

    def _oldest(self) -> Chunk:
        return self._closed(min(self._open, key=lambda kind: self._open[kind].since))

    def _closed(self, kind: _Kind) -> Chunk:
        opened = self._open.pop(kind)
        if opened is self._last:
            self._last = None
        return Chunk(opened.records, opened.operations, doubtful=kind[2])

    def _kind(self, record: Record) -> _Kind:
        target = None if self._mixed else record.target
        return target, record.repeat is Repeat.ONCE, self._flight.is_doubtful(record)
