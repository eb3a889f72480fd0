"""One write that goes out in a bulk, and its caller, who waits for the task."""

import asyncio
from collections.abc import Generator, Iterator

from clinia_async.session.coalescing.bulk_member import KeyedWrite, Record, SharedBulk
from clinia_async.session.coalescing.waiters import Waiter, drained
from clinia_async.session.submissions import Submissions
from clinia_async.tasks.task import Task

Name = str
"""What a write is about: its source, target, type and id, of which only the id may hold a slash."""


class PendingWrite(Waiter):
    """Its caller awaits it. It has the task or the failure, once there is an answer."""

    __slots__ = ("_submissions", "answer", "failure", "name", "operation", "task", "write")

    def __init__(self, write: KeyedWrite, loop: asyncio.AbstractEventLoop, submissions: Submissions) -> None:
        super().__init__(loop)
        self.write = write
        self.name: Name = "/".join((write.source, write.target, write.type, write.id or ""))
        self.operation = write.operation()
        self.task: Task[Record] | None = None
        self.failure: BaseException | None = None
        self._submissions = submissions
        self.answer: asyncio.Future[Task[Record]] | None = None
        """For `in_doubt`, once the caller is gone."""

    def __await__(self) -> Generator[Waiter, None, Task[Record]]:
        try:
            yield self
        except asyncio.CancelledError:  # the write stays where it is, and its answer goes elsewhere
            self.answer = self._loop.create_future()
            self._submissions.add_in_doubt(self.write, self.answer)
            self.report_to(self.answer)
            raise
        assert self.task is not None
        return self.task

    def is_answered(self) -> bool:
        return self.task is not None or self.failure is not None

    def resolve(self, task: Task[Record]) -> None:
        """Give the caller the task."""
        self.task = task
        self._wake_caller()

    def fail(self, error: BaseException) -> None:
        """Give the caller the failure."""
        self.failure = error
        self._wake_caller()

    def _wake_caller(self) -> None:
        self.wake(self.failure)
        self.report_to(self.answer)

    def report_to(self, answer: "asyncio.Future[Task[Record]] | None") -> None:
        if answer is None or answer.done():
            return
        if self.task is not None:
            answer.set_result(self.task)
        elif self.failure is not None:
            answer.set_exception(self.failure)


def handed_over(writes: list[PendingWrite], bulk: SharedBulk) -> Iterator[PendingWrite]:
    """Yield each with its task, when its turn to be woken has come."""
    for pending in drained(writes):
        pending.task = bulk.task_of(pending.write, pending.operation)
        if pending.answer is not None:
            pending.report_to(pending.answer)
        yield pending
