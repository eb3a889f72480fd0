"""A coroutine that runs in the task of whoever awaits it, and can be stopped without cancelling that task."""

from asyncio import CancelledError, Future
from collections.abc import Coroutine, Generator
from threading import local
from typing import Generic, TypeVar

T = TypeVar("T")

Waiting = Future[object] | None
"""What a coroutine waits for at a pause: None is a turn of the event loop."""


class Interruptible(Generic[T]):
    """Awaits `work`, once. `interrupt` raises `CancelledError` in it, where it waits."""

    __slots__ = ("_must_stop", "_waiting", "_work")

    def __init__(self, work: Coroutine[Waiting, None, T]) -> None:
        self._work = work
        self._waiting: Waiting = None
        self._must_stop = False

    def interrupt(self) -> None:
        """As `Task.cancel` does it: through what is waited for, or else at the next step."""
        if self._waiting is None or not self._waiting.cancel():
            self._must_stop = True

    def __await__(self) -> Generator[Waiting, None, T]:
        try:
            waiting = self._step()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        return (yield from self._from(waiting))

    def _from(self, waiting: Waiting) -> Generator[Waiting, None, T]:
        """The rest, from a pause on."""
        while True:
            error: BaseException | None = None
            try:
                yield waiting
            except BaseException as thrown:  # noqa: BLE001  the work decides
                error = thrown
            try:
                waiting = self._step(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def _step(self, error: BaseException | None = None) -> Waiting:
        """On to the next pause. Raises `StopIteration` with the result at the end."""
        outer, _current.work = _current.work, self  # type: ignore[assignment]
        self._waiting = None
        if self._must_stop:
            self._must_stop = False
            error = CancelledError()
        try:
            waiting = self._work.send(None) if error is None else self._work.throw(error)
        finally:
            _current.work = outer
        self._waiting = waiting
        return waiting


class _Current(local):
    work: Interruptible[object] | None = None


_current = _Current()


def current_work() -> Interruptible[object] | None:
    """What runs now, as `asyncio.current_task` tells it of tasks."""
    return _current.work
