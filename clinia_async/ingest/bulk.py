"""Many records a request: one task a chunk, its receipts matched by type and id."""

import asyncio
from collections import deque
from collections.abc import Sequence

from attrs import frozen

from clinia_async.calls import Bulk
from clinia_async.conclusions import SETTLE_WITHIN, is_echo
from clinia_async.errors import CliniaError, InvalidWrite, NotFound, RequestError
from clinia_async.ingest.crew import work_together
from clinia_async.ingest.existing import OnExisting, settle_doubtful, settle_existing
from clinia_async.ingest.flight import Flight
from clinia_async.ingest.outcomes import Disposition, RecordOutcome
from clinia_async.ingest.records import Record
from clinia_async.ingest.service import JobStopped, PatientSession
from clinia_async.ingest.verdicts import reason_of, verdict
from clinia_async.models import ErrorType, Receipt, TaskStatus
from clinia_async.receipts import BatchResult, match_receipts
from clinia_async.tasks import Task

_READS_AT_ONCE = 16
NO_RECEIPT = "the task ended without a receipt to rely on"


@frozen
class ChunkLimits:
    operations: int = 5000
    bytes: int = 8 * 1024 * 1024


@frozen
class _Chunk:
    records: Sequence[Record]
    operations: Sequence[bytes]


class BulkLane:
    def __init__(
        self, flight: Flight, service: PatientSession, on_existing: OnExisting, limits: ChunkLimits
    ) -> None:
        self._flight = flight
        self._service = service
        self._on_existing = on_existing
        self._limits = limits

    async def work(self) -> None:
        ready: deque[Record] = deque()
        while (chunk := await self._fill(ready)).records:
            for outcome in await self._send(chunk):
                await self._settle(outcome, ready)

    async def _fill(self, ready: deque[Record]) -> _Chunk:
        """The next chunk: first the records whose keys this worker holds already, then new ones."""
        records: list[Record] = []
        operations: list[bytes] = []
        room = self._limits.bytes
        while len(records) < self._limits.operations:
            record = ready.popleft() if ready else await self._flight.next(wait=not records)
            if record is None:
                break
            try:
                operation = record.write.operation()
            except InvalidWrite as error:
                await self._settle(RecordOutcome(record, Disposition.INVALID, str(error)), ready)
                continue
            room -= len(operation) + 1
            if room < 0 and records:
                ready.appendleft(record)
                break
            records.append(record)
            operations.append(operation)
        return _Chunk(records, operations)

    async def _settle(self, outcome: RecordOutcome, ready: deque[Record]) -> None:
        following = await self._flight.settle(outcome)
        if following is not None:
            ready.append(following)

    async def _send(self, chunk: _Chunk) -> Sequence[RecordOutcome]:
        call = Bulk(
            self._flight.source, [record.write for record in chunk.records], operations=chunk.operations
        )
        self._flight.depart(*chunk.records)
        try:
            task = await self._service.submit(call)
            await self._service.watched(task.wait)
            receipts = await self._service.receipts(task)
            return await self._match(chunk, task, receipts)
        except JobStopped as stop:
            await self._flight.stranded(chunk.records, stop)
            raise
        except CliniaError as error:
            disposition, reason = verdict(error)
            return [RecordOutcome(record, disposition, reason) for record in chunk.records]

    async def _match(
        self, chunk: _Chunk, task: Task[BatchResult], receipts: Sequence[Receipt]
    ) -> Sequence[RecordOutcome]:
        matched = match_receipts((record.key for record in chunk.records), receipts).of
        outcomes: list[RecordOutcome | None] = [
            self._at_once(record, matched.get(record.key), task) for record in chunk.records
        ]
        deadline = asyncio.get_running_loop().time() + SETTLE_WITHIN
        to_read = [place for place, outcome in enumerate(outcomes) if outcome is None]

        async def read() -> None:
            while to_read:
                place = to_read.pop()
                record = chunk.records[place]
                outcomes[place] = await self._by_reading(record, matched[record.key], task, deadline)

        if to_read:
            await work_together(read, min(_READS_AT_ONCE, len(to_read)))
        return [outcome for outcome in outcomes if outcome is not None]

    def _at_once(
        self, record: Record, receipt: Receipt | None, task: Task[BatchResult]
    ) -> RecordOutcome | None:
        """The outcome that a receipt proves, or None where only reading the record back can tell."""
        if receipt is None or not receipt.status.is_terminal:
            return RecordOutcome(record, Disposition.UNKNOWN, NO_RECEIPT, task.id)
        if receipt.status == TaskStatus.SUCCESS:
            # without a pipeline there was no review that could have dropped it
            stored = receipt.pipeline_execution is None
            return RecordOutcome(record, Disposition.PERSISTED, None, task.id) if stored else None
        if _is_taken(receipt) or (task.doubtful and is_echo(receipt)):
            return None
        if receipt.status == TaskStatus.CANCELLED:
            return RecordOutcome(record, Disposition.CANCELLED, _CANCELLED, task.id)
        return RecordOutcome(record, Disposition.FAILED, reason_of(receipt), task.id)

    async def _by_reading(
        self, record: Record, receipt: Receipt, task: Task[BatchResult], deadline: float
    ) -> RecordOutcome:
        try:
            if receipt.status == TaskStatus.SUCCESS:
                return await self._after_review(record, task)
            if task.doubtful:
                return await settle_doubtful(record, self._service.read, deadline, task.id)
            return await settle_existing(record, self._on_existing, self._service.read, task.id)
        except RequestError as error:
            return RecordOutcome(record, Disposition.UNKNOWN, type(error).__name__, task.id)

    async def _after_review(self, record: Record, task: Task[BatchResult]) -> RecordOutcome:
        try:
            await self._service.read(record.write.readback())
        except NotFound:
            return RecordOutcome(record, Disposition.DROPPED, "a reviewer rejected it", task.id)
        return RecordOutcome(record, Disposition.PERSISTED, None, task.id)


_CANCELLED = "cancelled by a concurrent operation"


def _is_taken(receipt: Receipt) -> bool:
    return receipt.error is not None and receipt.error.type == ErrorType.ALREADY_EXISTS
