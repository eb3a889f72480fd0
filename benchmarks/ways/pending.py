"""What a pending task holds in memory, beyond the coroutine of the caller who waits for it."""

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable

import clinia_async as clinia
from benchmarks import workload
from benchmarks.ways.spent import megabytes
from benchmarks.ways.together import together


async def ours(url: str, count: int, traced: bool) -> dict[str, float]:
    async with clinia.Session(base_url=url, api_key="k") as session:
        waiting: list[asyncio.Task[object]] = []

        async def begin(number: int) -> None:
            from_, to = workload.ends(number)
            practitioner, clinic = clinia.Ref(from_, "practitioner"), clinia.Ref(to, "organization")
            task = await session.create_relationship("never", workload.TYPE, from_=practitioner, to=clinic)
            waiting.append(asyncio.create_task(_caller(task.wait())))

        await together(begin, range(300), 32)  # connections, and what is loaded when it is first used
        held = _Held(traced)
        await together(begin, range(300, 300 + count), 32)
        await asyncio.sleep(0.05)
        figures = held.more(count)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return figures


async def callers(url: str, count: int, traced: bool) -> dict[str, float]:
    """The callers alone: each waits for a bare future."""
    new_future = asyncio.get_running_loop().create_future
    held = _Held(traced)
    waiting = [asyncio.create_task(_caller(new_future())) for _ in range(count)]
    await asyncio.sleep(0.05)
    figures = held.more(count)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return figures


async def _caller(work: Awaitable[object]) -> object:
    return await work


class _Held:
    """Bytes that are held now, by the allocator's own count or by the system's."""

    def __init__(self, traced: bool) -> None:
        self._traced = traced
        if traced:
            tracemalloc.start()
        self._before = self._now()

    def more(self, count: int) -> dict[str, float]:
        return {"bytes": (self._now() - self._before) / count}

    def _now(self) -> float:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] if self._traced else megabytes("VmRSS") * 2**20
