"""The deadlines of all attempts of a session, kept by one timer: one each would cost a tenth of a call."""

import asyncio
from math import inf

from attrs import define

from clinia_async.transport.interruptible import Interruptible

_PAUSE_PER_SWEEP = 10
"""A sweep looks at all that is running: with thousands late one by one, it takes a tenth of the time."""


@define(eq=False, repr=False)
class Deadline:
    """When `work` is to be interrupted, on the event loop's clock."""

    at: float
    work: Interruptible[object]
    cancels: int
    is_late: bool = False

    @property
    def ended_the_work(self) -> bool:
        """Whether a `CancelledError` in the work is ours; one of the caller that came with it goes before."""
        return self.is_late and _cancels() <= self.cancels


class Deadlines:
    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = inf

    def start(self, at: float, work: Interruptible[object]) -> Deadline:
        deadline = Deadline(at, work, _cancels())
        self._running.add(deadline)
        if at < self._next:
            self._arm(at)
        return deadline

    def stop(self, deadline: Deadline) -> None:
        # the timer is left to fire: stopping it for each call is what this module is there to save
        self._running.discard(deadline)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        self._timer = asyncio.get_running_loop().call_at(at, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for deadline in [each for each in self._running if each.at <= now]:
            self._running.discard(deadline)
            deadline.is_late = True
            deadline.work.interrupt()
        self._next, self._timer = inf, None
        if self._running:
            soonest = min(each.at for each in self._running)
            self._arm(max(soonest, now + _PAUSE_PER_SWEEP * (loop.time() - now)))


def _cancels() -> int:
    """How often the task that runs this was asked to cancel."""
    current = asyncio.current_task()
    return 0 if current is None else current.cancelling()
