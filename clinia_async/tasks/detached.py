"""Tasks of asyncio that work for many callers, and so in the context of none of them; and how they end."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial


def create_detached(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    """Run `work` in a task that has no context variable of the caller that starts it.

    Its spans and its log must not be those of the one caller that happened to start it, such as a request of
    a web service, and what that caller's variables hold must not live as long.
    """
    # no `context=` of `create_task`: a task factory of the program may not take it
    return Context().run(partial(asyncio.get_running_loop().create_task, work, name=name))


class OwnTasks:
    """Tasks of a session, each from its first step on, which an eager one takes while it is made."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._making = 0

    def make(self, create: Callable[[], asyncio.Task[None]]) -> asyncio.Task[None]:
        """Return the task that `create` makes, as one of these."""
        self._making += 1
        try:
            task = create()
        finally:
            self._making -= 1
        self.tasks.add(task)
        return task

    def __contains__(self, task: object) -> bool:
        return self._making > 0 or task in self.tasks


def ends_loop(error: BaseException | None) -> bool:
    """Return whether a task that ends with `error` ends the event loop, too, which raises it."""
    return isinstance(error, KeyboardInterrupt | SystemExit)


def raise_fault(task: asyncio.Task[None]) -> None:
    """Raise what a task ended with, in a callback of it: the loop's exception handler gets to see the fault.

    What has ended the loop is not raised once more: it would end the loop that cancels what is left.
    """
    failure = None if task.cancelled() else task.exception()
    if failure is not None and not ends_loop(failure):
        raise failure
