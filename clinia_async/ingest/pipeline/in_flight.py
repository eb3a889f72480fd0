"""Every record between the input and its outcome: each gets exactly one."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from clinia_async.errors import Evidence
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding
from clinia_async.ingest.outcomes.outcome_queue import OutcomeQueue
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.input_reader import InputReader
from clinia_async.ingest.pipeline.ready_queue import ReadyQueue
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatch

STOPPED = "the job ended before its turn"
STOPPED_IN_FLIGHT = "the job ended before its answer"

UNSENT: Finding = (Disposition.UNSENT, STOPPED, Evidence.NOT_SENT)
INTERRUPTED: Finding = (Disposition.UNKNOWN, STOPPED_IN_FLIGHT, Evidence.NONE)


class InFlight:
    """The records that workers have taken: first in a chunk, then on the wire, then completed."""

    def __init__(
        self, reader: InputReader, queue: ReadyQueue, report: Report, outcomes: OutcomeQueue
    ) -> None:
        self._reader = reader
        self._queue = queue
        self._report = report
        self._outcomes = outcomes
        self._taken: set[RecordBatch] = set()
        """By workers, for their next chunk."""
        self._chunks: set[Chunk] = set()
        self.on_stop: Callable[[], object] = lambda: None
        """Called when the job takes no further record."""

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._queue.is_stopped

    async def next(self, until: float | None, most: int, workers: int = 1) -> RecordBatch | Chunk | None:
        """Return up to `most` records; None at the end of the input, or if none came by `until`.

        Without `until` a worker holds no records, and may be given a chunk that a previous run has left.
        What is ready is shared by so many `workers`.
        """
        while True:
            if until is None and (chunk := self._queue.take_unfinished()) is not None:
                self._chunks.add(chunk)
                return chunk
            if (batch := self._queue.take(most, workers)) is not None:
                self._taken.add(batch)
                return batch
            if not await self._queue.wait_for_records(until):
                return None

    def give_back(self, batch: RecordBatch, kept: int) -> RecordBatch | None:
        """Put all but the first `kept` records back in front; return those that are kept."""
        self._taken.discard(batch)
        self._queue.give_back(batch.cut(kept, len(batch)))
        if not kept:
            return None
        first = batch.cut(0, kept)
        self._taken.add(first)
        return first

    def add(self, chunk: Chunk) -> None:
        """Note that the records that were taken for a chunk are in it."""
        self._taken.difference_update(chunk.records.pieces)
        self._chunks.add(chunk)

    def mark_sent(self, chunk: Chunk) -> None:
        """Count the records as sent, before the first byte leaves."""
        if not chunk.was_sent:
            self._report.sent += len(chunk.records)
            chunk.was_sent = True

    def mark_one_sent(self) -> None:
        """Count one record of a run as sent, before the first byte leaves."""
        self._report.sent += 1

    def mark_not_sent(self, chunk: Chunk) -> None:
        """Take `mark_sent` back: it was proven that no byte of it left."""
        if chunk.was_sent and not chunk.maybe_applied:
            self._report.sent -= len(chunk.records)
            chunk.was_sent = False

    def split(self, chunk: Chunk, parts: Sequence[Chunk]) -> None:
        """Put `parts` in the place of a chunk. They count as sent only if it may have arrived."""
        self.divide(chunk, parts)
        self.mark_not_sent(chunk)
        for part in parts:
            part.was_sent = chunk.was_sent

    def divide(self, chunk: Chunk, parts: Iterable[Chunk]) -> None:
        """Put `parts` in the place of a chunk; each knows by itself whether it was sent."""
        self._chunks.remove(chunk)
        self._chunks.update(parts)

    def complete(self, chunk: Chunk, outcomes: ChunkOutcomes) -> None:
        """Report the outcomes and unlock the keys; waits for nothing, so that a cancel loses none."""
        self._chunks.remove(chunk)
        self._queue.release(outcomes)
        self._publish(outcomes)

    def fail(self, chunk: Chunk, finding: Finding) -> None:
        """Report `finding` for a chunk that ended the job."""
        self._chunks.remove(chunk)
        self._publish(ChunkOutcomes.same(chunk, finding))

    async def wait_for_room(self) -> None:
        """Wait while the code that iterates over the job is behind."""
        await self._outcomes.wait_for_room()

    def stop(self) -> None:
        """Take no further record; what is in flight is completed."""
        self._queue.stop()
        self.on_stop()

    def fail_remaining(self) -> None:
        """After the workers have ended: give every record without an outcome the one that is true."""
        for chunk in self._chunks:
            if chunk.was_sent:
                chunk.requests = max(1, chunk.requests)
                chunk.maybe_applied = chunk.maybe_applied or chunk.task is None
                self._publish(ChunkOutcomes.same(chunk, INTERRUPTED))
            else:
                self._fail_unsent(chunk.records)
        self._fail_unsent(chain.from_iterable(self._taken))
        self._fail_unsent(self._reader.collected)
        self._fail_unsent(self._queue.drain())
        self._chunks.clear()
        self._taken.clear()

    async def publish(self, outcomes: ChunkOutcomes) -> None:
        """Report outcomes of records that were never in a chunk, and wait for room."""
        self._publish(outcomes)
        await self._outcomes.wait_for_room()

    def _fail_unsent(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.previous_attempt is None:
                self._publish(ChunkOutcomes([record], [UNSENT]))
            else:
                task, attempts = record.previous_attempt
                lost = task is None
                self._publish(
                    ChunkOutcomes([record], [INTERRUPTED], task=task, attempts=attempts, maybe_applied=lost)
                )

    def _publish(self, outcomes: ChunkOutcomes) -> None:
        self._report.add(outcomes)
        self._outcomes.put(outcomes)
