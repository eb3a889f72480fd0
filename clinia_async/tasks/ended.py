"""A task that ended: its receipts, the record beside them, and the error where it ended badly.

What a receipt or a record proves is written in `calls.reconciliation`, and nowhere here.
"""

import asyncio
from collections.abc import Sequence

from clinia_async.calls import Read, Reconcilable
from clinia_async.calls.call import R
from clinia_async.calls.receipts import are_consistent, is_taken_back
from clinia_async.calls.reconciliation import (
    UNPROVEN,
    ReadBack,
    read_back,
    statement_after,
    statement_of_end,
)
from clinia_async.errors import (
    ProtocolError,
    RequestError,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
)
from clinia_async.models import (
    Receipt,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.tasks.task import Task

NOT_SHOWN = "it succeeded, and the record that was read back does not show it"
UNCONFIRMED = "it succeeded, and neither its receipt nor the record proves that the write was carried out"


async def compare(
    write: Reconcilable[TaskSubmission], read: Read, until: float, receipts: Sequence[Receipt]
) -> ReadBack[TaskSubmission]:
    """Read a record back.

    Raises:
        RequestError: it could not be read. That says nothing of the write: the outcome is UNKNOWN.
    """
    try:
        return await read_back(write, read, until, receipts=receipts)
    except RequestError as error:
        unknown = UNPROVEN.on(error)
    raise unknown


async def receipts_of(task: Task[R], snapshot: TaskSnapshot) -> tuple[Sequence[Receipt], RequestError | None]:
    """The receipts of a task that ended, or why there are none."""
    receipts = snapshot.receipts
    failure: RequestError | None = None
    if not receipts:
        try:
            receipts = await task.receipts()
        except RequestError as error:
            failure = error
    return receipts or (), failure


def failed(
    task: Task[R],
    snapshot: TaskSnapshot,
    receipts: Sequence[Receipt],
    bad: Sequence[Receipt] | None = None,
    *,
    is_single: bool = False,
    is_whole: bool = True,
) -> TaskFailed | TaskCancelled | TaskDropped:
    """The error of a task that ended badly, with the receipts of the operations that did.

    `bad` are those that are not stored; by default all that their own receipts do not prove. `is_single` and
    `is_whole` are those of `statement_of_end`.
    """
    if bad is None:
        bad = [each for each in receipts if each.status != TaskStatus.SUCCESS or each.is_dropped]
    is_whole = is_whole and not is_taken_back(snapshot.status, task.said_later)
    statement = statement_of_end(
        snapshot.status, receipts, maybe_applied=task.maybe_applied, is_single=is_single, is_whole=is_whole
    )
    says_so = are_consistent(snapshot.status, receipts) if receipts else True
    if snapshot.status == TaskStatus.CANCELLED and len(bad) == len(receipts) and says_so:
        return task.error(TaskCancelled, "the service cancelled every operation", statement)
    if bad and all(each.is_dropped for each in bad):
        text = f"a reviewer refused {len(bad)} of {len(receipts)} operations"
        dropped = task.error(TaskDropped, text, statement)
        dropped.failed_receipts = bad
        return dropped
    types = sorted(
        {each.error.type.shown for each in bad if each.error is not None and each.error.type is not None}
    )
    text = f"{len(bad)} of {len(receipts)} operations failed {' '.join(types)}".rstrip()
    if not receipts or not says_so:
        text = f"it ended with {snapshot.status}, and no receipt proves what became of its operations"
    error = task.error(TaskFailed, text, statement)
    error.failed_receipts = bad
    return error


def unreadable(snapshot: TaskSnapshot) -> ProtocolError:
    error = ProtocolError("the receipt names no record that can be read")
    return statement_after(snapshot.status).on(error)


def until_after(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
