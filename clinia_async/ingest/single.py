"""One request a record."""

from clinia_async.errors import AlreadyExists, CliniaError, TaskFailed
from clinia_async.ingest.existing import OnExisting, settle_existing
from clinia_async.ingest.flight import Flight
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.records import Record
from clinia_async.ingest.service import JobStopped, PatientSession
from clinia_async.ingest.verdicts import verdict
from clinia_async.models import ErrorType
from clinia_async.task_id import TaskId


class SingleLane:
    def __init__(self, flight: Flight, service: PatientSession, on_existing: OnExisting) -> None:
        self._flight = flight
        self._service = service
        self._on_existing = on_existing

    async def work(self) -> None:
        while (record := await self._flight.next()) is not None:
            following: Record | None = record
            while following is not None:
                following = await self._flight.settle(await self._send(following))

    async def _send(self, record: Record) -> RecordOutcome:
        self._flight.depart(record)
        task_id: TaskId | None = None
        try:
            task = await self._service.submit(record.write)
            task_id = task.id
            await self._service.watched(task.result)
        except JobStopped as stop:
            await self._flight.stranded([record], stop)
            raise
        except CliniaError as error:
            if _says_taken(error):
                return await settle_existing(record, self._on_existing, self._service.read, task_id)
            disposition, reason = verdict(error)
            return RecordOutcome(record, disposition, reason, task_id)
        return RecordOutcome(record, Disposition.PERSISTED, None, task_id, reconciled=task.reconciled)


def _says_taken(error: CliniaError) -> bool:
    if isinstance(error, TaskFailed):
        types = [receipt.error and receipt.error.type for receipt in error.failed_receipts]
        return types == [ErrorType.ALREADY_EXISTS]
    return isinstance(error, AlreadyExists)
