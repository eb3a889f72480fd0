"""The futures that wait for one thing, in as little memory as they need: mostly there is none, or one."""

import asyncio

Future = asyncio.Future[None]
Waiters = Future | list[Future] | None
"""Mostly nobody or one waits, so there is a list only for more. A future that is done waits no more."""


def listed(waiters: Waiters) -> list[Future] | tuple[Future, ...]:
    """Return the futures, done or not."""
    if waiters is None:
        return ()
    return waiters if isinstance(waiters, list) else (waiters,)


def any_waits(waiters: Waiters) -> bool:
    """Return whether any of them is not done."""
    if isinstance(waiters, list):
        return any(not future.done() for future in waiters)
    return waiters is not None and not waiters.done()


def joined(waiters: Waiters, future: Future) -> Waiters:
    """Return the futures with one more."""
    if not isinstance(waiters, list):
        return [waiters, future] if waiters is not None and not waiters.done() else future
    if not len(waiters) & (len(waiters) - 1):  # now and then, so that waits given up do not add up
        waiters[:] = [each for each in waiters if not each.done()]
    waiters.append(future)
    return waiters


def resolve(waiters: Waiters) -> None:
    """Set the result of those that are not done."""
    for future in listed(waiters):
        if not future.done():
            future.set_result(None)
