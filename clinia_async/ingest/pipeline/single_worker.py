"""Records that go one by one: a run of them is written down and reported together, each by its own request.

What a record needs whose first answer does not say all of it is made for that record alone.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from clinia_async.calls import RetrySafety
from clinia_async.errors import CliniaError, RequestError
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes
from clinia_async.ingest.pipeline.in_flight import InFlight
from clinia_async.ingest.pipeline.worker import ChunkWorker
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.position_ranges import ranges_of
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.ingest.senders.single_sender import SingleSender
from clinia_async.tasks.task import Task

MOST = 16
"""Records of a run: so many for each worker may be sent again, and read back, after a kill."""
_SECONDS = 1.0
"""After so many no further record is added to a run: its outcomes are not to wait for long."""

Sent = Task[object] | CliniaError
"""What came of a record whose first answer does not say all of it."""


class Runs:
    """Makes the runs of one worker: longer ones while all goes plainly."""

    def __init__(self, in_flight: InFlight, workers: int) -> None:
        self._in_flight = in_flight
        self._workers = workers
        self._most = MOST

    async def next(self) -> Chunk | None:
        """Return the next run, or a chunk that a previous run of the job left; None at the end."""
        taken = await self._in_flight.next(None, self._most, self._workers)
        if taken is None or isinstance(taken, Chunk):
            return taken
        may_share = taken.kind.retry_safety is not RetrySafety.ONCE and not taken.maybe_applied
        if len(taken) > 1 and not may_share:
            self._most = 1
            taken = self._in_flight.give_back(taken, 1) or taken
        run = Chunk(RecordBatches([taken]), maybe_applied=taken.maybe_applied)
        self._in_flight.add(run)
        return run

    def adapt(self, *, is_whole: bool) -> None:
        """Make longer runs after one that was sent as a whole, and short ones after another."""
        self._most = min(2 * self._most, MOST) if is_whole else 1


class _Parts(NamedTuple):
    """A run that was cut off: what is stored, the record behind that, and what was not sent."""

    stored: Chunk | None
    outcomes: ChunkOutcomes | None
    cut: Chunk | None
    rest: Chunk | None

    @property
    def others(self) -> Sequence[Chunk]:
        """Those that have no outcomes yet."""
        return [chunk for chunk in (self.cut, self.rest) if chunk is not None]


class SingleWorker(ChunkWorker):
    """Sends the records of a run one after the other."""

    _chunker: Runs
    _sender: SingleSender

    async def _take(self, chunk: Chunk) -> None:
        is_new = not (chunk.maybe_applied or chunk.attempts or chunk.task)
        if is_new and self._session.telemetry.tracer is None:  # which gets a span for each record
            left: Chunk | None = chunk
            while left is not None:
                left = await self._send_run(left)
            return
        if not chunk.number:
            await self._checkpoints.planned(chunk)
        await self._process(await self._one_by_one(chunk))

    async def _send_run(self, run: Chunk) -> Chunk | None:
        """Send records up to one whose answer does not say all, and deal with that; return the rest."""
        await self._checkpoints.begun(run)
        time = asyncio.get_running_loop().time
        run.began = time()
        stored = 0
        sent: Sent | None = None
        try:
            for record in run.records:
                is_over = self._in_flight.is_stopped or time() > run.began + _SECONDS
                if is_over or (sent := await self._send_one(record, run)) is not None:
                    break
                stored += 1
        except BaseException:
            self._report_stored(self._divide(run, stored, is_cut=True))
            raise
        is_whole = stored == len(run.records)
        self._chunker.adapt(is_whole=is_whole)
        if not is_whole:
            return await self._cut_off(run, stored, sent)
        await self._complete(run, self._sender.stored(run))
        return None

    async def _send_one(self, record: Record, run: Chunk) -> Sent | None:
        """Send a record; return None where the first answer says that it is stored."""
        self._in_flight.mark_one_sent()
        try:
            task = await self._session.submit(
                self._sender.write_of(record),
                maybe_applied=False,
                before_repeat=lambda: self._note_repeat(run),
            )
        except CliniaError as error:
            return error
        if not self._sender.is_plain(task):
            return task
        self._emit_sent(1, task)
        return None

    async def _cut_off(self, run: Chunk, stored: int, sent: Sent | None) -> Chunk | None:
        """Write down how far a run came, and carry on with what was sent last; return what was not sent."""
        parts = self._divide(run, stored, is_cut=sent is not None)
        try:
            await self._checkpoints.cut_off(run, parts.stored, parts.outcomes, parts.others)
        except JournalError:
            if sent is None:
                raise
            # nothing more is sent; but what became of this one can still be reported
            self._in_flight.stop()
        finally:
            self._report_stored(parts)
        if parts.cut is not None and sent is not None:
            await self._carry_on(parts.cut, self._sent(parts.cut, sent))
        return None if self._in_flight.is_stopped else parts.rest

    async def _sent(self, chunk: Chunk, sent: Sent) -> ChunkOutcomes | Task[object]:
        """Do as `_send` does behind the request."""
        if isinstance(sent, Task):
            await self._submitted(chunk, sent)
            return await self._outcomes_of(chunk, sent) if sent.done() else sent
        if isinstance(sent, RequestError):
            self._note_failure(chunk, sent)
        raise sent

    def _divide(self, run: Chunk, count: int, *, is_cut: bool) -> _Parts:
        """Divide a run of which `count` records are stored and, if `is_cut`, one more was sent."""
        behind = count + is_cut
        stored = _part(run, 0, count, ChunkState.SENDING)
        cut = _part(run, count, behind, ChunkState.SENDING)
        rest = _part(run, behind, len(run.records), ChunkState.PLANNED)
        outcomes = None if stored is None else self._sender.stored(stored)
        parts = _Parts(stored, outcomes, cut, rest)
        for chunk in (stored, cut):
            if chunk is not None:
                chunk.was_sent = True
        self._in_flight.divide(run, parts.others if stored is None else [stored, *parts.others])
        return parts

    def _report_stored(self, parts: _Parts) -> None:
        if parts.stored is not None and parts.outcomes is not None:
            self._in_flight.complete(parts.stored, parts.outcomes)
            self._report.add_duration(parts.stored, asyncio.get_running_loop().time() - parts.stored.began)

    async def _one_by_one(self, chunk: Chunk) -> list[Chunk]:
        """Divide a chunk that a previous run of the job left into chunks of one record."""
        here = {record.position for record in chunk.records}
        planned = (position for first, last in chunk.ranges for position in range(first, last + 1))
        waiting = ranges_of(position for position in planned if position not in here)
        if len(chunk.records) == 1 and not waiting:
            return [chunk]
        parts = [
            Chunk(
                chunk.records[place : place + 1],
                state=chunk.state,
                attempts=chunk.attempts,
                requests=chunk.requests,
                maybe_applied=chunk.maybe_applied,
                reported_before=chunk.reported_before,
            )
            for place in range(len(chunk.records))
        ]
        await self._checkpoints.split(chunk, parts, waiting)
        self._in_flight.divide(chunk, parts)
        return parts[::-1]


def _part(run: Chunk, start: int, stop: int, state: ChunkState) -> Chunk | None:
    """Return a part of a run as a chunk: the run itself where that is all of it, None where it is nothing."""
    if stop == start:
        return None
    if stop - start == len(run.records):
        run.state = state
        return run
    attempts = run.attempts if state is ChunkState.SENDING else 0
    return Chunk(run.records[start:stop], state=state, attempts=attempts, began=run.began)
