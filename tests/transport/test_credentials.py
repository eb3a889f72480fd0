"""What a request proves itself with, what else it says of itself, and through whom it goes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

import clinia_async
from clinia_async import ConfigError, ConnectionFailed, Outcome, Secret, Session, Unauthenticated
from tests.factories import ONCE, SOURCE, create, session_at
from tests.hostile import Hostile, accepted, after, by_target, persisted, refusal, reply, task

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp")


def at(server: Hostile, **options: Any) -> Session:
    return Session(base_url=server.url, **options)


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"api_key": "k-1"}, "X-Clinia-API-Key", "k-1"),
        ({"api_key": Secret("k-1")}, "X-Clinia-API-Key", "k-1"),
        ({"token": "t-1"}, "Authorization", "Bearer t-1"),
        ({"token": Secret("t-1")}, "Authorization", "Bearer t-1"),
        ({"credentials": lambda: "t-2"}, "Authorization", "Bearer t-2"),
        ({"credentials": lambda: {"X-Clinia-API-Key": "k-2"}}, "X-Clinia-API-Key", "k-2"),
    ],
)
async def test_a_credential_is_sent_as_its_header(
    options: Mapping[str, Any], header: str, value: str
) -> None:
    async with Hostile(otherwise=persisted) as server, at(server, **options) as session:
        await create(session)
        await create(session, data={"note": "x" * 40_000})
        assert [request.header(header) for request in server.requests] == [value, value]
        others = {"X-Clinia-API-Key", "Authorization"} - {header}
        assert not any(request.header(other) for request in server.requests for other in others)


class Tokens:
    """Gives a new token each time it is asked."""

    def __init__(self) -> None:
        self.given = 0

    async def __call__(self) -> str:
        await asyncio.sleep(0.1)
        self.given += 1
        return f"t-{self.given}"


async def test_an_async_source_is_asked_once_for_many_calls() -> None:
    tokens = Tokens()
    async with Hostile(otherwise=persisted) as server, at(server, credentials=tokens) as session:
        await asyncio.gather(*(create(session, f"p{number}") for number in range(20)))
        assert {request.header("Authorization") for request in server.requests} == {"Bearer t-1"}
        assert tokens.given == 1


async def test_after_a_401_the_source_is_asked_once_more() -> None:
    tokens = Tokens()
    script = [persisted, refusal(401, "UNAUTHENTICATED")]
    async with Hostile(script, otherwise=persisted) as server, at(server, credentials=tokens) as session:
        await create(session, "a")
        made = await create(session, "b")
        assert made.done()
        assert not made.maybe_applied
        sent = [request.header("Authorization") for request in server.requests]
        assert sent == ["Bearer t-1", "Bearer t-1", "Bearer t-2"]


async def test_an_answer_that_proves_nothing_is_not_followed_by_a_second_write() -> None:
    """UNAUTHENTICATED with a status of 5xx: the write may have been carried out all the same."""
    tokens = Tokens()
    async with Hostile([refusal(503, "UNAUTHENTICATED")], otherwise=persisted) as server:
        async with at(server, credentials=tokens, retry=ONCE) as session:
            with pytest.raises(Unauthenticated) as caught:
                await session.create_resource(SOURCE, "practitioner", data={})
            assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == tokens.given == 1


async def test_a_second_401_is_raised() -> None:
    tokens = Tokens()
    async with (
        Hostile(otherwise=refusal(401, "UNAUTHENTICATED")) as server,
        at(server, credentials=tokens) as session,
    ):
        with pytest.raises(Unauthenticated):
            await create(session)
        assert len(server.requests) == tokens.given == 2


async def test_calls_refused_together_ask_the_source_once() -> None:
    tokens = Tokens()
    script = [after(0.5, refusal(401, "UNAUTHENTICATED"))] * 10
    async with Hostile(script, otherwise=persisted) as server, at(server, credentials=tokens) as session:
        await asyncio.gather(*(create(session, f"p{number}") for number in range(10)))
        assert tokens.given == 2


async def test_a_fixed_credential_is_not_sent_again_after_a_401() -> None:
    async with Hostile([refusal(401, "UNAUTHENTICATED")]) as server, at(server, api_key="k") as session:
        with pytest.raises(Unauthenticated):
            await create(session)
        assert len(server.requests) == 1


async def test_polls_ask_the_source_again_too() -> None:
    tokens = Tokens()
    looks = iter([refusal(401, "UNAUTHENTICATED"), task("SUCCESS")])

    async def poll(peer: Any, seen: Any) -> None:
        await next(looks)(peer, seen)

    script = by_target({"/tasks/": [poll, poll], "POST": [accepted()]})
    async with Hostile(otherwise=script) as server, at(server, credentials=tokens) as session:
        snapshot = await (await create(session)).wait()
        assert snapshot.status == "SUCCESS"
        assert tokens.given == 2


@pytest.mark.parametrize("given", [None, 7, {"Authorization": "a\r\nX: y"}, {"Authorization": 7}])
async def test_a_source_that_gives_no_headers_is_a_config_error(given: Any) -> None:
    async with Hostile() as server, at(server, credentials=lambda: given) as session:
        with pytest.raises(ConfigError) as caught:
            await create(session)
        assert "X: y" not in str(caught.value)
        assert not server.requests


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "credential is needed"),
        ({"api_key": None}, "credential is needed"),
        ({"api_key": ""}, "credential is needed"),
        ({"token": ""}, "credential is needed"),
        ({"api_key": "a b"}, "printable ASCII without spaces"),
        ({"token": "a\r\nb"}, "printable ASCII without spaces"),
        ({"api_key": 7}, "printable ASCII without spaces"),
        ({"api_key": "k", "token": "t"}, "api_key and token exclude each other"),
        ({"token": "t", "credentials": str}, "token and credentials exclude each other"),
        ({"credentials": "t"}, "must be a function"),
        ({"api_key": "k", "headers": {"X-Clinia-API-Key": "x"}}, "the session sets it itself"),
        ({"api_key": "k", "headers": {"content-length": "1"}}, "the session sets it itself"),
        ({"api_key": "k", "headers": {"a b": "x"}}, "name that HTTP does not allow"),
        ({"api_key": "k", "headers": {"a": "x\r\ny"}}, "printable ASCII"),
        ({"api_key": "k", "headers": {"a": 7}}, "printable ASCII"),
        ({"api_key": "k", "headers": ["a"]}, "mapping"),
        ({"api_key": "k", "proxy": "localhost:3128"}, "proxy must be"),
        ({"api_key": "k", "proxy": "socks5://localhost"}, "proxy must be"),
        ({"api_key": "k", "proxy": 7}, "proxy must be"),
    ],
)
def test_wrong_credentials_headers_and_proxies_are_refused(options: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Session("acme", **options)


async def test_more_headers_go_with_every_request() -> None:
    more = {"X-Tenant": "north", "User-Agent": "our-service/2"}
    async with Hostile(otherwise=persisted) as server, at(server, api_key="k", headers=more) as session:
        await create(session)
        await create(session, data={"note": "x" * 40_000})
        for request in server.requests:
            assert (request.header("X-Tenant"), request.header("User-Agent")) == ("north", "our-service/2")


async def test_the_user_agent_names_the_version() -> None:
    async with Hostile(otherwise=persisted) as server, session_at(server) as session:
        await create(session)
        assert server.requests[0].header("User-Agent") == f"clinia-async/{clinia_async.__version__}"


async def test_requests_go_through_the_proxy_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with Hostile(otherwise=persisted) as proxy:
        url = proxy.url.replace("http://", "http://user:word@")
        async with Session(api_key="k", base_url="http://localhost:9", proxy=url, retry=ONCE) as session:
            await create(session)
    (request,) = proxy.requests
    assert request.target.startswith(f"http://localhost:9/sources/{SOURCE}/")
    assert request.header("Proxy-Authorization") == "Basic dXNlcjp3b3Jk"


@pytest.mark.parametrize("kind", ["api_key", "token", "credentials"])
async def test_no_credential_of_the_service_is_sent_to_a_proxy(kind: str) -> None:
    """Neither where it opens a tunnel, nor where it refuses to: it is asked in the clear."""
    credential: Any = (
        (lambda: {"Authorization": "Bearer very-secret"}) if kind == "credentials" else "very-secret"
    )
    async with Hostile(otherwise=reply(407)) as proxy:
        options = {kind: credential, "proxy": proxy.url, "headers": {"X-Tenant": "very-secret"}}
        async with Session(base_url="https://localhost:9", retry=ONCE, **options) as session:
            with pytest.raises(ConnectionFailed) as caught:
                await create(session)
    (request,) = proxy.requests
    assert (request.method, request.target) == ("CONNECT", "localhost:9")
    assert "very-secret" not in str(request.headers)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert ": the proxy does not connect to localhost:9: it says 407; check proxy=" in str(caught.value)


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with Session(
        api_key="k", base_url="https://localhost:9", proxy="http://127.0.0.1:1", retry=ONCE
    ) as session:
        with pytest.raises(
            ConnectionFailed, match=r"cannot connect to the proxy 127\.0\.0\.1:1: Connection refused"
        ):
            await create(session)
