"""An early poll: whether one poll right after a bulk was accepted is worth its request."""

import asyncio
import contextlib

from attrs import define

from clinia_async.calls.call import R
from clinia_async.errors import CliniaError
from clinia_async.tasks.task import Task

_MOST_STEPS = 6


@define(eq=False, repr=False)
class EarlyPollBackoff:
    """Early polls pay off where bulks end at once: then nobody waits for the first planned poll.

    While they find their bulks unfinished they are sent ever more seldom, down to one in 64.
    """

    unfinished: int = 0
    """Early polls in a row that found their bulk unfinished."""
    skipping: int = 0
    """Bulks to go without an early poll."""

    def is_due(self) -> bool:
        """Whether this bulk is to be polled early; call it once for each."""
        self.skipping -= 1
        return self.skipping < 0

    def record(self, *, ended: bool) -> None:
        """Note whether an early poll found its bulk ended."""
        self.unfinished = 0 if ended else min(self.unfinished + 1, _MOST_STEPS)
        self.skipping = 2**self.unfinished - 1


async def early_poll(task: Task[R], backoff: EarlyPollBackoff, *, within: float | None = None) -> None:
    """Poll a task with receipts, where it has not ended and an early poll is due.

    `within` is in seconds; what takes longer, or fails, is left to the planned polls.
    """
    if task.done() or not backoff.is_due():
        return
    with contextlib.suppress(CliniaError, TimeoutError):
        async with asyncio.timeout(within):
            await task.refresh(receipts=True)
    backoff.record(ended=task.done())
