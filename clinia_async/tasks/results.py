"""Which result the task of a write has, and whether its polls ask for receipts."""

from functools import partial
from typing import cast

from clinia_async import calls
from clinia_async.calls import Read, Write
from clinia_async.calls.call import R
from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.batch_result import BatchTaskResult, receipts_result
from clinia_async.tasks.record_result import RecordResult, RecordWrite
from clinia_async.tasks.resumed_result import purge_result
from clinia_async.tasks.task import ResultResolver

MOST_RECEIPTS_PER_POLL = 1000
"""Operations of a bulk up to which each poll asks for receipts; those of a larger one are read at its end."""


def resolver_of(write: Write[R], read: Read, *, reads_back: bool = True) -> ResultResolver[R]:
    """The resolver of the task that `write` made.

    Without `reads_back` the result of a proven write is the record as it was sent, where that is known.
    """
    resolver: object
    match _task_kind(write):
        case TaskKind.PURGE:
            resolver = partial(purge_result, cast("calls.Purge", write), read)
        case TaskKind.BULK | TaskKind.BUNDLE if hasattr(write, "writes"):
            resolver = BatchTaskResult(cast("calls.Bulk | calls.Bundle", write), read)
        case TaskKind.BULK | TaskKind.BUNDLE:
            resolver = receipts_result
        case _:
            resolver = RecordResult(cast("RecordWrite[R]", write), read, reads_back)
    return cast("ResultResolver[R]", resolver)


def polls_for_receipts(write: object) -> bool:
    """Whether each poll of the task of this write should ask for receipts."""
    match _task_kind(write):
        case TaskKind.PURGE:
            return False
        case TaskKind.BULK:
            writes = getattr(write, "writes", None)
            return writes is not None and len(writes) <= MOST_RECEIPTS_PER_POLL
        case _:
            return True


def _task_kind(write: object) -> TaskKind:
    """What the task of this write is; writes of many records and purges say so by their class."""
    kind: TaskKind = getattr(write, "task_kind", TaskKind.SINGLE)
    return kind
