"""Waits that end together, in one turn of the loop, and one by one."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar

import pytest

from clinia_async.session.coalescing.waiters import Waiter, drained, wake_together

Wait = Callable[[], Coroutine[object, object, None]]
WHOSE: ContextVar[int] = ContextVar("WHOSE")
TASKS = [
    asyncio.tasks._PyTask,  # type: ignore[attr-defined]  # the one in Python, as behind a debugger
    asyncio.Task,
]


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Callable[..., asyncio.Task[None]]:
    return request.param  # type: ignore[no-any-return]


def waiters(count: int) -> list[Waiter]:
    return [Waiter(asyncio.get_running_loop()) for _ in range(count)]


async def test_all_are_woken_in_order_each_in_its_own_context(task: type[asyncio.Task[None]]) -> None:
    woken: list[tuple[int, int]] = []

    async def wait(number: int, waiter: Waiter) -> None:
        WHOSE.set(number)
        await waiter
        woken.append((number, WHOSE.get()))

    each = waiters(5)
    tasks = [task(wait(*pair)) for pair in enumerate(each)]
    await asyncio.sleep(0)
    wake_together(drained(list(each)), asyncio.get_running_loop())
    await asyncio.sleep(0)
    assert woken == [(number, number) for number in range(5)]
    await asyncio.gather(*tasks)


async def test_one_ends_well_badly_or_by_a_cancel(task: type[asyncio.Task[None]]) -> None:
    async def wait(waiter: Waiter) -> None:
        await waiter

    well, badly, cancelled, before = waiters(4)
    before.wake()
    tasks = [task(wait(each)) for each in (well, badly, cancelled, before)]
    await asyncio.sleep(0)
    well.wake()
    badly.wake(LookupError("no"))
    tasks[2].cancel("enough")
    well.wake(LookupError("too late"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] is results[3] is None
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], asyncio.CancelledError)
    assert cancelled.done()
    assert not cancelled.cancel()


async def test_a_cancel_after_the_wake_and_before_its_turn_is_a_cancel(
    task: type[asyncio.Task[None]],
) -> None:
    async def wait(waiter: Waiter) -> None:
        await waiter

    (waiter,) = waiters(1)
    waiting = task(wait(waiter))
    await asyncio.sleep(0)
    waiter.wake()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_what_ends_the_loop_strands_no_other() -> None:
    woken: list[int] = []

    async def wait(number: int, waiter: Waiter) -> None:
        await waiter
        woken.append(number)
        if number == 1:
            raise SystemExit

    async def begin() -> tuple[list[Waiter], list[asyncio.Task[None]]]:
        each = waiters(4)
        tasks = [asyncio.ensure_future(wait(*pair)) for pair in enumerate(each)]
        await asyncio.sleep(0)
        return each, tasks

    loop = asyncio.new_event_loop()
    try:
        each, tasks = loop.run_until_complete(begin())
        wake_together(drained(each), loop)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert woken == [0, 1]
        loop.run_until_complete(asyncio.wait(tasks))
        assert woken == [0, 1, 2, 3]
        assert isinstance(tasks[1].exception(), SystemExit)
    finally:
        loop.close()
