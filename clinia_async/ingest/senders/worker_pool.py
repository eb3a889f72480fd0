"""Tasks that work on one thing: the first failure ends all, and is raised as itself and not in a group."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable

Work = Coroutine[object, object, None]


class WorkerPool:
    """Tasks that end together. After a failure the others have `grace` seconds to end by themselves."""

    def __init__(self, *, grace: float = 0.0, on_failure: Callable[[], None] = lambda: None) -> None:
        self._grace = grace
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self._is_over = asyncio.Event()

    def start(self, work: Work) -> None:
        """Run `work` in a task of the pool. May be called by its tasks, too."""
        task = asyncio.create_task(work, name="clinia-worker")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def join(self) -> None:
        """Wait until all tasks have ended, and raise the first failure of one.

        A cancel is passed on to all tasks, and raised when they have ended.
        """
        try:
            if self._tasks:
                await self._is_over.wait()
            if self._tasks:
                self._on_failure()
                await self._wait_for_the_others()
        finally:
            for task in self._tasks:
                task.cancel()
            await wait_until_ended(self._tasks)
        if self._error is not None:
            raise self._error

    async def _wait_for_the_others(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._grace
        while self._tasks and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        self._error = self._error or error
        if error is not None or not self._tasks:
            self._is_over.set()


async def run_workers(work: Callable[[], Work], count: int) -> None:
    """Run `work` in `count` tasks at once."""
    pool = WorkerPool()
    for _ in range(count):
        pool.start(work())
    await pool.join()


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
