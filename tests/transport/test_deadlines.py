"""Deadlines of attempts: a cancel of the caller is never taken for a timeout, or the other way round."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from clinia_async import Outcome, RequestTimeout, Session, SessionClosed, TransportOptions
from tests.factories import ID, ONCE, SOURCE, TYPE, create, session_at
from tests.hostile import Hostile, persisted, stall


def read(session: Session, timeout: float) -> Awaitable[object]:
    return session.get_relationship(SOURCE, TYPE, ID, timeout=timeout)


def write(session: Session, timeout: float) -> Awaitable[object]:
    return create(session, timeout=timeout)


async def when(work: Awaitable[object]) -> float:
    """The seconds after which it ends for being late."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeout):
        await work
    return asyncio.get_running_loop().time() - started


@pytest.mark.parametrize("send", [read, write])
async def test_each_ends_at_its_own_deadline(send: Any) -> None:
    async with Hostile(otherwise=stall) as server, session_at(server, retry=ONCE) as session:
        timeouts = [7.0, 1.5, 3.0, 1.25, 20.0, 0.5]
        waits = await asyncio.gather(*(when(send(session, timeout)) for timeout in timeouts))
        assert waits == pytest.approx(timeouts, abs=0.01)


async def test_an_early_deadline_that_is_met_leaves_the_later_ones() -> None:
    async with Hostile([persisted], otherwise=stall) as server, session_at(server, retry=ONCE) as session:
        assert (await create(session, timeout=1)).done()
        assert await when(read(session, 5)) == pytest.approx(5, abs=0.01)


async def test_no_connection_is_left_by_what_was_late() -> None:
    wire = TransportOptions(connections=1)
    async with (
        Hostile([stall, persisted]) as server,
        session_at(server, retry=ONCE, transport=wire) as session,
    ):
        late = asyncio.ensure_future(when(write(session, 2)))
        await asyncio.sleep(1)
        assert (await create(session, timeout=5)).done()
        await late


async def test_a_cancel_together_with_the_deadline_is_a_cancel() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server, retry=ONCE) as session:
        reader = asyncio.ensure_future(read(session, 2))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 2, reader.cancel)
        with pytest.raises(asyncio.CancelledError):
            await reader


async def test_a_task_that_was_cancelled_before_can_still_be_late() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server, retry=ONCE) as session:

        async def clean_up() -> float:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return await when(read(session, 2))
            return 0

        work = asyncio.ensure_future(clean_up())
        await asyncio.sleep(1)
        work.cancel()
        assert await work == pytest.approx(2, abs=0.01)


async def test_a_write_that_left_its_caller_keeps_its_deadline() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server, retry=ONCE) as session:
        writer = asyncio.ensure_future(create(session, timeout=4))
        await asyncio.sleep(1)
        writer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writer
        await asyncio.sleep(4)
        (entry,) = session.in_doubt
        assert isinstance(entry.error, RequestTimeout)
        assert entry.error.outcome is Outcome.UNKNOWN


async def test_closing_releases_those_who_still_wait() -> None:
    async with Hostile(otherwise=stall) as server:
        session = session_at(server, close_grace=2)
        writer = asyncio.ensure_future(create(session))
        await asyncio.sleep(1)
        await session.aclose()
        with pytest.raises(SessionClosed) as caught:
            await writer
        assert caught.value.outcome is Outcome.UNKNOWN
        assert session.in_doubt == ()
