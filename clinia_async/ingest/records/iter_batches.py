"""The items of a source, some at a time: all that it gives without waiting, up to a bound."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


async def iter_batches(items: Iterable[T] | AsyncIterable[T], most: int) -> AsyncGenerator[list[T], None]:
    """At `most` so many at once; what the source raises comes behind all that it gave before.

    No more than one item is pulled ahead of what is asked for.
    """
    both = _as_it_gives(items, most) if isinstance(items, AsyncIterable) else _at_once(items, most)
    try:
        async for batch in both:
            yield batch
    finally:
        await both.aclose()


async def _at_once(items: Iterable[T], most: int) -> AsyncGenerator[list[T], None]:
    iterator = iter(items)
    end: Exception | None = None
    while end is None:
        batch: list[T] = []
        try:
            batch.extend(islice(iterator, most))
        except Exception as error:  # noqa: BLE001  it is raised in its turn
            end = error
        if not batch:
            break
        yield batch
    if end is not None:
        raise end


async def _as_it_gives(items: AsyncIterable[T], most: int) -> AsyncGenerator[list[T], None]:
    held: list[T] = []
    given, wanted = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        iterator = aiter(items)
        try:
            await wanted.wait()
            async for item in iterator:
                held.append(item)
                given.set()
                if len(held) >= most:
                    wanted.clear()
                await wanted.wait()
        finally:
            given.set()
            closing = getattr(iterator, "aclose", None)
            if closing is not None:
                await closing()

    # in a task of its own, so that it can be seen to wait
    source = asyncio.create_task(hold(), name="clinia-source")
    try:
        while not source.done() or held:
            wanted.set()
            await given.wait()
            wanted.clear()
            given.clear()
            if batch := held.copy():
                held.clear()  # now, for more may come while these are made use of
                yield batch
        await source
    finally:
        source.cancel()
        await asyncio.wait([source])
