"""A fork of a process leaves the connections of the parent alone, whatever becomes of its copy of the loop.

On Linux parent and child share one epoll instance: what the child takes out of it, the parent no longer hears
of. Where a process is forked from within a running loop, the child tears its copy of it down as it ends,
and requests of the parent would wait until they time out.
"""

import asyncio
import os
import select
import selectors
from contextlib import suppress
from weakref import WeakSet

_LOOPS: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def keep_apart(loop: asyncio.AbstractEventLoop) -> None:
    """Have a fork of this process wait for events of its own, and not of those of `loop`."""
    with suppress(TypeError):  # a loop of others may not be referenced weakly
        _LOOPS.add(loop)


def _leave_events_to_parent() -> None:
    for loop in tuple(_LOOPS):
        selector = getattr(loop, "_selector", None)
        if isinstance(selector, getattr(selectors, "EpollSelector", ())) and hasattr(selector, "_selector"):
            # closes the copy alone; what the child takes out of the new one is not in it, which is no error
            selector._selector.close()
            selector._selector = select.epoll()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_events_to_parent)
