"""A fixed number of workers: the first failure ends all, and is raised as itself and not in a group."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable


async def run_workers(
    work: Callable[[], Coroutine[object, object, None]],
    count: int,
    *,
    grace: float = 0.0,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Run `work` in `count` tasks at once. After a failure the others have `grace` seconds to end."""
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
        await wait_until_ended(workers)


async def wait_until_ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait until the tasks have ended, also under further cancels, which are raised behind that."""
    left, cancel = {*tasks}, None
    while left := {task for task in left if not task.done()}:
        try:
            await asyncio.wait(left)
        except asyncio.CancelledError as error:
            cancel = error
    if cancel is not None:
        raise cancel
