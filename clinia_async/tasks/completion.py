"""Waiting for many tasks at once, without a coroutine for each."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Sequence
from typing import Generic, TypeVar, cast

from clinia_async.calls.call import R
from clinia_async.errors import CliniaError, ConfigError, GatherError, SessionClosed
from clinia_async.errors.settings import Number, check_call_options
from clinia_async.models.refusal import without_locals
from clinia_async.tasks.detached import ends_loop
from clinia_async.tasks.task import Task

T = TypeVar("T")


def as_completed(tasks: Iterable[Task[R]] | AsyncIterable[Task[R]], *, limit: int) -> AsyncIterator[Task[R]]:
    """Yield each handle when its task has ended, taking at most `limit` handles ahead.

    Raises `ConfigError` at once; then what `tasks` raises, after the handles that it gave before.
    """
    Number(least=1, whole=True).check("limit", limit)
    return _as_completed(_Source(tasks), limit)


async def _as_completed(source: "_Source[R]", limit: int) -> AsyncIterator[Task[R]]:
    pending: dict[asyncio.Future[None], Task[R]] = {}
    events: asyncio.Queue[asyncio.Future[None] | asyncio.Task[None]] = asyncio.Queue()
    pull: asyncio.Task[None] | None = None
    try:
        while source.has_more or pending:
            while source.has_more and pull is None and len(pending) < limit and events.empty():
                if source.is_async:
                    pull = asyncio.ensure_future(source.pull())
                    pull.add_done_callback(events.put_nowait)
                else:
                    source.take()
                    _add(source, pending, events)
            if pending or pull is not None:
                done = await events.get()
                if done is pull:
                    pull = None
                    _add(source, pending, events)
                else:
                    task = pending.pop(done)
                    done.result()
                    yield task
    finally:
        for future in pending:
            future.cancel()
        if pull is not None:
            pull.cancel()
            await asyncio.gather(pull, return_exceptions=True)
    if source.error is not None:
        raise source.error


class _Source(Generic[R]):
    """The handles to wait for, one by one, and the error that the caller's iterator ended with."""

    def __init__(self, tasks: Iterable[Task[R]] | AsyncIterable[Task[R]]) -> None:
        if not isinstance(tasks, AsyncIterable):
            check_iterable(tasks)
        self._tasks = aiter(tasks) if isinstance(tasks, AsyncIterable) else iter(tasks)
        self.is_async = isinstance(tasks, AsyncIterable)
        self.has_more = True
        self.error: BaseException | None = None
        self.taken: Task[R] | None = None

    def take(self) -> None:
        """Take the next handle."""
        assert not isinstance(self._tasks, AsyncIterator)
        self.taken = None
        try:
            self.taken = next(self._tasks, None)
        except Exception as error:  # noqa: BLE001  it is raised once the handles before it have ended
            self.error = error
        self.has_more = self.taken is not None

    async def pull(self) -> None:
        """Take the next handle; in a task of its own, as a slow source must not hold up what has ended."""
        assert isinstance(self._tasks, AsyncIterator)
        self.taken = None
        try:
            self.taken = await anext(self._tasks, None)
        except BaseException as error:
            self.error = error  # the source's own, such as the CancelledError of a client inside it
            if ends_loop(error) or (isinstance(error, asyncio.CancelledError) and _is_cancelled()):
                raise
        finally:
            self.has_more = self.taken is not None


def check_iterable(tasks: object) -> None:
    """Raise `ConfigError` for what is no iterable of tasks."""
    if not isinstance(tasks, Iterable):
        raise ConfigError(f"tasks must be an iterable of tasks, not {type(tasks).__name__}")


@without_locals
def check_task(task: object) -> None:
    """Raise `ConfigError` for what is no handle of a task; a submission is awaited for its own first."""
    if not isinstance(task, Task):
        hint = ": await it for its task" if isinstance(task, Awaitable) else ""
        raise ConfigError(f"tasks must be of the class Task, not {type(task).__name__}{hint}")


def _is_cancelled() -> bool:
    """Whether somebody asked the running task to cancel."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _add(
    source: _Source[R],
    pending: dict[asyncio.Future[None], Task[R]],
    events: "asyncio.Queue[asyncio.Future[None] | asyncio.Task[None]]",
) -> None:
    if source.taken is not None:
        check_task(source.taken)
        future = source.taken.ending()
        pending[future] = source.taken
        future.add_done_callback(events.put_nowait)


async def wait(tasks: Iterable[Task[R]], *, timeout: float | None) -> tuple[set[Task[R]], set[Task[R]]]:
    """The tasks that have ended and those that have not, after `timeout` seconds or once all have ended."""
    check_call_options(timeout=timeout)
    check_iterable(tasks)
    tasks = list(tasks)
    for task in tasks:
        check_task(task)
    tasks = set(tasks)
    pending = {task.ending() for task in tasks if not task.done()}
    try:
        if pending:
            ended, _ = await asyncio.wait(pending, timeout=timeout)
            for future in ended:
                future.result()
    finally:
        for future in pending:
            future.cancel()
    return {task for task in tasks if task.done()}, {task for task in tasks if not task.done()}


async def gather(tasks: Sequence[Task[R]], *, return_exceptions: bool) -> list[R | CliniaError]:
    """The results in order, or all the failures; see `Session.gather`.

    Raises:
        GatherError: more than one of the tasks failed; a single failure is raised as it is.
    """
    for task in tasks:
        check_task(task)
    found = await asyncio.gather(*(task.result() for task in tasks), return_exceptions=True)
    failures: list[CliniaError] = []
    for each in found:
        if isinstance(each, CliniaError):
            failures.append(each)
        elif isinstance(each, BaseException):
            raise each
    if not failures or return_exceptions:
        return cast("list[R | CliniaError]", found)
    if len(failures) == 1 or all(isinstance(error, SessionClosed) for error in failures):
        raise failures[0]
    raise GatherError(f"{len(failures)} of {len(tasks)} tasks failed", failures)
