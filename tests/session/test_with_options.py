"""Other settings for some calls, requests of one's own, and results with one await."""

import asyncio
from typing import Any

import pytest

from clinia_async import (
    ApiError,
    ConfigError,
    ConnectionFailed,
    InvalidArgument,
    InvalidWrite,
    Outcome,
    Polling,
    RequestTimeout,
    RetryPolicy,
    SessionClosed,
    TaskFailed,
    TaskTimeout,
)
from clinia_async.emulator import Accepted, Constant, Emulator
from tests.factories import FROM, ID, KEY, ONCE, SOURCE, TO, TYPE, create, receipt, record, session_at
from tests.hostile import Hostile, accepted, answer, by_target, close, persisted, raw, refusal, stall, task

# One await


async def test_result_sends_waits_and_returns_the_record(emulator: Emulator) -> None:
    emulator.default = Accepted(Constant(3.0))
    async with session_at(emulator) as session:
        made = await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).result()
        assert made.id == ID
        assert emulator.relationships() == 1


async def test_result_raises_what_the_write_and_what_its_task_raise() -> None:
    script = {
        "POST": [refusal(400, "INVALID_ARGUMENT"), accepted()],
        "/tasks/": [task("FAILURE", receipts=[receipt("FAILURE")])] * 3,
    }
    async with Hostile(otherwise=by_target(script)) as server, session_at(server) as session:
        with pytest.raises(InvalidArgument):
            await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).result()
        with pytest.raises(TaskFailed):
            await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).result()


async def test_the_timeout_of_result_bounds_the_wait_for_the_task() -> None:
    script = by_target({"POST": [accepted()]}, task("PENDING"))
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        with pytest.raises(TaskTimeout):
            await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).result(timeout=3)


async def test_a_write_is_a_coroutine_that_is_sent_when_it_is_awaited() -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        write = session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO)
        await asyncio.sleep(1)
        assert not server.requests
        assert (await asyncio.create_task(write)).done()  # type: ignore[arg-type]
        made, again = await asyncio.gather(create(session, "a"), create(session, "b"))
        assert made.done()
        assert again.done()
        session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).close()
        assert len(server.requests) == 3


# Options of some calls


async def test_options_hold_for_the_calls_of_the_view_alone() -> None:
    async with Hostile(otherwise=stall) as server, session_at(server, timeout=50, retry=ONCE) as session:
        loop = asyncio.get_running_loop()
        for view, seconds in ((session.with_options(timeout=3), 3), (session, 30)):
            began = loop.time()
            with pytest.raises(RequestTimeout):
                await view.get_relationship(SOURCE, TYPE, ID)
            assert loop.time() - began == pytest.approx(seconds, abs=0.1)


async def test_a_retry_policy_for_some_calls() -> None:
    async with Hostile(otherwise=refusal(503)) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(ApiError) as caught:
            await create(session.with_options(retry=RetryPolicy(attempts=3)))
        assert caught.value.attempts == len(server.requests) == 3
        with pytest.raises(ApiError) as caught:
            await create(session)
        assert caught.value.attempts == 1


async def test_polling_for_some_tasks() -> None:
    script = by_target({"POST": [accepted("s_1"), accepted("s_2")]}, task("PENDING"))
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        seldom = session.with_options(polling=Polling(pace=lambda _, age: 10.0, jitter=0))
        with pytest.raises(TaskTimeout):
            await create_and_wait(seldom, 35)
        assert sum(request.method == "GET" for request in server.requests) == 3


async def create_and_wait(session: Any, timeout: float) -> object:
    return await session.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).result(timeout=timeout)


async def test_a_view_shares_connections_and_what_is_in_doubt() -> None:
    async with Hostile([persisted, stall]) as server, session_at(server, close_grace=0.1) as session:
        view = session.with_options(timeout=30).with_options(read_back=False)
        await create(session, "a")
        caller = asyncio.ensure_future(create(view, "b"))
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert server.connections == 1
        assert len(session.in_doubt) == len(view.in_doubt) == 1


async def test_more_headers_for_some_calls() -> None:
    script = {
        "POST": [close, accepted()],
        "/tasks/": [task("SUCCESS", receipts=[receipt("SUCCESS")])],
        "GET": [answer(record())],
    }
    options = {"headers": {"X-Tenant": "t"}}
    async with Hostile(otherwise=by_target(script)) as server, session_at(server, **options) as session:
        traced = session.with_options(headers={"X-Request-Id": "r-1"}).with_options(timeout=9)
        view = traced.with_options(headers={"X-Tenant": "u"})
        await view.create_relationship(SOURCE, TYPE, from_=FROM, to=TO).result()
        assert len(server.requests) >= 4  # two attempts, a poll, and the record read back
        for seen in server.requests:
            assert (seen.header("X-Request-Id"), seen.header("X-Tenant")) == ("r-1", "u")
            assert seen.header("X-Clinia-API-Key") == KEY
        await session.get_relationship(SOURCE, TYPE, ID)
        last = server.requests[-1]
        assert (last.header("X-Request-Id"), last.header("X-Tenant")) == (None, "t")
        for wrong in ({"X-Clinia-API-Key": "other"}, {"X-Request-Id": "a\nb"}, {"a b": "c"}, "X-A"):
            with pytest.raises(ConfigError, match="header"):
                session.with_options(headers=wrong)


async def test_a_session_says_whether_it_is_closed(emulator: Emulator) -> None:
    async with session_at(emulator) as session:
        view, other = session.with_options(timeout=3), session.with_options(timeout=3)
        await view.aclose()
        assert [each.closed for each in (session, view, other)] == [False, True, False]
    assert session.closed
    assert other.closed
    assert {repr(each) for each in (session, view, other)} == {"<Session closed>"}


async def test_a_close_of_the_session_ends_the_waits_of_its_views() -> None:
    script = by_target({"POST": [accepted()]}, task("PENDING"))
    async with Hostile(otherwise=script) as server:
        async with session_at(server) as session:
            view = session.with_options(timeout=3)
            waiting = asyncio.ensure_future((await create(view)).result())
            await asyncio.sleep(1)
        with pytest.raises(SessionClosed):
            await waiting
        with pytest.raises(SessionClosed):
            await create(view)


async def test_a_close_of_a_view_leaves_the_session_open() -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        async with session.with_options(timeout=3) as view:
            await create(view)
        assert (await create(session, "b")).done()


async def test_a_wrong_option_of_a_view_is_refused() -> None:
    async with Hostile() as server, session_at(server) as session:
        with pytest.raises(ConfigError, match=r"^Session\.timeout must be"):
            session.with_options(timeout=-1)
        with pytest.raises(ConfigError, match=r"^Session\.retry must be of the class RetryPolicy"):
            session.with_options(retry=3)  # type: ignore[arg-type]


# Requests of one's own


async def test_a_request_sends_json_and_returns_json() -> None:
    async with Hostile([answer({"ok": [1, 2]}, 201)]) as server, session_at(server) as session:
        found = await session.request(
            "POST", "/sources/ehr/v1/things/a%20b", json={"n": 1}, params={"dry": "yes", "page": 2}
        )
        assert found == {"ok": [1, 2]}
        (request,) = server.requests
        assert request.target == "/sources/ehr/v1/things/a%20b?dry=yes&page=2"
        assert request.body == b'{"n":1}'
        assert request.header("X-Clinia-API-Key") is not None


async def test_an_answer_without_a_body_is_none() -> None:
    script = [raw(b"HTTP/1.1 204 No Content\r\n\r\n")]
    async with Hostile(script) as server, session_at(server) as session:
        assert await session.request("POST", "/x", json={}) is None


@pytest.mark.parametrize(
    ("method", "options", "sent"),
    [
        ("GET", {}, 2),
        ("PUT", {"json": {}}, 2),
        ("DELETE", {}, 2),
        ("POST", {"json": {}}, 1),
        ("POST", {"json": {}, "idempotent": True}, 2),
        ("PUT", {"json": {}, "idempotent": False}, 1),
    ],
)
async def test_only_what_may_be_repeated_is_retried(method: str, options: dict[str, Any], sent: int) -> None:
    async with Hostile([close], otherwise=answer(record())) as server, session_at(server) as session:
        call = session.request(method, "/x", **options)
        if sent == 1:
            with pytest.raises(ConnectionFailed) as caught:
                await call
            assert caught.value.outcome is Outcome.UNKNOWN
        else:
            assert await call == record()
        assert len(server.requests) == sent


async def test_an_error_of_a_request_has_a_type_and_no_path() -> None:
    script = [refusal(400, "INVALID_ARGUMENT")]
    async with Hostile(script) as server, session_at(server) as session:
        with pytest.raises(InvalidArgument) as caught:
            await session.request("GET", "/patients/CANARY-17")
        assert "CANARY" not in str(caught.value)
        assert caught.value.outcome is Outcome.REJECTED


@pytest.mark.parametrize(
    ("method", "path", "options", "where"),
    [
        ("get", "/x", {}, "$.method"),
        ("TRACE", "/x", {}, "$.method"),
        ("HEAD", "/x", {}, "$.method"),
        ("GET", "x", {}, "$.path"),
        ("GET", "//evil.example.org/x", {}, "$.path"),
        ("GET", "https://evil.example.org/x", {}, "$.path"),
        ("GET", "/a/../b", {}, "$.path"),
        ("GET", "/a/%2e%2e/b", {}, "$.path"),
        ("GET", "/x?y=1", {}, "$.path"),
        ("GET", "/x#y", {}, "$.path"),
        ("GET", "/a b", {}, "$.path"),
        ("GET", "/x\r\nX: y", {}, "$.path"),
        ("GET", "/x%zz", {}, "$.path"),
        ("GET", 7, {}, "$.path"),
        ("GET", "/x", {"json": {}}, "$.json"),
        ("POST", "/x", {"json": object()}, "$.json"),
        ("GET", "/x", {"params": "a=b"}, "$.params"),
        ("GET", "/x", {"params": {"a": [1]}}, "$.params"),
    ],
)
async def test_a_wrong_request_is_refused_before_it_is_sent(
    method: str, path: Any, options: dict[str, Any], where: str
) -> None:
    async with Hostile() as server, session_at(server) as session:
        with pytest.raises(InvalidWrite) as caught:
            await session.request(method, path, **options)
        assert caught.value.path.startswith(where)
        assert not server.requests


async def test_an_unknown_host_is_refused() -> None:
    async with Hostile() as server, session_at(server) as session:
        with pytest.raises(ConfigError, match="host must be one of registry, catalog"):
            session.request("GET", "/x", host="nowhere")  # type: ignore[arg-type]
