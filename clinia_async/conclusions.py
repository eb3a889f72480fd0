"""What a task that ended means for the write that made it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from attrs import frozen

from clinia_async.calls import BulkRelationships, CreateRelationship, GetRelationship, Read
from clinia_async.errors import (
    NotFound,
    Outcome,
    ProtocolError,
    RequestError,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
    WriteConflict,
    fresh,
)
from clinia_async.models import (
    BulkResult,
    ErrorType,
    Receipt,
    Relationship,
    TargetType,
    TaskSnapshot,
    TaskStatus,
)
from clinia_async.receipts import match_receipts
from clinia_async.task_id import TaskKind
from clinia_async.tasks import Task

R = TypeVar("R")

_NOT_STORED = frozenset({TaskStatus.FAILURE, TaskStatus.CANCELLED})


@frozen
class OfRelationship:
    """Reads the relationship back: SUCCESS alone is no proof that it was stored."""

    call: CreateRelationship
    read: Read

    async def __call__(self, task: Task[Relationship], snapshot: TaskSnapshot) -> Relationship:
        if snapshot.status != TaskStatus.SUCCESS:
            return await self._settle(task, snapshot)
        found = await _read_done(task, lambda: self.read(self.call.readback()))
        if not self.call.is_about(found):
            raise ProtocolError("the answer does not hold the relationship that was sent")
        return found

    async def _settle(self, task: Task[Relationship], snapshot: TaskSnapshot) -> Relationship:
        receipts = await task.receipts()
        failure = failed(task, snapshot, receipts)
        if not (task.doubtful and any(map(may_be_our_own_doing, receipts))):
            raise failure
        try:
            found = await self.read(self.call.readback())
        except NotFound:
            raise failure from None
        if not self.call.equals(found):
            raise WriteConflict("the key is taken by a record that differs from the one that was sent")
        task.reconciled = True
        return found


@frozen
class OfBulk:
    """The receipts, once every operation is stored."""

    call: BulkRelationships
    read: Read

    async def __call__(self, task: Task[BulkResult], snapshot: TaskSnapshot) -> BulkResult:
        receipts = await task.receipts()
        matched = match_receipts([(write.type, write.id) for write in self.call.writes], receipts)
        if len(matched.of) != len(self.call.writes):
            missing = len(self.call.writes) - len(matched.of)
            raise ProtocolError(f"{missing} of {len(self.call.writes)} operations have no receipt to rely on")
        if all(receipt.status == TaskStatus.SUCCESS for receipt in receipts):
            return BulkResult(receipts)
        writes = {(write.type, write.id): write for write in self.call.writes}
        left = [
            receipt
            for receipt in receipts
            if not await self._is_stored(task, receipt, writes.get((receipt.type, receipt.id)))
        ]
        if left:
            raise failed(task, snapshot, receipts, left)
        task.reconciled = True
        return BulkResult(receipts)

    async def _is_stored(
        self, task: Task[BulkResult], receipt: Receipt, write: CreateRelationship | None
    ) -> bool:
        if write is None or not (task.doubtful and may_be_our_own_doing(receipt)):
            return receipt.status == TaskStatus.SUCCESS
        try:
            return await write.settle(self.read) is not None
        except NotFound:
            return False


@frozen
class OfResumed:
    """For a handle made from an id or a token: what was sent is not known here, only what was made."""

    read: Read

    async def __call__(self, task: Task[object], snapshot: TaskSnapshot) -> object:
        receipts = await task.receipts()
        if snapshot.status != TaskStatus.SUCCESS:
            raise failed(task, snapshot, receipts)
        match receipts:
            case [Receipt(target_type=TargetType.RELATIONSHIP) as made] if task.kind is TaskKind.SINGLE:
                assert task.source_key is not None
                call = GetRelationship(task.source_key, made.type, made.id)
                return await _read_done(task, lambda: self.read(call))
            case _:
                return BulkResult(receipts)


def failed(
    task: Task[R], snapshot: TaskSnapshot, receipts: Sequence[Receipt], bad: Sequence[Receipt] | None = None
) -> TaskFailed | TaskCancelled:
    """The error of a task that ended badly, with the receipts of the operations that did."""
    if snapshot.status == TaskStatus.CANCELLED:
        # a write whose first answer was lost may have been stored by then
        outcome = Outcome.UNKNOWN if task.doubtful else Outcome.REJECTED
        return task.error(TaskCancelled, "the service cancelled every operation", outcome)
    if bad is None:
        bad = [receipt for receipt in receipts if receipt.status != TaskStatus.SUCCESS]
    # what a failed bulk left behind differs from operation to operation: only its receipts can tell
    none = bool(receipts) and all(receipt.status in _NOT_STORED for receipt in receipts)
    outcome = Outcome.REJECTED if none and not task.doubtful else Outcome.UNKNOWN
    types = sorted({str(receipt.error.type) for receipt in bad if receipt.error is not None})
    error = task.error(
        TaskFailed, f"{len(bad)} of {len(receipts)} operations failed {' '.join(types)}".rstrip(), outcome
    )
    error.failed_receipts = bad
    return error


def may_be_our_own_doing(receipt: Receipt) -> bool:
    """Whether this is what a write meets that was sent twice: its key taken, or cancelled by its twin."""
    if receipt.status == TaskStatus.CANCELLED:
        return True
    return receipt.error is not None and receipt.error.type == ErrorType.ALREADY_EXISTS


async def _read_done(task: Task[R], read: Callable[[], Awaitable[Relationship]]) -> Relationship:
    try:
        return await read()
    except NotFound:
        raise task.error(TaskDropped, "it succeeded and its record is absent", Outcome.REJECTED) from None
    except RequestError as error:
        landed = fresh(error)
        landed.outcome = Outcome.DONE
    raise landed
