"""Many calls of which a few are under way at any time, and what they cost this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Send = Callable[[int], Awaitable[object]]
_WARM_UP = 300


async def together(send: Send, numbers: range, in_flight: int) -> None:
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            await send(number)

    await asyncio.gather(*(work() for _ in range(in_flight)))


async def cost(send: Send, count: int, in_flight: int) -> dict[str, float]:
    """User and system CPU of this process, in microseconds a call, once the connections are there."""
    await together(send, range(_WARM_UP), in_flight)
    started, began = time.process_time(), time.perf_counter()
    await together(send, range(_WARM_UP, _WARM_UP + count), in_flight)
    spent, took = time.process_time() - started, time.perf_counter() - began
    return {"cpu_us": spent / count * 1e6, "wall_us": took / count * 1e6, "per_second": count / took}
