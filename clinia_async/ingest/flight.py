"""Every record between the input and its outcome: no record is lost sight of, and none is told twice."""

from collections.abc import Iterable

from clinia_async.errors import Outcome
from clinia_async.ingest.intake import Intake
from clinia_async.ingest.keys_in_flight import KeysInFlight
from clinia_async.ingest.outcome_stream import OutcomeStream
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.records import Record
from clinia_async.ingest.report import Report
from clinia_async.ingest.service import JobStopped

STOPPED = "the job ended before its turn"
STOPPED_IN_FLIGHT = "the job ended before its answer"


class Flight:
    """What lanes work on: a record is claimed, departs when it is put on the wire, and is settled once."""

    def __init__(
        self, source: str, intake: Intake, keys: KeysInFlight, report: Report, outcomes: OutcomeStream
    ) -> None:
        self.source = source
        self._intake = intake
        self._keys = keys
        self._report = report
        self._outcomes = outcomes
        self._claimed: dict[Record, bool] = {}
        self._stopped = False

    async def next(self, *, wait: bool = True) -> Record | None:
        record = await self._intake.next(self._emit, wait=wait)
        if record is not None:
            self._claimed[record] = False
        return record

    def depart(self, *records: Record) -> None:
        for record in records:
            self._claimed[record] = True
        self._report.sent += len(records)

    async def settle(self, outcome: RecordOutcome) -> Record | None:
        """Tells the outcome and frees the key; gives the record that waited for it, if there is one."""
        record = outcome.record
        assert isinstance(record, Record)
        del self._claimed[record]
        following = self._keys.release(record)
        if following is not None:
            self._claimed[following] = False
        await self._emit(outcome)
        if self._stopped and following is not None:
            return await self.settle(RecordOutcome(following, Disposition.UNSENT, STOPPED))
        return following

    async def stranded(self, records: Iterable[Record], stop: JobStopped) -> None:
        """The job cannot go on, and these are the records that met the reason."""
        proven = stop.outcome in {Outcome.NOT_SENT, Outcome.REJECTED}
        disposition = Disposition.UNSENT if proven else Disposition.UNKNOWN
        for record in records:
            del self._claimed[record]
            self._tell_now(RecordOutcome(record, disposition, str(stop)))

    def stop(self) -> None:
        """Takes no further record; what is in flight comes to its end."""
        self._stopped = True
        self._intake.ended = True

    def strand_the_rest(self) -> None:
        """After the workers are gone: whatever has no outcome gets the one that is true."""
        for record, departed in self._claimed.items():
            disposition = Disposition.UNKNOWN if departed else Disposition.UNSENT
            self._tell_now(RecordOutcome(record, disposition, STOPPED_IN_FLIGHT if departed else STOPPED))
        for record in self._keys.parked():
            self._tell_now(RecordOutcome(record, Disposition.UNSENT, STOPPED))
        self._claimed.clear()

    async def _emit(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        await self._outcomes.put(outcome)

    def _tell_now(self, outcome: RecordOutcome) -> None:
        self._report.add(outcome)
        self._outcomes.put_now(outcome)
