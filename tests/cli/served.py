"""An emulator on a thread of its own, for commands that run in this process or in another."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from clinia_async.emulator import Emulator
from tests.patience import PATIENCE

T = TypeVar("T")


class Arrivals(Counter[str]):
    """Counts requests by route, and can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, threading.Event] = {}

    def __setitem__(self, route: str, count: int) -> None:
        super().__setitem__(route, count)
        self._of(route).set()

    def wait(self, route: str) -> None:
        """Until the first request of the route."""
        assert self._of(route).wait(PATIENCE), f"no request of {route}"

    def _of(self, route: str) -> threading.Event:
        return self._first.setdefault(route, threading.Event())


class Served:
    def __init__(self, **options: Any) -> None:
        self.arrivals = Arrivals()
        self.emulator = Emulator(**options)
        self.emulator.requests = self.arrivals
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        self.url = self.emulator.url
        self.key = self.emulator.key
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(PATIENCE)

    def ask(self, question: Callable[[Emulator], T]) -> T:
        """`question` about the emulator, answered on its own thread."""

        async def answer() -> T:
            return question(self.emulator)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(PATIENCE)

    def holds(self, type_: str | None = None) -> int:
        return self.ask(lambda emulator: emulator.relationships(type_))

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with self.emulator:
            self._ready.set()
            await self._over.wait()
