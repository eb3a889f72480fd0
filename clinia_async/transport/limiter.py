"""The line in front of the connections: whoever has no connection yet waits here, and holds little."""

import asyncio
from collections import deque

_IN_A_ROW = 3
"""How many that go ahead are let in before one of the others is, if any waits."""


class Line:
    """Places for as many as there are connections, so that nobody waits inside of the pool.

    First come, first served, but for those that go ahead: a look at a task is over soon, and lets go of a
    caller who waits. Behind a backlog of writes it would come when its answer is old.
    """

    def __init__(self, places: float) -> None:
        self._free = places
        self._ahead: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0
        self._is_closed = False

    def enter(self) -> bool:
        """Takes a place, if one is free: then nobody waits. Whoever has one has to `leave`."""
        if self._free < 1 or self._is_closed:
            return False
        self._free -= 1
        return True

    async def wait(self, *, ahead: bool) -> None:
        """Takes a place as soon as there is one. Raises `ConnectionAbortedError` once the line is closed."""
        if self._is_closed:
            raise ConnectionAbortedError
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._ahead if ahead else self._others).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled() and place.exception() is None:
                self.leave()
            raise

    def leave(self) -> None:
        """Hands the place on."""
        while self._ahead or self._others:
            place = self._next()
            if not place.done():  # or else cancelled
                place.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        self._is_closed = True
        for place in (*self._ahead, *self._others):
            if not place.done():
                place.set_exception(ConnectionAbortedError())
        self._ahead.clear()
        self._others.clear()

    def _next(self) -> asyncio.Future[None]:
        if self._ahead and (self._in_a_row < _IN_A_ROW or not self._others):
            self._in_a_row += 1
            return self._ahead.popleft()
        self._in_a_row = 0
        return self._others.popleft()
