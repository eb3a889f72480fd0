"""What one coroutine waits for: like a future, but for a single waiter, and many are woken in one go.

A future takes three objects a wait and a turn of the loop for each waiter. Where a thousand callers wait
for one answer, that is most of what they cost.
"""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Generator, Iterator
from contextvars import Context
from typing import TypeVar

W = TypeVar("W")

End = Future[None]
"""How a waiter is woken: with a future that is done, well or badly."""


class Waiter:
    """`yield` it, or `await` it, once. It is as much of a future as a task of asyncio asks for."""

    __slots__ = ("_asyncio_future_blocking", "_callback", "_context", "_end", "_loop")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._asyncio_future_blocking = True
        self._callback: Callable[[End], object] | None = None
        self._context: Context
        self._end: End | None = None
        self._loop = loop

    def __await__(self) -> Generator["Waiter", None, object]:
        yield self
        return None

    def wake(self, error: BaseException | None = None) -> None:
        """Ends the wait, with `error` if there is one; the waiter goes on in the loop's next turn."""
        if self._end is None:
            self._finish(_ended(self._loop, error))

    def go_on(self, end: End) -> None:
        """Ends the wait, and the waiter goes on at once: for callbacks of the loop, which are in no task."""
        if self._end is None:
            self._end = end
            if self._callback is not None:
                self._context.run(self._callback, end)

    def done(self) -> bool:
        return self._end is not None

    def cancel(self, msg: object = None) -> bool:
        if self._end is not None:
            return False
        end = self._loop.create_future()
        end.cancel(msg)
        self._finish(end)
        return True

    def add_done_callback(self, callback: Callable[[End], object], *, context: Context) -> None:
        self._callback = callback
        self._context = context
        if self._end is not None:
            self._loop.call_soon(callback, self._end, context=context)

    def _finish(self, end: End) -> None:
        self._end = end
        if self._callback is not None:
            self._loop.call_soon(self._callback, end, context=self._context)


def wake_together(waiters: Iterator[Waiter], loop: AbstractEventLoop) -> None:
    """Ends the waits of them all, in one turn of the loop. Each is asked for when it is its turn."""
    loop.call_soon(_go_on, waiters, _ended(loop))


def drained(waiters: list[W]) -> Iterator[W]:
    """Each of the list, which lets go of it: so what one leaves behind is used again by the next."""
    waiters.reverse()
    while waiters:
        yield waiters.pop()


def _go_on(waiters: Iterator[Waiter], end: End) -> None:
    try:
        for waiter in waiters:
            waiter.go_on(end)
    except BaseException:  # what ends the loop, such as a KeyboardInterrupt, must not strand the others
        end.get_loop().call_soon(_go_on, waiters, end)
        raise


def _ended(loop: AbstractEventLoop, error: BaseException | None = None) -> End:
    end = loop.create_future()
    if error is None:
        end.set_result(None)
    else:
        end.set_exception(error)
    return end
