"""Cancels at every await: a call begins anew and is cancelled one turn of the loop later each time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from clinia_async import CliniaError, RetryPolicy, Session
from tests.factories import session_at
from tests.hostile import Hostile

MOST = 400
Call = Callable[[Session], Awaitable[Any]]
Wrap = Callable[[Awaitable[Any]], Awaitable[Any]]


async def cancel_everywhere(
    server: Hostile, call: Call, *, again: int | None = None, wrap: Wrap | None = None
) -> int:
    """Cancel the call at every turn of the loop, `again` so many turns later once more; return how many there were.

    After each cancel the session can be used, and when it has closed nothing of it is left.
    """
    for turn in range(MOST):
        begun = asyncio.all_tasks()
        async with session_at(server, retry=RetryPolicy(), close_grace=1.0) as session:
            work = asyncio.ensure_future(_run(call, session, wrap))
            for _ in range(turn):
                await asyncio.sleep(0)
            work.cancel()
            for _ in range(again or 0):
                await asyncio.sleep(0)
            if again is not None:
                work.cancel()
            await asyncio.wait([work])
            if not work.cancelled() and (error := work.exception()) is not None:
                assert isinstance(error, CliniaError), type(error)
            await call(session)
        assert {each for each in asyncio.all_tasks() if "clinia" in each.get_name()} <= begun
        if not work.cancelled():
            return turn
    raise AssertionError("the call never came to its end")


async def _run(call: Call, session: Session, wrap: Wrap | None) -> Any:
    return await (call(session) if wrap is None else wrap(call(session)))
