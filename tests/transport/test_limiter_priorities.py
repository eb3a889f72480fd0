"""Requests that wait for a connection: which goes first, which gives up, and that no permit is lost."""

import asyncio

import pytest

from clinia_async import ConnectionFailed, Outcome, RequestError, RequestTimeout, TransportOptions
from clinia_async.calls import Host, Request
from clinia_async.transport.limiter import Limiter
from tests.factories import ONCE, SOURCE, create, session_at
from tests.hostile import Hostile, after, by_target, persisted, stall, task

SLOW = by_target({"/tasks/": [after(1, task("SUCCESS"))]}, after(1, persisted))
ONE = TransportOptions(connections=1)


async def test_a_poll_goes_before_writes_that_wait() -> None:
    async with Hostile(otherwise=SLOW) as server, session_at(server, transport=ONE) as session:
        writes = [asyncio.ensure_future(create(session, f"p{number}")) for number in range(3)]
        await asyncio.sleep(0.5)
        poll = asyncio.ensure_future(session.task("s_1", source=SOURCE).refresh())
        await asyncio.gather(*writes, poll)
        assert [request.method for request in server.requests] == ["POST", "GET", "POST", "POST"]


async def test_after_three_polls_in_a_row_a_write_goes() -> None:
    async with Hostile(otherwise=SLOW) as server, session_at(server, transport=ONE) as session:
        writes = [asyncio.ensure_future(create(session, f"p{number}")) for number in range(3)]
        await asyncio.sleep(0.5)
        watched = session.task("s_1", source=SOURCE)
        await asyncio.gather(*writes, *(watched.refresh() for _ in range(8)))
        methods = "".join(request.method[0] for request in server.requests)
        assert methods == "PGGGPGGGPGG"


async def test_writes_keep_their_order() -> None:
    async with Hostile(otherwise=SLOW) as server, session_at(server, transport=ONE) as session:
        await asyncio.gather(*(create(session, f"p{number}") for number in range(5)))
        sent = [request.body for request in server.requests]
        assert [f"p{number}".encode() in body for number, body in enumerate(sent)] == [True] * 5


async def test_the_wait_for_a_connection_is_not_counted_as_attempt_time() -> None:
    slow = after(4, persisted)
    wire = TransportOptions(connections=1, attempt=5)
    async with Hostile(otherwise=slow) as server, session_at(server, transport=wire, retry=ONCE) as session:
        made = await asyncio.gather(*(create(session, f"p{number}") for number in range(6)))
        assert all(each.done() for each in made)


async def test_a_request_that_times_out_while_waiting_leaves_its_place_to_the_next() -> None:
    async with (
        Hostile([stall], otherwise=persisted) as server,
        session_at(server, transport=ONE, retry=ONCE) as session,
    ):
        first = asyncio.ensure_future(create(session, "a", timeout=10))
        await asyncio.sleep(0.1)
        late = asyncio.ensure_future(create(session, "b", timeout=5))
        last = asyncio.ensure_future(create(session, "c", timeout=30))
        with pytest.raises(RequestTimeout) as given_up:
            await late
        assert given_up.value.outcome is Outcome.NOT_SENT
        with pytest.raises(RequestTimeout):
            await first
        assert (await last).done()
        assert len(server.requests) == 2


async def test_a_close_ends_the_wait_for_a_connection() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server, transport=ONE) as session:
        reads = [asyncio.ensure_future(session.task("s_1", source=SOURCE).refresh()) for _ in range(3)]
        await asyncio.sleep(0.1)
        await session.aclose(grace=0)
        errors = await asyncio.gather(*reads, return_exceptions=True)
        assert all(isinstance(error, RequestError) for error in errors)
        assert {type(error) for error in errors} <= {ConnectionFailed}
        assert len(server.requests) == 1


async def test_a_cancel_at_the_moment_of_the_permit_hands_it_on() -> None:
    limiter = Limiter(1)
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    answers = iter([first])

    async def attempt(request: Request, deadline: float) -> bytes:
        answer = next(answers, None)
        if answer is not None:
            await answer
            # runs when the next request has its permit and has not gone on yet
            asyncio.get_running_loop().call_soon(waits[0].cancel)
        return b""

    def send() -> "asyncio.Task[bytes]":
        request = Request("POST", Host.REGISTRY, "/x", "/x")
        deadline = asyncio.get_running_loop().time() + 60
        return asyncio.ensure_future(limiter.send(attempt, request, deadline))

    holder, *waits = (send() for _ in range(4))
    await asyncio.sleep(0)
    waits[1].cancel()
    first.set_result(b"")
    await holder
    await asyncio.wait_for(waits[2], 1)
    assert [wait.cancelled() for wait in waits] == [True, True, False]
    assert await send() == b""
