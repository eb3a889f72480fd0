"""Settling a write whose answer was lost: what is there tells, once it is there."""

import asyncio
from typing import TypeVar

from clinia_async.calls import Read, Reconcilable
from clinia_async.errors import NotFound

R = TypeVar("R")

_FIRST_PAUSE = 0.1


async def settle(write: Reconcilable[R], read: Read, deadline: float) -> R | None:
    """What the lost answer would have said; None if what is there is not what was sent.

    A lost attempt may have been accepted and still wait to be carried out. So where nothing is there it
    is looked for again, until `deadline` on the loop's clock; then `NotFound` is raised.
    """
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE
    while True:
        try:
            return await write.reconcile(read)
        except NotFound:
            if loop.time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        pause *= 2
