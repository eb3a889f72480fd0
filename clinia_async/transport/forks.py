"""What belongs to one process: a fork of it leaves it to its parent.

On Linux parent and child share one epoll instance: what the child takes out of it, the parent no longer hears
of. Where a process is forked from within a running loop, the child tears its copy of it down as it ends,
and requests of the parent would wait until they time out. So it is with locks and pipes: what waits for their
end waits for that of each copy.
"""

import asyncio
import os
import select
import selectors
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_OWNED: WeakKeyDictionary[object, Callable[..., object]] = WeakKeyDictionary()


def leave_in_forks(owned: T, leave: Callable[[T], object]) -> None:
    """Have each fork of this process call `leave(owned)`, as long as `owned` is in use."""
    _OWNED[owned] = leave


def keep_apart(loop: asyncio.AbstractEventLoop) -> None:
    """Have a fork of this process wait for events of its own, and not of those of `loop`."""
    with suppress(TypeError):  # a loop of others may not be referenced weakly
        leave_in_forks(loop, _leave_events)


def _leave_events(loop: asyncio.AbstractEventLoop) -> None:
    selector = getattr(loop, "_selector", None)
    if isinstance(selector, getattr(selectors, "EpollSelector", ())) and hasattr(selector, "_selector"):
        # closes the copy alone; what the child takes out of the new one is not in it, which is no error
        selector._selector.close()
        selector._selector = select.epoll()


def _leave_all() -> None:
    for owned, leave in tuple(_OWNED.items()):
        leave(owned)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
