"""Every record between the input and its outcome: no record is lost sight of, and none is told twice."""

from collections.abc import Sequence
from itertools import chain

from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, RecordOutcome
from clinia_async.ingest.outcomes.outcome_queue import OutcomeQueue
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.input_reader import InputReader
from clinia_async.ingest.pipeline.ready_queue import ReadyQueue
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatch

STOPPED = "the job ended before its turn"
STOPPED_IN_FLIGHT = "the job ended before its answer"


class InFlight:
    """What lanes work on: a record is claimed, departs when it is put on the wire, and is settled once."""

    def __init__(
        self, reader: InputReader, queue: ReadyQueue, report: Report, outcomes: OutcomeQueue
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._report = report
        self._outcomes = outcomes
        self._taken: set[RecordBatch] = set()
        """By lanes, for their next chunk."""
        self._under_way: set[Chunk] = set()

    async def next(self, until: float | None, most: int) -> RecordBatch | Chunk | None:
        """The next records, at `most` so many; None at the end of the input, or if none came by `until`.

        Whoever holds nothing (`until` is None) may be given a chunk that a former run has left.
        """
        while True:
            if until is None and (chunk := self._queue.take_unfinished()) is not None:
                self._under_way.add(chunk)
                return chunk
            if (batch := self._queue.take(most)) is not None:
                self._taken.add(batch)
                return batch
            if not await self._queue.wait_for_records(until):
                return None

    def give_back(self, batch: RecordBatch, kept: int) -> RecordBatch | None:
        """All but the first `kept` are not needed now, and are the next to be taken; gives those."""
        self._taken.discard(batch)
        self._queue.give_back(batch.cut(kept, len(batch)))
        if not kept:
            return None
        first = batch.cut(0, kept)
        self._taken.add(first)
        return first

    def add(self, chunk: Chunk) -> None:
        """What was taken for it is in it."""
        self._taken.difference_update(chunk.records.pieces)
        self._under_way.add(chunk)

    def mark_sent(self, chunk: Chunk) -> None:
        if not chunk.was_sent:
            self._report.sent += len(chunk.records)
            chunk.was_sent = True

    def split(self, chunk: Chunk, parts: Sequence[Chunk]) -> None:
        """Its parts will be sent instead. Where it provably did not get there, it is as if it never was."""
        self._under_way.remove(chunk)
        self._under_way.update(parts)
        if chunk.was_sent and not chunk.maybe_applied:
            self._report.sent -= len(chunk.records)
        for part in parts:
            part.was_sent = chunk.was_sent and chunk.maybe_applied

    def complete(self, chunk: Chunk, outcomes: Sequence[RecordOutcome]) -> None:
        """Tells the outcomes and frees the keys; waits for nothing, so that a cancel loses none."""
        self._under_way.remove(chunk)
        if isinstance(outcomes, ChunkOutcomes):
            self._queue.released_all(outcomes)
            self._report.add_all(outcomes)
            self._outcomes.put_now(outcomes)
            return
        for outcome in outcomes:
            self._queue.released(outcome)
            self._publish_now(outcome)

    async def room(self) -> None:
        """Waits for whoever takes the outcomes, where he is slow."""
        await self._outcomes.room()

    def fail(self, chunk: Chunk, why: str, *, is_proven: bool) -> None:
        """The job cannot go on, and these are the records that met the reason."""
        self._under_way.remove(chunk)
        if is_proven and chunk.was_sent:
            self._report.sent -= len(chunk.records)
        disposition = Disposition.UNSENT if is_proven else Disposition.UNKNOWN
        for record in chunk.records:
            self._publish_now(RecordOutcome(record, disposition, why, chunk.task, attempts=chunk.requests))

    def stop(self) -> None:
        """Takes no further record; what is in flight comes to its end."""
        self._queue.stop()

    def fail_remaining(self) -> None:
        """After the workers are gone: whatever has no outcome gets the one that is true."""
        for chunk in self._under_way:
            for record in chunk.records:
                self._fail(record, chunk)
        for record in (
            *chain.from_iterable(self._taken),
            *self._reader.gathered,
            *self._queue.drain(),
        ):
            self._fail(record, None)
        self._under_way.clear()
        self._taken.clear()

    async def publish(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        await self._outcomes.put(outcome)

    def _fail(self, record: Record, chunk: Chunk | None) -> None:
        if chunk is not None and chunk.was_sent:
            task, attempts = chunk.task, max(1, chunk.requests)
        elif record.previous_attempt is not None:
            task, attempts = record.previous_attempt
        else:
            self._publish_now(RecordOutcome(record, Disposition.UNSENT, STOPPED))
            return
        self._publish_now(
            RecordOutcome(record, Disposition.UNKNOWN, STOPPED_IN_FLIGHT, task, attempts=attempts)
        )

    def _publish_now(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        self._outcomes.put_now((outcome,))
