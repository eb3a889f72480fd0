"""What a task that ended means for the write that made it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

from attrs import frozen

from clinia_async.calls import (
    Bulk,
    Bundle,
    Call,
    DeleteRelationship,
    DeleteResource,
    EncodedBulk,
    GetPurge,
    GetRelationship,
    GetResource,
    Purge,
    Read,
    Reconcilable,
    Write,
)
from clinia_async.calls.reconciliation import (
    DIFFERENT_RECORD,
    READ_BACK_FOR,
    Match,
    is_duplicate,
    outcome_of,
    read_back,
)
from clinia_async.errors import (
    InvalidWrite,
    NotFound,
    Outcome,
    ProtocolError,
    RequestError,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
    WriteConflict,
    copy_for_raise,
)
from clinia_async.models import (
    Action,
    PurgeOperation,
    Receipt,
    TargetType,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.models.batch_result import BatchResult
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.tasks.task import ResultResolver, Task

R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class RecordWrite(Write[R_co], Protocol[R_co]):
    """A write of one record, which can be read back."""

    @property
    def id(self) -> str | None: ...

    def readback(self, receipts: Sequence[Receipt]) -> Call[R_co]: ...


class Deletion(Write[None], Protocol):
    def readback(self, receipts: Sequence[Receipt] = ()) -> Call[object]: ...


def resolver_of(write: Write[R], read: Read) -> ResultResolver[R]:
    conclusion: object
    if isinstance(write, Purge):
        conclusion = PurgeResult(write, read)
    elif isinstance(write, Bulk | Bundle):
        conclusion = BatchTaskResult(write, read)
    elif isinstance(write, EncodedBulk):
        conclusion = receipts_result
    elif isinstance(write, DeleteRelationship | DeleteResource):
        conclusion = DeletionResult(write, read)
    else:
        conclusion = RecordResult(cast("RecordWrite[R]", write), read)
    return cast("ResultResolver[R]", conclusion)


@frozen(eq=False, repr=False)
class RecordResult(Generic[R]):
    """Reads the record back: SUCCESS alone is no proof that it was stored."""

    write: RecordWrite[R]
    read: Read

    async def __call__(self, task: Task[R], snapshot: TaskSnapshot) -> R:
        if snapshot.status != TaskStatus.SUCCESS:
            return self.write.result(await settled(task, snapshot, self.write, self.read))
        receipts = () if self.write.id is not None else await task.receipts()
        try:
            made = self.write.readback(receipts)
        except InvalidWrite:
            raise _unreadable() from None
        return await _read_done(task, lambda: self.read(made))


@frozen(eq=False, repr=False)
class DeletionResult:
    """Looks whether it is gone: SUCCESS alone is no proof that a reviewer let it."""

    write: Deletion
    read: Read

    async def __call__(self, task: Task[None], snapshot: TaskSnapshot) -> None:
        if snapshot.status != TaskStatus.SUCCESS:
            await settled(task, snapshot, self.write, self.read)
            return
        try:
            await self.read(self.write.readback())
        except NotFound:
            return
        except RequestError as error:
            landed = _landed(error)
        else:
            raise task.error(TaskDropped, "it succeeded and its record is still there", Outcome.REJECTED)
        raise landed


@frozen(eq=False, repr=False)
class BatchTaskResult:
    """The receipts, once every operation is stored."""

    write: Bulk | Bundle
    read: Read

    async def __call__(self, task: Task[BatchResult], snapshot: TaskSnapshot) -> BatchResult:
        result = BatchResult(await task.receipts(), self.write.writes)
        if len(result.receipts) < len(self.write.writes) or _untold(result):
            raise ProtocolError("operations are without a receipt to rely on")
        failed_receipts = result.failed
        if not failed_receipts and snapshot.status == TaskStatus.SUCCESS:
            return result
        deadline = _deadline()
        left = [each for each in failed_receipts if not await self._is_stored(task, each, deadline)]
        if left or not failed_receipts:
            error = failed(task, snapshot, result.receipts, left)
            if isinstance(error, TaskFailed):
                error.result = result
            raise error
        task.reconciled = True
        return result

    async def _is_stored(self, task: Task[BatchResult], receipt: Receipt, deadline: float) -> bool:
        """Whether a refused operation is stored all the same, by the first of two attempts."""
        if not (task.maybe_applied and is_duplicate(receipt)):
            return False
        subject = (receipt.target_type, receipt.type, receipt.id)
        mine = [write for write in self.write.writes if (write.target, write.type, write.id) == subject]
        if len(mine) != 1:
            return False
        write = cast("Reconcilable[TaskSubmission]", mine[0])
        return (await read_back(write, self.read, deadline)).match is Match.SAME


async def receipts_result(task: Task[R], snapshot: TaskSnapshot) -> BatchResult:
    """The receipts, where nothing is known here of the writes that they are for."""
    receipts = await task.receipts()
    if snapshot.status != TaskStatus.SUCCESS:
        error = failed(task, snapshot, receipts)
        if isinstance(error, TaskFailed):
            error.result = BatchResult(receipts)
        raise error
    return BatchResult(receipts)


@frozen(eq=False, repr=False)
class PurgeResult:
    write: Purge
    read: Read

    async def __call__(self, task: Task[PurgeOperation], snapshot: TaskSnapshot) -> PurgeOperation:
        if snapshot.status != TaskStatus.SUCCESS:
            raise failed(task, snapshot, ())
        return self.write.accept(await _read_purge(self.read, self.write.source, task.known_id))


@frozen(eq=False, repr=False)
class ResumedResult:
    """For a handle made from an id or a token: what was sent is not known here, only what was made."""

    read: Read

    async def __call__(self, task: Task[object], snapshot: TaskSnapshot) -> object:
        source = task.source_key or ""
        if task.kind is TaskKind.PURGE:
            if snapshot.status != TaskStatus.SUCCESS:
                raise failed(task, snapshot, ())
            return await _read_purge(self.read, source, task.known_id)
        receipts = await task.receipts()
        if snapshot.status != TaskStatus.SUCCESS:
            raise failed(task, snapshot, receipts)
        made = _get_of(source, receipts[0]) if task.kind is TaskKind.SINGLE and len(receipts) == 1 else None
        return BatchResult(receipts) if made is None else await _read_done(task, lambda: self.read(made))


def _get_of(source: str, receipt: Receipt) -> Call[object] | None:
    """How to read what a single write made; None if it made nothing that this version can read."""
    if receipt.action == Action.DELETE:
        return None
    try:
        if receipt.target_type == TargetType.RESOURCE:
            return GetResource(source, receipt.type, receipt.id)
        if receipt.target_type == TargetType.RELATIONSHIP:
            return GetRelationship(source, receipt.type, receipt.id)
    except InvalidWrite:
        raise _unreadable() from None
    return None


def _unreadable() -> ProtocolError:
    return ProtocolError("the receipt names no record that can be read", outcome=Outcome.DONE)


async def settled(task: Task[R], snapshot: TaskSnapshot, write: Write[R], read: Read) -> TaskSubmission:
    """What a failed task's lost twin did, if there was one and what is there is what was sent."""
    receipts = await task.receipts() if snapshot.receipts is None else snapshot.receipts
    failure = failed(task, snapshot, receipts)
    if not (task.maybe_applied and hasattr(write, "reconciled") and any(map(is_duplicate, receipts))):
        raise failure
    back = await read_back(cast("Reconcilable[TaskSubmission]", write), read, _deadline())
    if back.match is Match.ABSENT:
        raise failure
    if back.answer is None:
        raise WriteConflict(DIFFERENT_RECORD)
    task.reconciled = True
    return back.answer


def failed(
    task: Task[R], snapshot: TaskSnapshot, receipts: Sequence[Receipt], bad: Sequence[Receipt] | None = None
) -> TaskFailed | TaskCancelled:
    """The error of a task that ended badly, with the receipts of the operations that did."""
    if snapshot.status == TaskStatus.CANCELLED and (bad is None or len(bad) == len(receipts)):
        # a write whose first answer was lost may have been stored by then
        outcome = Outcome.UNKNOWN if task.maybe_applied else Outcome.REJECTED
        return task.error(TaskCancelled, "the service cancelled every operation", outcome)
    if bad is None:
        bad = [receipt for receipt in receipts if receipt.status != TaskStatus.SUCCESS]
    # what a failed bulk left behind differs from operation to operation: only its receipts can tell
    outcome, evidence = outcome_of(receipts, maybe_applied=task.maybe_applied)
    types = sorted({str(receipt.error.type) for receipt in bad if receipt.error is not None})
    error = task.error(
        TaskFailed, f"{len(bad)} of {len(receipts)} operations failed {' '.join(types)}".rstrip(), outcome
    )
    error.evidence = evidence
    error.failed_receipts = bad
    return error


def _deadline() -> float:
    """Until when the lost twin of a failed write is looked for."""
    return asyncio.get_running_loop().time() + READ_BACK_FOR


def _untold(result: BatchResult) -> bool:
    """Whether a write whose key is known before sending has no receipt."""
    return any(write.id is not None and "@rootId" not in write.id for write in result.missing)


def _landed(error: RequestError) -> RequestError:
    landed = copy_for_raise(error)
    landed.outcome = Outcome.DONE
    return landed


async def _read_done(task: Task[T], read: Callable[[], Awaitable[R]]) -> R:
    try:
        return await read()
    except NotFound:
        raise task.error(TaskDropped, "it succeeded and its record is absent", Outcome.REJECTED) from None
    except RequestError as error:
        landed = _landed(error)
    raise landed


async def _read_purge(read: Read, source: str, id: TaskId) -> PurgeOperation:
    try:
        operation = await read(GetPurge(source, id))
    except RequestError as error:
        landed = _landed(error)
    else:
        if operation.status == TaskStatus.SUCCESS:
            return operation
        landed = ProtocolError("the answer is from before the end of the purge", outcome=Outcome.DONE)
    raise landed
