"""Leaving a session's block: what is under way ends first, however often it is cancelled."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import anyio
import pytest

from clinia_async import ConfigError, Session
from tests.factories import KEY, create, receipt, session_at
from tests.hostile import Hostile, accepted, after, by_target, persisted, task
from tests.patience import PATIENCE

Close = Callable[[], Awaitable[None]]


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


def _closing_credentials(close: Close) -> dict[str, Any]:
    async def credentials() -> dict[str, str]:
        await close()
        return {"X-Clinia-API-Key": KEY}

    return {"api_key": None, "credentials": credentials}


def _closing_middleware(close: Close) -> dict[str, Any]:
    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        answer: aiohttp.ClientResponse = await handler(request)
        await close()
        return answer

    return {"http_session": aiohttp.ClientSession(middlewares=[middleware])}


def _closing_before_a_poll(close: Close) -> dict[str, Any]:
    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        if request.method == "GET":
            await close()
        answer: aiohttp.ClientResponse = await handler(request)
        return answer

    return {"http_session": aiohttp.ClientSession(middlewares=[middleware])}


@pytest.mark.parametrize("coalesce", [False, True], ids=["each", "coalesced"])
@pytest.mark.parametrize("function", [_closing_credentials, _closing_middleware, _closing_before_a_poll])
async def test_a_close_within_a_call_does_not_wait_for_itself(
    function: Callable[[Close], dict[str, Any]], coalesce: bool
) -> None:
    """It would never end: the close waits for the call, and the call for the close."""
    refusals: list[str] = []

    async def close() -> None:
        with pytest.raises(ConfigError, match="in a task of its own") as refusal:
            await session.aclose()
        refusals.append(str(refusal.value))

    script = by_target({"POST": [accepted()]}, otherwise=task("SUCCESS", receipts=[receipt("SUCCESS")]))
    async with Hostile(otherwise=script) as server:
        options = {"api_key": KEY, **function(close)}
        session = Session(base_url=server.url, coalesce=coalesce, read_back=False, **options)
        async with asyncio.timeout(PATIENCE), session:
            await (await create(session))
        assert refusals
        if "http_session" in options:
            await options["http_session"].close()


async def test_a_close_in_another_loop_is_refused_while_that_of_the_session_is_there() -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        with pytest.raises(ConfigError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, session.aclose())
        assert not session.closed
        await create(session)


PROGRAM = """
import asyncio
from clinia_async import Session
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.testing import EmulatorServer
from tests.factories import create

async def never():
    return await asyncio.get_running_loop().create_future()

async def work():
    waits = [(await create(each)).wait() for each in (session, view)]
    left = [asyncio.ensure_future(each) for each in (*waits, create(sending))]
    await asyncio.sleep(0.1)
    return left

with EmulatorServer(Emulator(default=Accepted(Constant(1e6)))) as server:
    session = Session(api_key=server.key, base_url=server.url)
    view = session.with_options(timeout=5)
    sending = Session(credentials=never, base_url=server.url)
    loop = asyncio.new_event_loop()
    left = loop.run_until_complete(work())
    loop.close()
    for each in (view, session, sending):
        asyncio.run(each.aclose())
        print(each)
"""


def test_a_session_whose_loop_was_closed_under_its_work_can_be_closed() -> None:
    """In a process of its own, as sockets and tasks of that loop are told of when they are collected."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.stdout.split("\n") == ["<Session closed>"] * 3 + [""], run.stderr
