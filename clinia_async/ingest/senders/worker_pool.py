"""A few workers on one job: the first failure ends it, and is raised as itself and not in a group."""

import asyncio
from collections.abc import Callable, Coroutine


async def run_workers(
    work: Callable[[], Coroutine[object, object, None]],
    count: int,
    *,
    grace: float = 0.0,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Runs `work` `count` times at once. After a failure the others have `grace` seconds to end."""
    workers = [asyncio.create_task(work(), name="clinia-worker") for _ in range(count)]
    try:
        ended, others = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        if others:
            on_failure()
            await asyncio.wait(others, timeout=grace)
        for worker in ended:
            worker.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
