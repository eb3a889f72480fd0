"""Every record between the input and its outcome: no record is lost sight of, and none is told twice."""

from collections.abc import Sequence
from itertools import chain

from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome, Settlement
from clinia_async.ingest.outcomes.outcome_queue import OutcomeStream
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.pipeline.input_reader import Intake
from clinia_async.ingest.pipeline.ready_queue import Runway
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import Stretch

STOPPED = "the job ended before its turn"
STOPPED_IN_FLIGHT = "the job ended before its answer"


class Flight:
    """What lanes work on: a record is claimed, departs when it is put on the wire, and is settled once."""

    def __init__(self, intake: Intake, runway: Runway, report: Report, outcomes: OutcomeStream) -> None:
        self._intake = intake
        self._runway = runway
        self._report = report
        self._outcomes = outcomes
        self._taken: set[Stretch] = set()
        """By lanes, for their next chunk."""
        self._under_way: set[Chunk] = set()

    async def next(self, until: float | None, most: int) -> Stretch | Chunk | None:
        """The next records, at `most` so many; None at the end of the input, or if none came by `until`.

        Whoever holds nothing (`until` is None) may be given a chunk that a former run has left.
        """
        while True:
            if until is None and (chunk := self._runway.left()) is not None:
                self._under_way.add(chunk)
                return chunk
            if (stretch := self._runway.take(most)) is not None:
                self._taken.add(stretch)
                return stretch
            if not await self._runway.news(until):
                return None

    def give_back(self, stretch: Stretch, kept: int) -> Stretch | None:
        """All but the first `kept` are not needed now, and are the next to be taken; gives those."""
        self._taken.discard(stretch)
        self._runway.give_back(stretch.cut(kept, len(stretch)))
        if not kept:
            return None
        first = stretch.cut(0, kept)
        self._taken.add(first)
        return first

    def board(self, chunk: Chunk) -> None:
        """What was taken for it is in it."""
        self._taken.difference_update(chunk.records.pieces)
        self._under_way.add(chunk)

    def depart(self, chunk: Chunk) -> None:
        if not chunk.has_departed:
            self._report.sent += len(chunk.records)
            chunk.has_departed = True

    def recall(self, chunk: Chunk, parts: Sequence[Chunk]) -> None:
        """Its parts will be sent instead. Where it provably did not get there, it is as if it never was."""
        self._under_way.remove(chunk)
        self._under_way.update(parts)
        if chunk.has_departed and not chunk.doubtful:
            self._report.sent -= len(chunk.records)
        for part in parts:
            part.has_departed = chunk.has_departed and chunk.doubtful

    def settle(self, chunk: Chunk, outcomes: Sequence[RecordOutcome]) -> None:
        """Tells the outcomes and frees the keys; waits for nothing, so that a cancel loses none."""
        self._under_way.remove(chunk)
        if isinstance(outcomes, Settlement):
            self._runway.released_all(outcomes)
            self._report.add_all(outcomes)
            self._outcomes.put_now(outcomes)
            return
        for outcome in outcomes:
            self._runway.released(outcome)
            self._tell_now(outcome)

    async def room(self) -> None:
        """Waits for whoever takes the outcomes, where he is slow."""
        await self._outcomes.room()

    def stranded(self, chunk: Chunk, why: str, *, is_proven: bool) -> None:
        """The job cannot go on, and these are the records that met the reason."""
        self._under_way.remove(chunk)
        disposition = Disposition.UNSENT if is_proven else Disposition.UNKNOWN
        for record in chunk.records:
            self._tell_now(RecordOutcome(record, disposition, why, chunk.task, attempts=chunk.requests))

    def stop(self) -> None:
        """Takes no further record; what is in flight comes to its end."""
        self._runway.stop()

    def strand_the_rest(self) -> None:
        """After the workers are gone: whatever has no outcome gets the one that is true."""
        for chunk in self._under_way:
            for record in chunk.records:
                self._strand(record, chunk)
        for record in (*chain.from_iterable(self._taken), *self._intake.gathered, *self._runway.untaken()):
            self._strand(record, None)
        self._under_way.clear()
        self._taken.clear()

    async def tell(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        await self._outcomes.put(outcome)

    def _strand(self, record: Record, chunk: Chunk | None) -> None:
        if chunk is not None and chunk.has_departed:
            task, attempts = chunk.task, max(1, chunk.requests)
        elif record.former is not None:
            task, attempts = record.former
        else:
            self._tell_now(RecordOutcome(record, Disposition.UNSENT, STOPPED))
            return
        self._tell_now(RecordOutcome(record, Disposition.UNKNOWN, STOPPED_IN_FLIGHT, task, attempts=attempts))

    def _tell_now(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        self._outcomes.put_now((outcome,))
