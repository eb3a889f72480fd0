"""The results of a purge, and of a task that was resumed from its id or token."""

import asyncio
from typing import TypeVar

from clinia_async import calls
from clinia_async.calls import Call, Read
from clinia_async.calls.equality import is_older
from clinia_async.calls.receipts import is_taken_back, only_receipt, proves_stored
from clinia_async.calls.reconciliation import (
    REPLICA_LAG,
    UNPROVEN,
    carried_out,
    statement_after,
    statement_of_success,
)
from clinia_async.errors import (
    InvalidWrite,
    NotFound,
    ProtocolError,
    RequestError,
    TaskUnconfirmed,
)
from clinia_async.models import (
    Action,
    PurgeOperation,
    Receipt,
    TargetType,
    TaskSnapshot,
    TaskStatus,
)
from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.batch_result import receipts_result
from clinia_async.tasks.ended import (
    NOT_SHOWN,
    UNCONFIRMED,
    failed,
    unreadable,
    until_after,
)
from clinia_async.tasks.task import Task

T = TypeVar("T")

_ABSENT_AFTER_SUCCESS = "it succeeded, and the record is not there to be read"


async def purge_result(
    write: "calls.Purge", read: Read, task: Task[PurgeOperation], snapshot: TaskSnapshot
) -> PurgeOperation:
    """The purge as it stands at its end, with the number of records that it deleted.

    Raises:
        TaskError: it did not succeed.
        RequestError: it could not be read.
    """
    if snapshot.status != TaskStatus.SUCCESS:
        raise failed(task, snapshot, ())
    operation = write.accept(await _read_purge(read, task))
    task.evidence = carried_out().evidence
    return operation


async def resumed_result(read: Read, task: Task[object], snapshot: TaskSnapshot) -> object:
    """The result of a handle made from an id or a token: what was sent is not known, only what was made.

    Raises:
        TaskError: the task did not succeed, or nothing proves that the write was carried out.
        RequestError: what it made could not be read.
    """
    if task.kind is TaskKind.PURGE:
        if snapshot.status != TaskStatus.SUCCESS:
            raise failed(task, snapshot, ())
        operation = await _read_purge(read, task)
        task.evidence = carried_out().evidence
        return operation
    result = await receipts_result(task, snapshot)
    receipt = only_receipt(result.receipts) if task.kind is TaskKind.SINGLE else None
    if receipt is None:
        return result
    made = _get_of(task.source_key or "", receipt, snapshot)
    if receipt.action == Action.DELETE:
        if made is not None and not proves_stored(receipt):
            await _check_deleted(read, task, made)
        return result
    return result if made is None else await _read_made(read, task, receipt, made)


async def _check_deleted(read: Read, task: Task[object], made: Call[object]) -> None:
    try:
        await read(made)
    except NotFound:
        return
    except RequestError as error:
        unknown = UNPROVEN.on(error)
    else:
        raise task.error(TaskUnconfirmed, UNCONFIRMED)
    raise unknown


async def _read_made(read: Read, task: Task[object], receipt: Receipt, made: Call[object]) -> object:
    try:
        return await _read_until_fresh(read, made, receipt)
    except RequestError as error:
        if isinstance(error, NotFound) and not proves_stored(receipt):
            raise task.error(TaskUnconfirmed, _ABSENT_AFTER_SUCCESS) from None
        after = statement_of_success(receipt).on(error)
    raise after


def _get_of(source: str, receipt: Receipt, snapshot: TaskSnapshot) -> Call[object] | None:
    """The call that reads the record of a single write; None if this version cannot read it."""
    try:
        if receipt.target_type == TargetType.RESOURCE:
            return calls.GetResource(source, receipt.type, receipt.id)
        if receipt.target_type == TargetType.RELATIONSHIP:
            return calls.GetRelationship(source, receipt.type, receipt.id)
    except InvalidWrite:
        raise unreadable(snapshot) from None
    return None


async def _read_until_fresh(read: Read, call: Call[T], receipt: Receipt) -> T:
    """Read a record, again for a while if a stale replica answers: without it, or with an older state.

    Raises:
        ProtocolError: the record is of a time before the write, still.
    """
    until, pause = until_after(REPLICA_LAG), 0.1
    while True:
        is_last = asyncio.get_running_loop().time() + pause >= until
        try:
            found = await read(call)
        except NotFound:
            if is_last:
                raise
        else:
            if not is_older(found, receipt):
                return found
            if is_last:
                raise ProtocolError(NOT_SHOWN)
        await asyncio.sleep(pause)
        pause *= 2


async def _read_purge(read: Read, task: Task[T]) -> PurgeOperation:
    """Read a purge that succeeded. Raises `RequestError` where that is not what the service says."""
    failure: RequestError
    try:
        operation = await read(calls.GetPurge(task.source_key or "", task.known_id))
    except RequestError as error:
        failure, said = error, task.said_later
    else:
        succeeded = operation.status == TaskStatus.SUCCESS
        said = task.said_later if succeeded else operation.status
        if succeeded and not is_taken_back(TaskStatus.SUCCESS, said):
            return operation
        failure = ProtocolError("the answer is from before the end of the purge")
    is_contradicted = is_taken_back(TaskStatus.SUCCESS, said)
    if is_contradicted:
        failure = ProtocolError("the service says that the purge succeeded, and that it did not")
    raise statement_after(TaskStatus.SUCCESS, is_contradicted=is_contradicted).on(failure)
