"""One connection after the other: no answer for another request, and errors that say where and why."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from clinia_async import (
    ConnectionFailed,
    InvalidArgument,
    Outcome,
    RequestError,
    RequestTimeout,
    Session,
    TransportOptions,
)
from clinia_async.transport.connections import Connector
from tests.factories import ID, ONCE, SOURCE, TYPE, create, record, session_at, url_of
from tests.hostile import Behaviour, Hostile, Peer, Seen, answer, head, raw, refusal, reply, stall

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp")

WELL_FORMED_FOR_A_DELETE = json.dumps({"taskId": "s_1", "status": "PERSISTED"}).encode()


def with_stray_answer(behaviour: Behaviour) -> Behaviour:
    """Answer, and while the connection idles send an answer that is well-formed for the next request."""

    async def behave(peer: Peer, seen: Seen) -> None:
        await behaviour(peer, seen)
        await asyncio.sleep(0.05)
        await peer.send(head(200, length=len(WELL_FORMED_FOR_A_DELETE)) + WELL_FORMED_FOR_A_DELETE)

    return behave


@asynccontextmanager
async def session_with(http: str, url: str) -> AsyncIterator[Session]:
    if http == "own":
        async with Session(api_key="k", base_url=url) as session:
            yield session
        return
    async with (
        aiohttp.ClientSession() as client,
        Session(api_key="k", base_url=url, http_session=client) as session,
    ):
        yield session


@pytest.mark.parametrize("http", ["own", "borrowed"])
async def test_a_connection_with_an_unread_answer_is_not_used_again(http: str) -> None:
    script = [with_stray_answer(answer(record())), refusal(400, "INVALID_ARGUMENT")]
    async with Hostile(script) as server, session_with(http, server.url) as session:
        await session.get_relationship(SOURCE, TYPE, ID)
        await asyncio.sleep(1)
        with pytest.raises(InvalidArgument) as caught:
            await session.delete_relationship(SOURCE, TYPE, ID)
        assert caught.value.outcome is Outcome.REJECTED
        assert server.connections == 2
        assert [request.method for request in server.requests] == ["GET", "DELETE"]


class StallingConnector(Connector):
    """Never finds a connection."""

    async def _create_connection(self, *_: object) -> aiohttp.client_proto.ResponseHandler:
        await asyncio.sleep(1e6)
        raise AssertionError


@pytest.mark.parametrize("call", ["get", "delete", "create"])
async def test_a_deadline_that_ends_while_connecting_is_not_sent(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clinia_async.transport.http_transport.Connector", StallingConnector)
    async with Session(api_key="k", base_url="http://127.0.0.1:9", retry=ONCE) as session:
        calls = {
            "get": lambda: session.get_relationship(SOURCE, TYPE, ID, timeout=2),
            "delete": lambda: session.delete_relationship(SOURCE, TYPE, ID, timeout=2),
            "create": lambda: create(session, timeout=2),
        }
        with pytest.raises(RequestTimeout) as caught:
            await calls[call]()
        assert caught.value.outcome is Outcome.NOT_SENT
        assert "127.0.0.1:9" in str(caught.value)


@pytest.mark.parametrize("method", ["get", "delete"])
async def test_a_deadline_that_ends_after_sending_is_unknown(method: str) -> None:
    async with Hostile([stall]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(RequestTimeout) as caught:
            await getattr(session, f"{method}_relationship")(SOURCE, TYPE, ID, timeout=2)
        assert caught.value.outcome is Outcome.UNKNOWN


async def test_connecting_is_bounded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinia_async.transport.http_transport.Connector", StallingConnector)
    loop = asyncio.get_running_loop()
    async with Session(
        api_key="k", base_url="http://127.0.0.1:9", retry=ONCE, transport=TransportOptions(connect=3)
    ) as session:
        began = loop.time()
        with pytest.raises(RequestTimeout) as caught:
            await create(session)
        assert loop.time() - began == pytest.approx(3, abs=0.1)
        assert caught.value.outcome is Outcome.NOT_SENT


PROTOCOL_VERSION = b"\x15\x03\x01\x00\x02\x02\x46"
"""The alert of a server that speaks no version of TLS that is allowed here."""


@pytest.mark.parametrize("alert", [PROTOCOL_VERSION, b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_a_failed_tls_handshake_is_tried_once(alert: bytes) -> None:
    connections = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(100)
        writer.write(alert)
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, Session(api_key="k", base_url=url) as session:
        with pytest.raises(ConnectionFailed, match="no TLS connection to 127") as caught:
            await create(session)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert connections == caught.value.attempts == 1
    assert isinstance(caught.value.__cause__, ssl.SSLError | OSError | None)


class Resolver(aiohttp.abc.AbstractResolver):
    def __init__(self, error: OSError) -> None:
        self.error = error
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[aiohttp.abc.ResolveResult]:
        self.asked += 1
        raise self.error

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("number", "attempts"), [(socket.EAI_NONAME, 1), (socket.EAI_NODATA, 1), (socket.EAI_AGAIN, 5)]
)
async def test_an_unknown_host_fails_within_seconds_and_names_it(
    number: int, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = Resolver(socket.gaierror(number, "Name or service not known"))
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", lambda **_: resolver)
    async with Session("acme", api_key="k") as session:
        began = loop.time()
        with pytest.raises(
            ConnectionFailed, match=r"host name acme\.clinia\.cloud does not resolve"
        ) as caught:
            await create(session)
        assert loop.time() - began < 5
    assert caught.value.outcome is Outcome.NOT_SENT
    assert caught.value.attempts == resolver.asked == attempts
    cause = caught.value.__cause__
    assert isinstance(cause, socket.gaierror)
    assert cause.errno == number
    assert cause.__traceback__ is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Request-Id", "req-17"), ("x-request-id", "req-17"), ("X-Amzn-RequestId", "a-b"), ("CF-Ray", "8f")],
)
async def test_an_error_holds_the_request_id_of_the_answer(name: str, value: str) -> None:
    behaviours = [
        refusal(400, "INVALID_ARGUMENT", headers={name: value}),
        reply(403, b"<html>", {name: value}, kind="text/html"),
        reply(200, b"<html>", {name: value}, kind="text/html"),
        reply(301, b"", {name: value, "Location": "/x"}),
    ]
    async with Hostile(behaviours) as server, session_at(server, retry=ONCE) as session:
        for _ in behaviours:
            with pytest.raises(RequestError) as caught:
                await create(session)
            assert caught.value.request_id == value


async def test_without_an_answer_there_is_no_request_id() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with Session(api_key="k", base_url=url_of(bound), retry=ONCE) as session:
            with pytest.raises(ConnectionFailed) as caught:
                await create(session)
    assert caught.value.request_id is None


async def test_a_request_id_of_unusual_text_is_left_out() -> None:
    script = [reply(400, b"", {"X-Request-Id": "x" * 500})]
    async with Hostile(script) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(RequestError) as caught:
            await create(session)
    assert caught.value.request_id is None


@pytest.mark.parametrize("status", [100, 102, 103, 104, 110, 199])
async def test_an_answer_of_1xx_is_no_answer_whether_its_status_is_known_or_not(status: int) -> None:
    """Only a switch of protocols ends what was asked: RFC 9110, 15.2."""
    body = json.dumps(record()).encode()
    interim = b"HTTP/1.1 %d For Now\r\nLink: </x>\r\n\r\n" % status
    whole = head(200, {"Content-Type": "application/json"}, length=len(body)) + body
    async with Hostile([raw(interim * 3 + whole, keep=True)] * 2) as server, session_at(server) as session:
        for _ in range(2):
            assert (await session.get_relationship(SOURCE, TYPE, ID)).id == ID
        assert len({seen.connection for seen in server.requests}) == 1
