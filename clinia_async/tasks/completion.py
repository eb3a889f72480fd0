"""Waiting for many tasks at once, without a coroutine for each."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TypeVar, cast

from clinia_async.tasks.task import Task

R = TypeVar("R")
T = TypeVar("T")


async def as_completed(
    tasks: Iterable[Task[R]] | AsyncIterable[Task[R]], *, limit: int
) -> AsyncIterator[Task[R]]:
    """Yields each handle when its task has ended, pulling at most `limit` handles ahead."""
    source = aiter(tasks) if isinstance(tasks, AsyncIterable) else iter(tasks)
    waiting: dict[asyncio.Future[None], Task[R]] = {}
    ended: asyncio.Queue[asyncio.Future[None] | asyncio.Task[Task[R] | None]] = asyncio.Queue()
    pull: asyncio.Task[Task[R] | None] | None = None
    more = True

    def take(task: Task[R] | None) -> bool:
        if task is not None:
            future = task.ending()
            waiting[future] = task
            future.add_done_callback(ended.put_nowait)
        return task is not None

    try:
        while more or waiting:
            while more and pull is None and len(waiting) < limit and ended.empty():
                if isinstance(source, AsyncIterator):
                    pull = asyncio.ensure_future(_next(source))
                    pull.add_done_callback(ended.put_nowait)
                else:
                    more = take(next(source, None))
            if waiting or pull is not None:
                done = await ended.get()
                if done is pull:
                    more, pull = take(pull.result()), None
                else:
                    task = waiting.pop(cast("asyncio.Future[None]", done))
                    done.result()
                    yield task
    finally:
        for future in waiting:
            future.cancel()
        if pull is not None:
            pull.cancel()
            await asyncio.gather(pull, return_exceptions=True)


async def _next(source: AsyncIterator[T]) -> T | None:
    """In a task of its own: a source that is slow must not hold up what has ended already."""
    return await anext(source, None)


async def wait(tasks: Iterable[Task[R]], *, timeout: float | None) -> tuple[set[Task[R]], set[Task[R]]]:
    """The tasks that have ended and those that have not."""
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
