"""The task of one write that was sent in a bulk with others."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import cast

from attrs import define, field

from clinia_async.calls import CreateRelationship, CreateResource, Read, UpsertResource
from clinia_async.calls.receipts import Proof, own_receipts, proof_of
from clinia_async.calls.reconciliation import Statement, evidence_of_operation
from clinia_async.errors import ApiError, Evidence, ProtocolError, RequestError, TaskFailed
from clinia_async.models import ErrorType, Receipt, Relationship, Resource, TaskSnapshot, TaskStatus
from clinia_async.models.batch_result import match_receipts
from clinia_async.models.tasks import Key
from clinia_async.serialization.lazy_receipts import LazyReceipts
from clinia_async.tasks.record_result import RecordResult, RecordWrite
from clinia_async.tasks.task import Task
from clinia_async.tasks.task_state import TaskState

KeyedWrite = CreateRelationship | CreateResource | UpsertResource
Record = Relationship | Resource


@define(eq=False, repr=False)
class SharedBulk:
    """What the tasks of one bulk share. It knows none of them, so each is freed with its last reference."""

    state: TaskState
    read: Read
    maybe_applied: bool
    attempts: int
    operations: int
    """How many writes it holds."""
    is_persisted: bool
    """It was PERSISTED: everything in it is stored."""
    request_id: str | None = None
    _stored: "dict[tuple[str, str, str], AbstractSet[str]]" = field(factory=dict)
    """The ids of what is stored, by target, type and action."""
    _matched: Mapping[Key, Receipt] | None = None
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    def task_of(self, write: KeyedWrite, operation: bytes) -> "BulkMemberTask":
        """Make the handle for one of the writes, which went out as `operation`."""
        return BulkMemberTask(self, write, operation)

    @property
    def evidence(self) -> Evidence:
        """What proves a write that `has_stored` is true of."""
        return evidence_of_operation(persisted=self.is_persisted)

    def has_stored(self, write: KeyedWrite) -> bool:
        """Whether what the end of the task brought proves that `write` is stored."""
        if self.is_persisted:
            return True
        collection = write.target, write.type, write.action
        ids = self._stored.get(collection)
        if ids is None:
            receipts = self._own(self.state.kept_receipts or ()) if self._succeeded() else None
            ids = receipts.stored_ids(*collection) if isinstance(receipts, LazyReceipts) else frozenset()
            self._stored[collection] = ids
        return write.id in ids

    async def __call__(self, task: Task[Record], snapshot: TaskSnapshot) -> Record:
        """Resolve the result of each of its tasks."""
        task = cast("BulkMemberTask", task)
        if self.is_persisted:
            task.evidence = self.evidence
            return task.as_sent()
        resolve = RecordResult(
            cast("RecordWrite[Record]", task.write),
            self.read,
            reads_back=False,
            operation=task.operation,
            is_alone=False,
        )
        try:
            receipt = await self._receipt_of(task)
        except RequestError:
            return await resolve(task, snapshot)
        return await resolve(task, TaskSnapshot(receipt.status, task.id, (receipt,)))

    def _succeeded(self) -> bool:
        return self.state.snapshot.status in {TaskStatus.SUCCESS, TaskStatus.FAILURE}

    async def _receipt_of(self, task: "BulkMemberTask") -> Receipt:
        receipts = self.state.kept_receipts
        if receipts is None:
            async with self._lock:  # one reads them for all
                receipts = await task.receipts()
        write = task.write
        receipt = self._by_key(receipts).get((write.target, write.type, write.id or ""))
        status = self.state.snapshot.status
        if proof_of(receipt, maybe_applied=False, status=status) is Proof.NOTHING or receipt is None:
            raise ProtocolError("the write is without a receipt to rely on")
        return receipt

    def _by_key(self, receipts: Sequence[Receipt]) -> Mapping[Key, Receipt]:
        if self._matched is None:
            own = self._own(receipts)
            keys = [(receipt.target_type, receipt.type, receipt.id) for receipt in own]
            self._matched = match_receipts(keys, own).of
        return self._matched

    def _own(self, receipts: Sequence[Receipt]) -> Sequence[Receipt]:
        state = self.state
        return own_receipts(
            receipts, state.id, state.snapshot.status, self.operations, said_later=state.said_later
        )


class BulkMemberTask(Task[Record]):
    """The task of one write of a bulk."""

    __slots__ = ("_bulk", "operation", "write")

    def __init__(self, bulk: SharedBulk, write: KeyedWrite, operation: bytes) -> None:
        super().__init__(bulk.state, bulk, maybe_applied=bulk.maybe_applied, attempts=bulk.attempts)
        self.request_id = bulk.request_id
        self._bulk = bulk
        self.operation = operation
        self.write = write

    def as_sent(self) -> Record:
        """The record as it went out."""
        return self.write.as_sent(self.operation)

    def _resolve_at_once(self) -> None:
        if self._bulk.has_stored(self.write):
            self._result = self.as_sent()
            self._known = True
            self.evidence = self._bulk.evidence


_USUAL_STATUS = {
    ErrorType.ALREADY_EXISTS: 409,
    ErrorType.CONTENT_TOO_LARGE: 413,
    ErrorType.INTERNAL: 500,
    ErrorType.NOT_FOUND: 404,
    ErrorType.PERMISSION_DENIED: 403,
    ErrorType.UNAUTHENTICATED: 401,
    ErrorType.UNIMPLEMENTED: 501,
}


def refusal_of(error: TaskFailed) -> ApiError | None:
    """The error that the receipt of a failed write names, as if the write had been sent alone.

    None if it names none, or if a pipeline ran: such writes are queued when they are sent alone, too.
    """
    receipt = error.failed_receipts[0] if len(error.failed_receipts) == 1 else None
    info = None if receipt is None or receipt.pipeline_execution is not None else receipt.error
    if info is None:
        return None
    status = info.code or _USUAL_STATUS.get(info.type or ErrorType.INVALID_ARGUMENT, 400)
    kind = ApiError if info.type is None else ApiError.by_type.get(info.type, ApiError)
    refusal = kind(
        f"bulk operation: {status if info.type is None else info.type.shown}", status=status, info=info
    )
    refusal.request_id = error.request_id
    return Statement(error.outcome, error.evidence).on(refusal)
