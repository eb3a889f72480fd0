"""The deadlines of all attempts, kept by one timer: one each would cost a tenth of a small request."""

import asyncio
from math import inf


class Deadline:
    """When a task is to stop what it does now, on the event loop's clock."""

    __slots__ = ("at", "cancels", "has_passed", "task")

    def __init__(self, at: float, task: "asyncio.Task[object]") -> None:
        self.at = at
        self.task = task
        self.cancels = task.cancelling()
        """How often the task had been asked to cancel by then."""
        self.has_passed = False


class Deadlines:
    """Does as `asyncio.timeout_at` does, for many tasks at once."""

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next = inf

    def start(self, at: float) -> Deadline:
        """Cancel the current task at a time of the event loop's clock, unless `stop` comes first."""
        task = asyncio.current_task()
        assert task is not None
        deadline = Deadline(at, task)
        self._running.add(deadline)
        if at < self._next:
            self._arm(at)
        return deadline

    def stop(self, deadline: Deadline) -> bool:
        """End a deadline, and return whether a `CancelledError` in the task is its own.

        A cancel by somebody else that came with it goes before.
        """
        # the timer is left to fire: to stop it for each attempt is what this class is there to save
        self._running.discard(deadline)
        return deadline.has_passed and deadline.task.uncancel() <= deadline.cancels

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, at: float) -> None:
        self.close()
        self._next = at
        self._timer = asyncio.get_running_loop().call_at(at, self._sweep)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for deadline in [each for each in self._running if each.at <= now]:
            self._running.discard(deadline)
            deadline.has_passed = True
            deadline.task.cancel()
        self._next, self._timer = inf, None
        if self._running:
            self._arm(min(each.at for each in self._running))
