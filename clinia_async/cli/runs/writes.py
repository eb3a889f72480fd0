"""One write from its request to its result: a signal loses neither its task nor what is known of it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from clinia_async.cli.exit_codes import resume_command, say
from clinia_async.cli.signals import Signals
from clinia_async.errors import CliniaError, TaskCancelled, TaskDropped, TaskFailed, TaskUnconfirmed
from clinia_async.models.batch_result import BatchResult
from clinia_async.session.session import Session
from clinia_async.tasks.task import Task

R = TypeVar("R")

GRACE = 10.0
"""Seconds that a signal leaves a request for its answer."""

WAITING = f"interrupted: waiting up to {GRACE:.0f} s for the answer; interrupt again to stop at once"
NOT_SENT = "interrupted before anything was sent"
OUTCOME_UNKNOWN = (
    "interrupted before the answer came: the outcome is unknown, and the write may be stored;"
    " read it back before you send it again"
)


async def submitted(submission: Awaitable[Task[R]], session: Session, signals: Signals) -> Task[R]:
    """Await the answer to a write; after a first signal for `GRACE` seconds, after a second no longer.

    Raises `asyncio.CancelledError` if it was given up, after what is known of the write was printed.
    """
    sending = asyncio.ensure_future(submission)

    def wait_a_little() -> None:
        say(WAITING)
        asyncio.get_running_loop().call_later(GRACE, sending.cancel)

    with signals.steps(wait_a_little, sending.cancel):
        await asyncio.wait([sending])
    if sending.cancelled():
        await session.aclose(grace=0)
        say(OUTCOME_UNKNOWN if session.in_doubt else NOT_SENT)
    return sending.result()


async def result_of(task: Task[R], *, timeout: float | None = None) -> R:
    """Await the result of a task. Whatever ends the wait before the task ends, its token is printed."""
    try:
        return await task.result(timeout=timeout)
    except (TaskFailed, TaskCancelled, TaskDropped, TaskUnconfirmed):
        raise
    except (asyncio.CancelledError, CliniaError):
        if task.id is not None:
            say(f"the task goes on; {resume_command(task.token())}")
        raise


def printable(result: object) -> object:
    """Return what is printed of the result of a write."""
    if isinstance(result, BatchResult):
        return {"receipts": [receipt.to_dict() for receipt in result.receipts]}
    return {"status": "deleted"} if result is None else result
