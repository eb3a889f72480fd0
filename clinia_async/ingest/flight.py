"""Every record between the input and its outcome: no record is lost sight of, and none is told twice."""

from collections.abc import Sequence

from clinia_async.ingest.chunks import Chunk
from clinia_async.ingest.intake import Intake
from clinia_async.ingest.outcome_stream import OutcomeStream
from clinia_async.ingest.outcomes import Disposition, RecordOutcome, Settlement
from clinia_async.ingest.records import Record
from clinia_async.ingest.report import Report
from clinia_async.ingest.runway import Runway

STOPPED = "the job ended before its turn"
STOPPED_IN_FLIGHT = "the job ended before its answer"


class Flight:
    """What lanes work on: a record is claimed, departs when it is put on the wire, and is settled once."""

    def __init__(self, intake: Intake, runway: Runway, report: Report, outcomes: OutcomeStream) -> None:
        self._intake = intake
        self._runway = runway
        self._report = report
        self._outcomes = outcomes
        self._claimed: dict[Record, Chunk | None] = {}
        """With the chunk that may have brought it there."""

    async def next(self, until: float | None, most: int) -> Sequence[Record] | Chunk | None:
        """The next records, at `most` so many; None at the end of the input, or if none came by `until`.

        Whoever holds nothing (`until` is None) may be given a chunk that a former run has left.
        """
        while True:
            if until is None and (chunk := self._runway.left()) is not None:
                self._claimed.update(dict.fromkeys(chunk.records, None))
                return chunk
            if records := self._runway.take(most):
                self._claimed.update(dict.fromkeys(records))
                return records
            if not await self._runway.news(until):
                return None

    def give_back(self, records: Sequence[Record]) -> None:
        """They were taken and are not needed now: they are the next to be taken."""
        for record in records:
            del self._claimed[record]
        self._runway.give_back(records)

    @property
    def has_doubtful(self) -> bool:
        """Whether there may be a doubtful record."""
        return self._runway.has_doubtful

    def is_doubtful(self, record: Record) -> bool:
        return self._runway.is_doubtful(record)

    def depart(self, chunk: Chunk) -> None:
        before = [*map(self._claimed.__getitem__, chunk.records)]
        self._report.sent += before.count(None)
        self._claimed.update(dict.fromkeys(chunk.records, chunk))

    def recall(self, chunk: Chunk) -> None:
        """Its records will be sent again. Where it provably did not get there, it is as if it never was."""
        if chunk.doubtful:
            return
        for record in chunk.records:
            self._report.sent -= self._claimed[record] is not None
            self._claimed[record] = None

    def settle(self, outcomes: Sequence[RecordOutcome]) -> None:
        """Tells the outcomes and frees the keys; waits for nothing, so that a cancel loses none."""
        if isinstance(outcomes, Settlement):
            for record in outcomes.records:
                del self._claimed[record]
            self._runway.released_all(outcomes)
            self._report.add_all(outcomes)
            self._outcomes.put_now(outcomes)
            return
        for outcome in outcomes:
            del self._claimed[outcome.sent]
            self._runway.released(outcome)
            self._tell_now(outcome)

    async def room(self) -> None:
        """Waits for whoever takes the outcomes, where he is slow."""
        await self._outcomes.room()

    def stranded(self, chunk: Chunk, why: str, *, is_proven: bool) -> None:
        """The job cannot go on, and these are the records that met the reason."""
        disposition = Disposition.UNSENT if is_proven else Disposition.UNKNOWN
        for record in chunk.records:
            del self._claimed[record]
            self._tell_now(RecordOutcome(record, disposition, why, chunk.task, attempts=chunk.requests))

    def stop(self) -> None:
        """Takes no further record; what is in flight comes to its end."""
        self._runway.stop()

    def strand_the_rest(self) -> None:
        """After the workers are gone: whatever has no outcome gets the one that is true."""
        for record, chunk in self._claimed.items():
            self._strand(record, chunk)
        for record in (*self._intake.gathered, *self._runway.untaken()):
            self._strand(record, None)
        self._claimed.clear()

    async def tell(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        await self._outcomes.put(outcome)

    def _strand(self, record: Record, chunk: Chunk | None) -> None:
        if chunk is not None:
            task, attempts = chunk.task, max(1, chunk.requests)
        elif self.is_doubtful(record):
            task, attempts = self._runway.of_former_run(record)
        else:
            self._tell_now(RecordOutcome(record, Disposition.UNSENT, STOPPED))
            return
        self._tell_now(RecordOutcome(record, Disposition.UNKNOWN, STOPPED_IN_FLIGHT, task, attempts=attempts))

    def _tell_now(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        self._outcomes.put_now((outcome,))
