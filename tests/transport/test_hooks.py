"""Hooks that others set on aiohttp are honoured always, and whatever the size of a request."""

import asyncio
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from clinia_async import ConnectionFailed, Outcome, RequestError, Session
from tests.factories import ONCE, create, session_at
from tests.hostile import Hostile, by_target, persisted, refusal, reply

SIZES = [10, 40_000]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def tracing(seen: list[str]) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def started(
        _: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestStartParams
    ) -> None:
        request.headers["traceparent"] = TRACEPARENT
        seen.append(request.method)

    trace.on_request_start.append(started)
    return trace


@pytest.fixture
def instrumented(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every new `ClientSession` gets a trace config, as OpenTelemetry and Sentry do it."""
    seen: list[str] = []
    original = aiohttp.ClientSession.__init__

    def init(self: aiohttp.ClientSession, *args: Any, **options: Any) -> None:
        options["trace_configs"] = [*(options.get("trace_configs") or ()), tracing(seen)]
        original(self, *args, **options)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)
    return seen


@pytest.mark.parametrize("size", SIZES)
async def test_trace_configs_of_every_session_see_every_request_once(
    size: int, instrumented: list[str]
) -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        await create(session, data={"note": "x" * size})
        assert instrumented == ["POST"]
        assert server.requests[0].header("traceparent") == TRACEPARENT


@pytest.mark.parametrize("size", SIZES)
async def test_a_borrowed_session_that_is_traced_twice_is_traced_once(
    size: int, instrumented: list[str]
) -> None:
    async with (
        Hostile(otherwise=persisted) as server,
        aiohttp.ClientSession() as client,
        session_at(server, http_session=client) as session,
    ):
        await create(session, data={"note": "x" * size})
        assert instrumented == ["POST"]


@pytest.mark.parametrize("size", SIZES)
async def test_trace_configs_of_a_borrowed_session_see_every_request(size: int) -> None:
    seen: list[str] = []
    async with (
        Hostile(otherwise=persisted) as server,
        aiohttp.ClientSession(trace_configs=[tracing(seen)]) as client,
        session_at(server, http_session=client) as session,
    ):
        await create(session, data={"note": "x" * size})
        assert seen == ["POST"]


@pytest.mark.parametrize("size", SIZES)
async def test_middlewares_of_a_borrowed_session_see_every_request(size: int) -> None:
    seen: list[str] = []

    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        seen.append(request.method)
        answer: aiohttp.ClientResponse = await handler(request)
        return answer

    async with (
        Hostile(otherwise=persisted) as server,
        aiohttp.ClientSession(middlewares=(middleware,)) as client,
        session_at(server, http_session=client) as session,
    ):
        await create(session, data={"note": "x" * size})
        assert seen == ["POST"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["request", "_request"])
async def test_a_patched_client_session_answers_every_request(
    size: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vcr and aioresponses do it: also where they are started after the session was opened."""
    asked: list[str] = []
    original = getattr(aiohttp.ClientSession, name)

    async def recorded(self: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> Any:
        asked.append(method)
        return await original(self, method, url, **options)

    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        await create(session, "before")
        monkeypatch.setattr(aiohttp.ClientSession, name, recorded)
        await create(session, data={"note": "x" * size})
        assert asked == ["POST"]
        monkeypatch.undo()
        await create(session, "after")
        assert asked == ["POST"]
        assert len(server.requests) == 3


async def test_what_a_patched_client_session_raises_may_have_been_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise aiohttp.ClientOSError

    monkeypatch.setattr(aiohttp.ClientSession, "_request", fail)
    async with Session(api_key="k", base_url="http://127.0.0.1:9", retry=ONCE) as session:
        with pytest.raises(RequestError) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_borrowed_session_with_a_way_of_its_own_goes_that_way() -> None:
    asked: list[str] = []
    async with Hostile(otherwise=persisted) as server, aiohttp.ClientSession() as client:
        original = client._request

        async def recorded(method: str, *args: Any, **options: Any) -> Any:
            asked.append(method)
            return await original(method, *args, **options)

        client.__dict__["_request"] = recorded
        async with session_at(server, http_session=client) as session:
            await create(session)
        assert asked == ["POST"]
        assert server.requests[0].header("X-Clinia-API-Key") is not None


async def test_the_way_in_use_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "clinia_async.transport")
    original = aiohttp.ClientSession._request

    async def recorded(self: aiohttp.ClientSession, *args: Any, **options: Any) -> Any:
        return await original(self, *args, **options)

    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        for number in range(3):
            await create(session, f"a{number}")
        monkeypatch.setattr(aiohttp.ClientSession, "_request", recorded)
        for number in range(3):
            await create(session, f"b{number}")
    said = [each.getMessage() for each in caplog.records if each.name == "clinia_async.transport"]
    assert said == [
        "small requests go straight over pooled connections",
        "requests go through ClientSession.request: there is a patched ClientSession",
    ]


async def test_a_borrowed_session_without_hooks_lends_its_pool(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clinia_async.transport")
    async with (
        Hostile(otherwise=by_target({"/other": [reply(200)] * 3}, persisted)) as server,
        aiohttp.ClientSession() as client,
        session_at(server, http_session=client) as session,
    ):
        for number in range(3):
            await create(session, f"p{number}")
            async with client.post(f"{server.url}/other", data=b"{}") as answer:
                await answer.read()
        assert server.connections == 1
    said = [each.getMessage() for each in caplog.records if each.name == "clinia_async.transport"]
    assert said == ["small requests go straight over pooled connections"]


@pytest.mark.parametrize("reason", ["middlewares", "a connector or a version of aiohttp that is not known"])
async def test_why_the_public_way_is_in_use_is_logged(
    reason: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "clinia_async.transport")

    async def passed_on(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        answer: aiohttp.ClientResponse = await handler(request)
        return answer

    if "version" in reason:
        monkeypatch.setattr("clinia_async.transport.connections.IS_KNOWN", False)
    middlewares = (passed_on,) if reason == "middlewares" else ()
    async with (
        Hostile(otherwise=persisted) as server,
        aiohttp.ClientSession(middlewares=middlewares) as client,
        session_at(server, http_session=client) as session,
    ):
        await create(session)
        await create(session, "b")
    assert [each.getMessage() for each in caplog.records if each.name == "clinia_async.transport"] == [
        f"requests go through ClientSession.request: there is {reason}"
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("when", ["on_request_start", "on_request_headers_sent", "on_request_end"])
async def test_a_hook_that_is_cancelled_cancels_no_caller_and_closes_no_session(when: str, size: int) -> None:
    async def cancelled(*_: object) -> None:
        raise asyncio.CancelledError

    trace = aiohttp.TraceConfig()
    getattr(trace, when).append(cancelled)
    async with (
        Hostile(otherwise=by_target({"GET": [refusal(404)]}, persisted)) as server,
        aiohttp.ClientSession(trace_configs=[trace]) as client,
        session_at(server, http_session=client, retry=ONCE) as session,
    ):
        with pytest.raises(ConnectionFailed, match="CancelledError") as caught:
            await create(session, data={"note": "x" * size})
        assert caught.value.outcome is Outcome.UNKNOWN or not server.requests
        with pytest.raises(ConnectionFailed, match="CancelledError"):
            await session.get_source("ehr")
        assert not session.in_doubt
