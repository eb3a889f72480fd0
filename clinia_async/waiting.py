"""Waiting for many tasks at once, without a coroutine for each."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TypeVar

from clinia_async.tasks import Task

R = TypeVar("R")


async def as_completed(
    tasks: Iterable[Task[R]] | AsyncIterable[Task[R]], *, limit: int
) -> AsyncIterator[Task[R]]:
    """Yields each handle when its task has ended, pulling at most `limit` handles ahead."""
    source = aiter(tasks) if isinstance(tasks, AsyncIterable) else _asynchronous(tasks)
    waiting: dict[asyncio.Future[None], Task[R]] = {}
    ended: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
    more = True
    try:
        while more or waiting:
            while more and len(waiting) < limit and ended.empty():
                try:
                    task = await anext(source)
                except StopAsyncIteration:
                    more = False
                    break
                future = task.ending()
                waiting[future] = task
                future.add_done_callback(ended.put_nowait)
            if waiting:
                future = await ended.get()
                task = waiting.pop(future)
                future.result()
                yield task
    finally:
        for future in waiting:
            future.cancel()


async def _asynchronous(tasks: Iterable[Task[R]]) -> AsyncIterator[Task[R]]:
    for task in tasks:
        yield task


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
