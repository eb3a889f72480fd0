"""The items of a source, a batch at a time: all that it gives without waiting, within bounds.

Each is taken as it is when the source gives it, for a source may change it before it gives the next.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from types import GeneratorType
from typing import Generic, TypeVar

from attrs import frozen

S = TypeVar("S")
T = TypeVar("T")

LONGEST_PULL = 0.005
"""Seconds for which a source is pulled in one go: the loop stands still so long, and one item longer."""
LARGEST_BATCH = 1024 * 1024
"""Bytes that are wanted in one batch, at most."""
_WEIGHED = frozenset({1, 8, 64})
"""The numbers of the items of a batch whose bytes are measured: all of them would cost too much."""


async def iter_batches(
    items: Iterable[S] | AsyncIterable[S],
    most: int,
    *,
    take: Callable[[S], T],
    weigh: Callable[[T], int] = lambda _: 0,
    clock: Callable[[], float] = time.perf_counter,
) -> AsyncGenerator[list[T], None]:
    """Yield what `take` makes of the items in batches of up to `most`, and then raise what the source raises.

    A batch is smaller where `weigh` says that its items take many bytes, or where the source needs time.
    No more than one item is pulled ahead of what is asked for. `clock` returns seconds, and goes on while the
    source computes.
    """
    bounds = _Bounds(most, take, weigh, clock)
    batches = _iter_async(items, bounds) if isinstance(items, AsyncIterable) else _iter_sync(items, bounds)
    try:
        async for batch in batches:
            yield batch
    finally:
        await batches.aclose()


@frozen(repr=False)
class _Bounds(Generic[S, T]):
    most: int
    take: Callable[[S], T]
    weigh: Callable[[T], int]
    clock: Callable[[], float]

    def end(self) -> float:
        """Return when the batch that begins now should end, by the clock."""
        return self.clock() + LONGEST_PULL

    def fitting(self, item: T) -> int:
        """Return how many items as large as this one a batch may hold."""
        return min(self.most, LARGEST_BATCH // max(1, self.weigh(item)))


async def _iter_sync(items: Iterable[S], bounds: _Bounds[S, T]) -> AsyncGenerator[list[T], None]:
    iterator = iter(items)
    end: BaseException | None = None
    try:
        while end is None:
            batch: list[T] = []
            end = _pull(iterator, batch, bounds)
            if batch:
                yield batch
            await asyncio.sleep(0)  # a source that is not async never lets go of the loop by itself
    finally:
        if isinstance(iterator, GeneratorType):
            iterator.close()  # it may hold a file or a cursor, and its caller holds it
    if not isinstance(end, StopIteration):
        raise end


def _pull(iterator: Iterator[S], batch: list[T], bounds: _Bounds[S, T]) -> BaseException | None:
    """Fill a batch; return the end of the iterator if it came, or what it raises."""
    take, clock = bounds.take, bounds.clock
    most, until = bounds.most, bounds.end()
    try:
        for item in iterator:
            batch.append(take(item))
            count = len(batch)
            if count in _WEIGHED:
                most = min(most, bounds.fitting(batch[-1]))
            if count >= most or clock() >= until:
                return None
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it is raised behind the batch
        return error
    return StopIteration()


async def _iter_async(items: AsyncIterable[S], bounds: _Bounds[S, T]) -> AsyncGenerator[list[T], None]:
    held: list[T] = []
    given, wanted = asyncio.Event(), asyncio.Event()

    async def pull() -> None:
        iterator = aiter(items)
        try:
            await wanted.wait()
            most, until = bounds.most, bounds.end()
            async for item in iterator:
                held.append(bounds.take(item))
                given.set()
                if len(held) in _WEIGHED:
                    most = min(most, bounds.fitting(held[-1]))
                if len(held) >= most or bounds.clock() >= until:
                    wanted.clear()
                if not wanted.is_set():
                    await wanted.wait()
                    most, until = bounds.most, bounds.end()
        finally:
            given.set()
            closing = getattr(iterator, "aclose", None)
            if closing is not None:
                await closing()

    # in a task of its own, so that it can be seen to wait
    source = asyncio.create_task(pull(), name="clinia-source")
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
