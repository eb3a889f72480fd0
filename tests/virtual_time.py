"""An event loop whose clock jumps: waiting costs nothing, and real sockets still work.

Time stands still while anything happens. When nothing is ready, no thread is at work and the next
timer lies in the future, the clock is moved to that timer instead of waiting for it. Bytes on loopback
are given a moment of real time first, so a jump never overtakes an answer that is already on its way.
How fast the machine is makes no difference.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

LOOPBACK_GRACE = 0.002
"""Real seconds that bytes between two loopback sockets get before the clock may jump."""


class JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.threads:
            return super().select(LOOPBACK_GRACE)
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(LOOPBACK_GRACE)
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        self._jumping.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        """Joins the threads, which from Python 3.12 on has a timeout: no time passes meanwhile."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._jumping.threads -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._jumping.threads -= 1
