"""What the methods of a session are made with."""

from collections.abc import Awaitable
from typing import TypeVar

from clinia_async.calls import Call, Write
from clinia_async.tasks.task import Task

R = TypeVar("R")


class Calling:
    """Every method takes a `timeout` in seconds for its call with all repeats; None takes the session's.

    A write raises `InvalidWrite` before anything is sent, and a `RequestError` whose `outcome` says what
    may have happened. Its task's result raises a `TaskError`.
    """

    async def submit(
        self,
        write: Write[R],
        *,
        timeout: float | None = None,
        maybe_applied: bool = False,
        read_back: bool | None = None,
    ) -> Task[R]:
        """Submits a write that was made as a value, alone.

        `maybe_applied` says that this very write was sent before and its answer was lost: then a key that
        is found taken is reconciled by reading it back, instead of raising `AlreadyExists`.

        With `read_back=False` the result of a queued write that its receipt proves is the record as it was
        sent, which saves a request; by default it is read back, as `Session(read_back=...)` says.
        """
        raise NotImplementedError

    async def send(self, call: Call[R], *, timeout: float | None = None) -> R:
        """Sends any call and gives its plain answer: for a write that is the submission, not a task."""
        raise NotImplementedError

    def _submitting(
        self, write: Write[R], timeout: float | None, read_back: bool | None = None
    ) -> Awaitable[Task[R]]:
        """`submit`, without a coroutine of its own."""
        raise NotImplementedError

    async def _perform(self, call: Call[R], timeout: float | None) -> Task[R]:
        raise NotImplementedError
