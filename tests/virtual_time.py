"""Event loops whose clock jumps: waiting costs nothing, and real sockets still work.

Time stands still while anything happens. When nothing is ready, no thread is at work and the next
timer lies in the future, the clock is moved to that timer instead of waiting for it. The kernel delivers
bytes on loopback within the system call that sends them, so a jump never overtakes an answer that is
already on its way. How fast the machine is makes no difference.
"""

import asyncio
import selectors
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

DELIVERY = 0.0 if sys.platform == "linux" else 0.002
"""Real seconds that bytes between two sockets on loopback get before the clock may jump."""
THREADS_TURN = 0.002
"""Real seconds between two looks at the sockets while a thread is at work."""
START = 1000.0


class JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.threads:
            return super().select(THREADS_TURN)
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(DELIVERY)
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
        """Join the threads, which from Python 3.12 on has a timeout: no time passes meanwhile."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._jumping.threads -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self._jumping.threads -= 1


class EagerLoop(VirtualTimeLoop):
    """Tasks run at once until their first suspension; from Python 3.12 on."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]


def factories(kind: str) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loop of that name: `jumping`, `eager` or `uvloop`."""
    if kind == "uvloop":
        from tests.virtual_uvloop import JumpingUvloop

        return {kind: JumpingUvloop}
    return {kind: EagerLoop if kind == "eager" else VirtualTimeLoop}
