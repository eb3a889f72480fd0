"""Leaving a session's block: what is under way ends first, however often it is cancelled."""

import asyncio

import anyio
import pytest

from clinia_async import Session
from tests.factories import create, session_at
from tests.hostile import Hostile, after, persisted


def all_is_closed(session: Session) -> bool:
    engine = session._engine
    return (
        engine.state == "closed" and engine._running is not None and engine._running.transport._client.closed
    )


async def test_a_second_cancel_does_not_leave_the_block_before_the_writes_end() -> None:
    async with Hostile(otherwise=after(5, persisted)) as server:
        session = session_at(server, close_grace=10)

        async def work() -> None:
            async with session:
                await create(session)

        loop = asyncio.get_running_loop()
        working = asyncio.ensure_future(work())
        await asyncio.sleep(1)
        began = loop.time()
        for _ in range(3):
            working.cancel()
            await asyncio.sleep(0.5)
            assert not working.done()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert loop.time() - began == pytest.approx(4, abs=0.2)
        assert all_is_closed(session)
        (entry,) = session.in_doubt
        assert entry.task is not None


def test_a_scope_of_anyio_does_not_leave_the_block_before_the_writes_end() -> None:
    """It cancels in every turn of the loop until the block is left, so that a jumping clock would stand."""

    async def leave() -> None:
        async with Hostile(otherwise=after(0.05, persisted)) as server:
            session = session_at(server, close_grace=10)
            with anyio.CancelScope() as scope:
                async with session:
                    asyncio.get_running_loop().call_later(0.01, scope.cancel)
                    await create(session)
            assert scope.cancelled_caught
            assert all_is_closed(session)
            (entry,) = session.in_doubt
            assert entry.task is not None

    asyncio.run(leave())


async def test_a_task_group_of_anyio_that_fails_loses_no_write() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise KeyError

    async with Hostile(otherwise=after(0.05, persisted)) as server:
        session = session_at(server)
        with pytest.raises(ExceptionGroup):  # noqa: PT012  one block of several
            async with session, anyio.create_task_group() as group:
                group.start_soon(create, session)
                group.start_soon(fail)
        assert all_is_closed(session)
        assert [entry.task is not None for entry in session.in_doubt] == [True]


async def test_a_cancelled_close_has_closed() -> None:
    async with Hostile(otherwise=after(5, persisted)) as server:
        session = session_at(server, close_grace=10)
        writing = asyncio.ensure_future(create(session))
        await asyncio.sleep(1)
        closing = asyncio.ensure_future(session.aclose())
        await asyncio.sleep(1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert all_is_closed(session)
        assert (await writing).done()
