"""Sends many records a request, as a bulk or as a bundle: one task a chunk, its receipts matched by key."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from clinia_async.calls import Bundle, EncodedBulk, Write
from clinia_async.calls.conflicts import OnExisting
from clinia_async.calls.receipts import (
    Proof,
    is_key_taken,
    own_receipts,
    proof_of,
    receipts_of_made_ids,
)
from clinia_async.calls.reconciliation import REPLICA_LAG, evidence_of_operation
from clinia_async.errors import CliniaError, Evidence, RequestError
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding
from clinia_async.ingest.records.chunk import Chunk, ChunkState
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.senders.conflicts import (
    compare_existing,
    compare_within_bundle,
    reconcile_maybe_applied,
    reconcile_reviewed,
)
from clinia_async.ingest.senders.error_outcomes import CANCELLED, DROPPED, finding_of, reason_of
from clinia_async.ingest.senders.retrying_session import RetryingSession
from clinia_async.ingest.senders.worker_pool import run_workers
from clinia_async.models import Action, Receipt, TargetType, TaskStatus
from clinia_async.models.batch_result import MatchedReceipts, match_receipts
from clinia_async.models.tasks import Key
from clinia_async.serialization.lazy_receipts import LazyReceipts
from clinia_async.tasks.task import Task

NO_RECEIPT = "the task ended without a receipt to rely on"
NO_RECEIPTS = "the task ended, and its receipts could not be read"
AMBIGUOUS = "receipts do not tell which of the records that were to get an id failed"
WITH_ITS_BUNDLE = "its bundle was refused because of another record"
LOST_ANSWER = "an answer was lost, and the next attempt failed"
_CONCURRENT_READS = 16
_STORED: Finding = (Disposition.SUCCEEDED, None, Proof.STORED.evidence)
_PERSISTED: Finding = (Disposition.PERSISTED, None, evidence_of_operation(persisted=True))


class BulkSender:
    """Chunks of many records; `atomic` for bundles, which store all of a chunk or none of it."""

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

    async def outcomes(self, chunk: Chunk, task: Task[object]) -> ChunkOutcomes:
        if chunk.state is not ChunkState.ACCEPTED:  # stored at once: nothing may still fail
            return ChunkOutcomes.same(chunk, _PERSISTED)
        try:
            receipts = await self._session.receipts(task)
        except RequestError:
            chunk.has_ended = False  # the next run asks for them again
            return ChunkOutcomes.same(chunk, (Disposition.UNKNOWN, NO_RECEIPTS, Evidence.NONE))
        chunk.status = task.state
        receipts = own_receipts(receipts, task.id, task.state, len(chunk.records), said_later=task.said_later)
        if _are_usual(receipts, chunk) and receipts.all_stored(chunk.records.keys()):
            return ChunkOutcomes.same(chunk, _STORED)
        return await self._matched(chunk, receipts)

    async def refused(self, chunk: Chunk, error: CliniaError) -> ChunkOutcomes:
        if not (self._atomic and is_key_taken(error)):
            return ChunkOutcomes.same(chunk, finding_of(error))
        # a bundle that was answered at once: only what is there says which of its keys was taken
        refused: Finding = (Disposition.REJECTED, WITH_ITS_BUNDLE, error.evidence)
        outcomes = await self._read_back(chunk, [None] * len(chunk.records), {}, refused)
        if outcomes.counts.keys() == {refused}:
            await asyncio.sleep(REPLICA_LAG)  # a replica that lags does not show which key was taken
            outcomes = await self._read_back(chunk, [None] * len(chunk.records), {}, refused)
        return outcomes

    async def _matched(self, chunk: Chunk, receipts: Sequence[Receipt]) -> ChunkOutcomes:
        keys = chunk.records.keys()
        are_keyed = None not in keys
        stored: set[Key] = set()
        if are_keyed and _are_usual(receipts, chunk):
            stored, receipts = receipts.partition()
        matched = match_receipts(filter(None, keys), receipts)
        if are_keyed:
            found = [
                _STORED
                if key in stored
                else _finding(chunk, matched.of.get(key), chunk.records[place].action)
                for place, key in enumerate(keys)
                if key
            ]
        else:
            found = _findings_with_made_ids(chunk, matched)
        refused = None
        if self._atomic and any(receipt.error is not None for receipt in matched.of.values()):
            refused = _cancelled_with_its_bundle(found)
            is_taken = any(map(is_key_taken, matched.of.values()))
            found = [
                (None if is_taken else refused)
                if finding is not None and finding[0] is Disposition.CANCELLED
                else finding
                for finding in found
            ]
        return await self._read_back(chunk, found, matched.of, refused)

    async def _read_back(
        self,
        chunk: Chunk,
        found: list[Finding | None],
        receipts: Mapping[Key, Receipt],
        refused: Finding | None = None,
    ) -> ChunkOutcomes:
        """Fill in what only the records as they are now can say.

        `refused` is what is known of a record whose bundle was refused for the key of one of its records.
        """
        to_read = [place for place, finding in enumerate(found) if finding is None]

        async def read() -> None:
            while to_read:
                place = to_read.pop()
                record = chunk.records[place]
                receipt = receipts.get(record.key) if record.key else None
                try:
                    found[place] = await self._read_one(chunk, record, receipt, refused)
                except RequestError as error:
                    found[place] = Disposition.UNKNOWN, type(error).__name__, Evidence.NONE

        if to_read:
            await run_workers(read, min(_CONCURRENT_READS, len(to_read)))
        findings = [finding for finding in found if finding is not None]
        return ChunkOutcomes.of_chunk(chunk, findings)

    async def _read_one(
        self, chunk: Chunk, record: Record, receipt: Receipt | None, refused: Finding | None
    ) -> Finding:
        if receipt is not None and receipt.status == TaskStatus.SUCCESS:
            return await reconcile_reviewed(record, self._session.read)
        if chunk.maybe_applied:
            return await reconcile_maybe_applied(record, self._on_existing, self._session.read)
        if refused is not None and (receipt is None or not is_key_taken(receipt)):
            return await compare_within_bundle(record, self._on_existing, self._session.read, refused)
        proof = proof_of(receipt, maybe_applied=False, action=record.action, status=chunk.status)
        return await compare_existing(record, self._on_existing, self._session.read, proof.evidence)


def _cancelled_with_its_bundle(found: Sequence[Finding | None]) -> Finding | None:
    """Return what is known of the records of a bundle that were cancelled as another one failed."""
    cancelled = (each for each in found if each is not None and each[0] is Disposition.CANCELLED)
    return next(((each[0], WITH_ITS_BUNDLE, each[2]) for each in cancelled), None)


def _are_usual(receipts: Sequence[Receipt], chunk: Chunk) -> TypeGuard[LazyReceipts]:
    """Whether what they prove can be read from their columns: none is about another action, or cancelled."""
    is_lazy = isinstance(receipts, LazyReceipts) and receipts.actions == {chunk.records.action}
    return is_lazy and chunk.status != TaskStatus.CANCELLED


def _finding(chunk: Chunk, receipt: Receipt | None, action: Action) -> Finding | None:
    """Return what a receipt proves, or None where only the record itself, read back, can prove it."""
    proof = proof_of(receipt, maybe_applied=chunk.maybe_applied, action=action, status=chunk.status)
    if proof is Proof.STORED:
        return _STORED
    if proof is Proof.NOTHING or receipt is None:
        is_final = receipt is not None and receipt.status.is_terminal
        return Disposition.UNKNOWN, LOST_ANSWER if is_final else NO_RECEIPT, Evidence.NONE
    if proof is Proof.READ_BACK_NEEDED or is_key_taken(receipt):
        return None
    if proof is Proof.DROPPED:
        return Disposition.DROPPED, DROPPED, proof.evidence
    if receipt.status == TaskStatus.CANCELLED:
        return Disposition.CANCELLED, CANCELLED, proof.evidence
    return Disposition.FAILED, reason_of(receipt), proof.evidence


def _findings_with_made_ids(chunk: Chunk, matched: MatchedReceipts) -> list[Finding | None]:
    """Return what receipts prove where the service makes some of the ids.

    Receipts of such creates cannot be distinguished. So all of a type share one finding, or are unknown.
    """
    records = chunk.records
    wanted = Counter(record.write.type for record in records if record.key is None)
    of_type = {type_: _shared_finding(chunk, matched, type_, count) for type_, count in wanted.items()}
    return [
        _finding(chunk, matched.of.get(record.key), record.action)
        if record.key
        else of_type[record.write.type]
        for record in records
    ]


def _shared_finding(chunk: Chunk, matched: MatchedReceipts, type_: str, count: int) -> Finding:
    mine = receipts_of_made_ids(matched.unexpected, TargetType.RESOURCE, type_, count)
    if mine is None:
        return Disposition.UNKNOWN, NO_RECEIPT, Evidence.NONE
    findings = {_finding(chunk, receipt, Action.CREATE) for receipt in mine}
    if len(findings) != 1:
        return Disposition.UNKNOWN, AMBIGUOUS, Evidence.NONE
    # a record without a key cannot be read back
    return findings.pop() or (Disposition.UNKNOWN, NO_RECEIPT, Evidence.NONE)
