"""Items of a source come together where it gives them without waiting, and none is lost between."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from clinia_async.ingest.records.iter_batches import LARGEST_BATCH, LONGEST_PULL, iter_batches


class Broken(Exception):
    pass


class Clock:
    """Stands still unless a test sets it: no batch ends because the machine is slow."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def same(item: object) -> Any:
    return item


async def test_what_comes_without_waiting_comes_together() -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(7):
            if number in {3, 4}:
                await asyncio.sleep(60)  # on the clock that jumps
            yield number

    assert [bunch async for bunch in iter_batches(source(), 2, take=same, clock=Clock())] == [
        [0, 1],
        [2],
        [3],
        [4, 5],
        [6],
    ]
    assert [bunch async for bunch in iter_batches(range(5), 2, take=same, clock=Clock())] == [
        [0, 1],
        [2, 3],
        [4],
    ]


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_came_before_a_failure_is_there(is_async: bool) -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise Broken

    async def asynchronous() -> AsyncIterator[int]:
        for number in source():
            yield number

    found = iter_batches(asynchronous() if is_async else source(), 10, take=same, clock=Clock())
    assert await anext(found) == [0, 1, 2]
    with pytest.raises(Broken):
        await anext(found)


async def test_what_comes_while_a_batch_is_made_use_of_comes_next() -> None:
    gone_on = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 0
        await gone_on.wait()
        for number in range(1, 5):
            yield number

    found: list[int] = []
    async for bunch in iter_batches(source(), 3, take=same, clock=Clock()):
        found += bunch
        gone_on.set()
        await asyncio.sleep(1)
    assert found == [0, 1, 2, 3, 4]


async def test_no_more_than_one_is_pulled_ahead() -> None:
    pulled = 0

    async def source() -> AsyncIterator[int]:
        nonlocal pulled
        while pulled < 100:
            await asyncio.sleep(0.1)
            pulled += 1
            yield pulled

    taken = 0
    async for bunch in iter_batches(source(), 10, take=same, clock=Clock()):
        taken += len(bunch)
        await asyncio.sleep(60)
        assert pulled <= taken + 1
    assert taken == 100


@pytest.mark.parametrize("is_async", [True, False])
async def test_whoever_leaves_closes_the_source(is_async: bool) -> None:
    closed = asyncio.Event()

    async def asynchronous() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(3600)
        finally:
            closed.set()

    def source() -> Iterator[int]:
        try:
            yield from [1] * 1000
        finally:
            closed.set()

    items = asynchronous() if is_async else source()
    found = iter_batches(items, 1, take=same, clock=Clock())
    assert await anext(found) == [1]
    await found.aclose()
    assert closed.is_set()
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "clinia-source" not in names


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("seconds", [0.02, 0.0011])
async def test_a_source_that_computes_lets_go_of_the_loop_within_its_time(
    seconds: float, is_async: bool
) -> None:
    clock, turns = Clock(), 0

    def source() -> Iterator[int]:
        for number in range(50):
            clock.now += seconds
            yield number

    async def asynchronous() -> AsyncIterator[int]:
        for number in source():
            yield number

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    batches, before = [], 0
    async for batch in iter_batches(asynchronous() if is_async else source(), 128, take=same, clock=clock):
        assert turns > before or not batches, "other tasks had their turn"
        before = turns
        batches.append(batch)
    counting.cancel()
    assert [number for batch in batches for number in batch] == [*range(50)]
    assert max(map(len, batches)) == max(1, int(LONGEST_PULL / seconds) + 1)


@pytest.mark.parametrize("is_async", [True, False])
async def test_large_items_come_in_small_batches(is_async: bool) -> None:
    async def asynchronous() -> AsyncIterator[bytes]:
        for each in items:
            yield each

    items = [*[b"x" * 300_000] * 20, *[b"x"] * 500]
    batches = [
        batch
        async for batch in iter_batches(
            asynchronous() if is_async else items, 128, take=same, weigh=len, clock=Clock()
        )
    ]
    assert [item for batch in batches for item in batch] == items
    assert max(sum(map(len, batch)) for batch in batches) <= LARGEST_BATCH
    assert max(map(len, batches)) == 128
