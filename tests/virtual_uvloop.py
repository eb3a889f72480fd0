"""A loop of uvloop whose clock jumps, for the tests of the core; see `virtual_time`."""

import heapq
import itertools
from collections.abc import Callable
from contextvars import Context
from typing import Any

import uvloop

from tests.virtual_time import START

QUIET_ROUNDS = 3
"""Rounds through the sockets that bring nothing before the clock may jump; one takes a real millisecond."""


class JumpingUvloop(uvloop.Loop):  # type: ignore[misc, name-defined, unused-ignore]
    """A loop of uvloop whose clock jumps.

    A timer is one of uvloop's own, so far in the future that it never fires. When some rounds through the
    sockets have brought nothing, the clock is moved to the earliest timer and its callback is called.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = START
        self._due: list[tuple[float, int, Any, Callable[[], object]]] = []
        self._number = itertools.count()
        self._threads = 0
        self._busy = 0
        self._round: Any = None

    def time(self) -> float:
        return self._now

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        if when <= self._now:
            return self.call_soon(callback, *args, context=context)  # as uvloop does
        handle = super().call_later(1e7, callback, *args, context=context)
        call = super().call_soon

        def fire() -> None:
            call(callback, *args, context=context)

        heapq.heappush(self._due, (when, next(self._number), handle, fire))
        self._arm()
        return handle

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        self._busy = QUIET_ROUNDS
        return super().call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_done)
        return future

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        self._threads += 1
        try:
            return await super().getaddrinfo(*args, **kwargs)
        finally:
            self._threads -= 1

    def _thread_done(self, _: object) -> None:
        self._threads -= 1

    def _arm(self) -> None:
        if self._round is None:
            self._round = super().call_later(0.001, self._go_round)

    def _go_round(self) -> None:
        self._round = None
        while self._due and self._due[0][2].cancelled():
            heapq.heappop(self._due)
        if not self._due:
            return
        if self._busy or self._threads:
            self._busy -= bool(self._busy)
        else:
            self._jump()
        self._arm()

    def _jump(self) -> None:
        self._now = max(self._now, self._due[0][0])
        self._busy = QUIET_ROUNDS
        while self._due and self._due[0][0] <= self._now:
            _, _, handle, fire = heapq.heappop(self._due)
            if not handle.cancelled():
                handle.cancel()
                fire()


class TurningUvloop(JumpingUvloop):
    """Its clock also moves a little with each callback: what keeps the loop turning waits for no timer."""

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        self._now += 0.0005
        return super().call_soon(callback, *args, context=context)

    def _go_round(self) -> None:
        while self._due and self._due[0][2].cancelled():
            heapq.heappop(self._due)
        if self._due and self._due[0][0] <= self._now:
            self._jump()
        super()._go_round()
