"""Puts records into chunks: by kind, number, size, and how long they wait."""

import asyncio

from attrs import define, field

from clinia_async.calls import RetrySafety
from clinia_async.ingest.pipeline.in_flight import InFlight
from clinia_async.ingest.records.chunk import Chunk, ChunkLimits
from clinia_async.ingest.records.record_batch import RecordBatch, RecordBatches
from clinia_async.models import TargetType

_Kind = tuple[TargetType | None, bool, bool]
"""What the records of one chunk share: their target (a bulk has one; None where both may go together),
whether they must not be sent twice, and whether they may have arrived already."""


@define(eq=False)
class _Open:
    since: float
    pieces: list[RecordBatch] = field(factory=list)
    count: int = 0
    size: int = 0

    def add(self, piece: RecordBatch) -> None:
        self.pieces.append(piece)
        self.count += len(piece)
        self.size += piece.size()


class Chunker:
    """Makes the chunks of one worker. `mixed` says that relationships and resources may go in one."""

    def __init__(self, in_flight: InFlight, limits: ChunkLimits, *, mixed: bool) -> None:
        self._in_flight = in_flight
        self._limits = limits
        self._mixed = mixed
        self._open: dict[_Kind, _Open] = {}
        self._last: _Open | None = None
        """The one that records were added to last, while it is open."""

    async def next(self) -> Chunk | None:
        """Return the next chunk, or None at the end of the input."""
        while True:
            taken = await self._in_flight.next(self._until(), self._wanted())
            if taken is None:
                return self._oldest() if self._open else None
            if isinstance(taken, Chunk):
                return taken
            if (chunk := self._fill(taken)) is not None:
                return chunk

    def _wanted(self) -> int:
        return self._limits.operations - (self._last.count if self._last is not None else 0)

    def _until(self) -> float | None:
        if not self._open:
            return None
        return min(each.since for each in self._open.values()) + self._limits.linger

    def _fill(self, batch: RecordBatch) -> Chunk | None:
        """Add records to their chunk; return it once it is full. Those that have no room go back."""
        kind = self._kind(batch)
        opened = self._open.get(kind)
        if opened is None:
            opened = self._open[kind] = _Open(asyncio.get_running_loop().time())
        self._last = opened
        most, largest = self._limits.operations - opened.count, self._limits.bytes - opened.size
        fitting = batch.fitting(most, largest)
        if not opened.count:
            fitting = max(fitting, 1)  # one that is too large by itself must go by itself
        if fitting < len(batch):
            first = self._in_flight.give_back(batch, fitting)
            if first is not None:
                opened.add(first)
            return self._closed(kind)
        opened.add(batch)
        return self._closed(kind) if opened.count >= self._limits.operations else None

    def _oldest(self) -> Chunk:
        return self._closed(min(self._open, key=lambda kind: self._open[kind].since))

    def _closed(self, kind: _Kind) -> Chunk:
        opened = self._open.pop(kind)
        if opened is self._last:
            self._last = None
        chunk = Chunk(RecordBatches(opened.pieces), maybe_applied=kind[2])
        self._in_flight.add(chunk)
        return chunk

    def _kind(self, batch: RecordBatch) -> _Kind:
        kind = batch.kind
        target = None if self._mixed else kind.target
        return target, kind.retry_safety is RetrySafety.ONCE, batch.maybe_applied
