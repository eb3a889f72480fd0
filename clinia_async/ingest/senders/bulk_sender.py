"""Many records a request, as a bulk or as a bundle: one task a chunk, its receipts matched by type and id."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from clinia_async.calls import Bundle, Call, DeleteRelationship, DeleteResource, EncodedBulk, Write
from clinia_async.calls.reconciliation import READ_BACK_FOR, is_duplicate
from clinia_async.errors import AlreadyExists, CliniaError, NotFound, RequestError
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding, RecordOutcome
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.senders.conflicts import OnExisting, compare_existing, reconcile_maybe_applied
from clinia_async.ingest.senders.error_outcomes import (
    CANCELLED,
    DROPPED,
    disposition_of,
    reason_of,
    same_outcome,
)
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.ingest.senders.worker_pool import run_workers
from clinia_async.models import Action, ErrorType, Receipt, TaskStatus
from clinia_async.models.batch_result import Key, match_receipts
from clinia_async.serialization.lazy_receipts import LazyReceipts
from clinia_async.tasks.task import Task

NO_RECEIPT = "the task ended without a receipt to rely on"
NOT_TOLD_APART = "receipts do not tell which of the records that were to get an id failed"
WITH_ITS_BUNDLE = "its bundle was refused because of another record"
_READS_AT_ONCE = 16
_STORED: Finding = (Disposition.SUCCEEDED, None)


class BulkSender:
    """`atomic` for bundles: all of a chunk or none of it."""

    def __init__(
        self, source: str, session: RetryingSession, on_existing: OnExisting, *, atomic: bool
    ) -> None:
        self._source = source
        self._session = session
        self._on_existing = on_existing
        self._atomic = atomic

    def write(self, chunk: Chunk) -> Write[object]:
        if self._atomic:
            return Bundle(self._source, [record.write for record in chunk.records])
        kind = chunk.records.kind
        return EncodedBulk(self._source, kind.target, chunk.records.operations(), kind.retry_safety)

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> Sequence[RecordOutcome]:
        if chunk.state is not ChunkState.ACCEPTED:  # stored at once: there is nothing that may still fail
            return same_outcome(chunk, Disposition.PERSISTED, None)
        receipts = await self._session.receipts(task)
        keys = chunk.records.keys()
        if isinstance(receipts, LazyReceipts) and receipts.all_stored(keys):
            return ChunkOutcomes(chunk, [_STORED] * len(keys))
        are_keyed = None not in keys
        stored: set[Key] = set()
        if are_keyed and isinstance(receipts, LazyReceipts):
            stored, receipts = receipts.partition()
        matched = match_receipts(filter(None, keys), receipts)
        if are_keyed:
            of = matched.of.get
            found = [_STORED if key in stored else self._at_once(chunk, of(key)) for key in keys if key]
        else:
            made = _made(chunk.records, matched.unexpected)
            found = [
                self._at_once(chunk, matched.of.get(key)) if key else made[record.write.type]
                for key, record in zip(keys, chunk.records, strict=True)
            ]
        await self._read(chunk, found, matched.of)
        return _outcomes(chunk, found)

    async def refused(self, chunk: Chunk, error: CliniaError) -> Sequence[RecordOutcome]:
        if not (self._atomic and isinstance(error, AlreadyExists)):
            return same_outcome(chunk, *disposition_of(error))
        # a bundle that was answered at once: which of its records are there tells
        found: list[Finding | None] = [None] * len(chunk.records)
        await self._read(chunk, found, {})
        return _outcomes(chunk, found)

    def _at_once(self, chunk: Chunk, receipt: Receipt | None) -> Finding | None:
        """What a receipt proves, or None where only reading the record back can tell."""
        if receipt is not None and receipt.status is TaskStatus.SUCCESS:
            # without a pipeline there was no review that could have dropped it
            return _STORED if receipt.pipeline_execution is None else None
        if receipt is None or not receipt.status.is_terminal:
            return Disposition.UNKNOWN, NO_RECEIPT
        if _is_taken(receipt) or (chunk.maybe_applied and is_duplicate(receipt)):
            return None
        if receipt.status == TaskStatus.CANCELLED:
            return Disposition.CANCELLED, CANCELLED
        return Disposition.FAILED, reason_of(receipt)

    async def _read(self, chunk: Chunk, found: list[Finding | None], receipts: Mapping[Key, Receipt]) -> None:
        """Fills in what only the records as they are can tell."""
        deadline = asyncio.get_running_loop().time() + READ_BACK_FOR
        to_read = [place for place, finding in enumerate(found) if finding is None]

        async def read() -> None:
            while to_read:
                place = to_read.pop()
                record = chunk.records[place]
                receipt = receipts.get(record.key) if record.key else None
                found[place] = await self._by_reading(record, receipt, chunk, deadline)

        if to_read:
            await run_workers(read, min(_READS_AT_ONCE, len(to_read)))

    async def _by_reading(
        self, record: Record, receipt: Receipt | None, chunk: Chunk, deadline: float
    ) -> Finding:
        try:
            if receipt is not None and receipt.status == TaskStatus.SUCCESS:
                return await self._after_review(record)
            if chunk.maybe_applied:
                return await reconcile_maybe_applied(record, self._on_existing, self._session.read, deadline)
            if receipt is None:
                return await self._with_its_bundle(record)
            return await compare_existing(record, self._on_existing, self._session.read)
        except RequestError as error:
            return Disposition.UNKNOWN, type(error).__name__

    async def _after_review(self, record: Record) -> Finding:
        """A review may have dropped it, whatever its task says: what is there tells."""
        write = record.write
        if isinstance(write, DeleteRelationship | DeleteResource):
            is_done = not await self._is_there(write.readback())
        else:
            is_done = await self._is_there(write.readback(()))
        return (Disposition.SUCCEEDED, None) if is_done else (Disposition.DROPPED, DROPPED)

    async def _is_there(self, get: Call[object]) -> bool:
        try:
            await self._session.read(get)
        except NotFound:
            return False
        return True

    async def _with_its_bundle(self, record: Record) -> Finding:
        """For a record of a bundle that was refused because one of its keys is taken."""
        if record.action is not Action.CREATE:
            return Disposition.REJECTED, WITH_ITS_BUNDLE
        found = await compare_existing(record, self._on_existing, self._session.read)
        return (Disposition.REJECTED, WITH_ITS_BUNDLE) if found[0] is Disposition.UNKNOWN else found


def _made(records: Sequence[Record], receipts: Sequence[Receipt]) -> dict[str, Finding]:
    """What became of the creates whose ids the service makes, by type.

    Their receipts cannot be told apart. So all of a type share a fate, or it is not known whose is whose.
    """
    wanted = Counter(record.write.type for record in records if record.key is None)
    findings: dict[str, Finding] = {}
    for type_, count in wanted.items():
        mine = {
            receipt.id: receipt
            for receipt in receipts
            if receipt.type == type_ and receipt.action == Action.CREATE
        }
        fates = {_fate(receipt) for receipt in mine.values()}
        if len(mine) != count or len(fates) != 1:
            findings[type_] = Disposition.UNKNOWN, NOT_TOLD_APART if len(mine) == count else NO_RECEIPT
        else:
            findings[type_] = fates.pop()
    return findings


def _fate(receipt: Receipt) -> Finding:
    if receipt.status == TaskStatus.SUCCESS and receipt.pipeline_execution is None:
        return Disposition.SUCCEEDED, None
    if receipt.status == TaskStatus.CANCELLED:
        return Disposition.CANCELLED, CANCELLED
    if receipt.status == TaskStatus.FAILURE:
        return Disposition.FAILED, reason_of(receipt)
    return Disposition.UNKNOWN, NO_RECEIPT


def _outcomes(chunk: Chunk, found: Sequence[Finding | None]) -> ChunkOutcomes:
    findings = [finding for finding in found if finding is not None]
    assert len(findings) == len(found)
    return ChunkOutcomes(chunk, findings, reconciles=True)


def _is_taken(receipt: Receipt) -> bool:
    return receipt.error is not None and receipt.error.type == ErrorType.ALREADY_EXISTS
