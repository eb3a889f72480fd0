"""One attempt on a bad wire: what may have happened is never said to be less than it was."""

import asyncio
import gzip
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import clinia_async
from clinia_async import (
    AlreadyExists,
    ApiError,
    CliniaError,
    ConfigError,
    ConnectionFailed,
    ContentTooLarge,
    DecodeError,
    FailedPrecondition,
    GatewayError,
    Internal,
    InvalidArgument,
    NotFound,
    Outcome,
    OutOfRange,
    PermissionDenied,
    ProtocolError,
    RedirectRefused,
    RequestError,
    RequestTimeout,
    Session,
    TransportOptions,
    Unauthenticated,
    Unimplemented,
)
from tests.factories import (
    ID,
    ONCE,
    SOURCE,
    TYPE,
    create,
    create_partition,
    record,
    refusing_socket,
    session_at,
    url_of,
    write,
)
from tests.hostile import (
    Behaviour,
    Hostile,
    Peer,
    Seen,
    after,
    answer,
    by_target,
    chunked,
    close,
    endless,
    head,
    persisted,
    persisted_document,
    raw,
    redirect,
    refusal,
    reply,
    reset,
    stall,
    trickled,
)

pytestmark = pytest.mark.usefixtures("each_way_through_aiohttp")

SELF_SIGNED = Path(__file__).with_name("self_signed.pem")
RECORD = b'{"status":"PERSISTED","taskId":"s_1","relationship":'


def whole(seen: Seen) -> bytes:
    import json

    return json.dumps(
        {"status": "PERSISTED", "taskId": "s_1", "relationship": persisted_document(seen)}
    ).encode()


def made_of(build: Any) -> Behaviour:
    async def behave(peer: Peer, seen: Seen) -> None:
        await peer.send(build(whole(seen)))

    return behave


def upper(text: bytes) -> bytes:
    return text.replace(b"s_1", b"../x")


UNKNOWN: dict[str, tuple[Behaviour, type[RequestError]]] = {
    "close": (close, ConnectionFailed),
    "reset": (reset, ConnectionFailed),
    "stall": (stall, RequestTimeout),
    "half a status line": (raw(b"HTTP/1.1 20"), ConnectionFailed),
    "bad status line": (raw(b"BANANA\r\n\r\n"), ProtocolError),
    "not HTTP": (raw(b"220 smtp.example.com ESMTP\r\n"), ProtocolError),
    "negative length": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), ProtocolError),
    "two lengths": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ProtocolError,
    ),
    "a header of 20 kB": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"), ProtocolError),
    "headers without end": (raw(b"HTTP/1.1 200 OK\r\nX: y\r\n"), ConnectionFailed),
    "a space in a header name": (
        raw(b"HTTP/1.1 200 OK\r\nX Y : 1\r\nContent-Length: 0\r\n\r\n"),
        ProtocolError,
    ),
    "bad chunk size": (
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ProtocolError,
    ),
    "chunks cut short": (chunked(b'{"status":', end=b""), ProtocolError),
    "a length cut short": (raw(head(201, length=500) + RECORD), ProtocolError),
    "cut at the end of the connection": (raw(head(201) + RECORD), DecodeError),
    "empty": (reply(200), DecodeError),
    "no content": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), DecodeError),
    "a protocol switch": (
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        ProtocolError,
    ),
    "HTML": (reply(200, b"<html>log in</html>", kind="text/html"), DecodeError),
    "null": (reply(200, b"null"), DecodeError),
    "a list": (reply(200, b"[]"), DecodeError),
    "a string": (reply(200, b'"x"'), DecodeError),
    "a number": (reply(200, b"1"), DecodeError),
    "NaN": (reply(200, b'{"status":"PERSISTED","relationship":NaN}'), DecodeError),
    "a byte order mark": (reply(200, b"\xef\xbb\xbf{}"), DecodeError),
    "UTF-16": (reply(200, '{"status":"ACCEPTED","taskId":"s_1"}'.encode("utf-16")), DecodeError),
    "deep": (reply(200, b'{"a":' * 100_000), DecodeError),
    "no status": (answer({"taskId": "s_1"}), DecodeError),
    "status of lower case": (answer({"status": "persisted", "taskId": "s_1"}), ProtocolError),
    "unknown status": (answer({"status": "QUEUED", "taskId": "s_1"}), ProtocolError),
    "status of another type": (answer({"status": 1, "taskId": "s_1"}), DecodeError),
    "accepted without an id": (answer({"status": "ACCEPTED"}), ProtocolError),
    "an empty task id": (answer({"status": "ACCEPTED", "taskId": ""}), ProtocolError),
    "a task id of 10 kB": (answer({"status": "ACCEPTED", "taskId": "s" * 10_000}), ProtocolError),
    "a task id that climbs": (answer({"status": "ACCEPTED", "taskId": "../x"}), ProtocolError),
    "a task id with a line": (answer({"status": "ACCEPTED", "taskId": "s_1\r\nX: y"}), ProtocolError),
    "a task id with NUL": (answer({"status": "ACCEPTED", "taskId": "s_\0"}), ProtocolError),
    "persisted without a record": (answer({"status": "PERSISTED", "taskId": "s_1"}), ProtocolError),
    "another record": (
        answer({"status": "PERSISTED", "relationship": {**record(), "id": "a.b"}}),
        ProtocolError,
    ),
    "other ends": (
        answer(
            {"status": "PERSISTED", "relationship": {**record(), "to": {"id": "org-9", "type": "clinic"}}}
        ),
        ProtocolError,
    ),
    "a length of 10^15": (raw(head(200, length=10**15)), ProtocolError),
    "an unknown encoding": (reply(200, b"\x00\x01", {"Content-Encoding": "exi"}), ProtocolError),
    "a corrupt encoding": (reply(200, b"not gzip", {"Content-Encoding": "gzip"}), ProtocolError),
    "a cut encoding": (
        reply(200, gzip.compress(b"{}" * 500)[:20], {"Content-Encoding": "gzip"}),
        RequestError,
    ),
    "301": (redirect(301, "/x"), RedirectRefused),
    "304": (raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), RedirectRefused),
    "408": (refusal(408), ApiError),
    "500": (refusal(500, "INTERNAL"), Internal),
    "502": (reply(502, b"<html>bad gateway</html>", kind="text/html"), ApiError),
    "503": (refusal(503), ApiError),
    "504": (refusal(504), ApiError),
    "520": (reply(520, b""), ApiError),
    "499": (refusal(499), ApiError),
    "401 in HTML": (reply(401, b"<html>", kind="text/html"), GatewayError),
    "403 in HTML": (reply(403, b"<html>", kind="text/html"), GatewayError),
    "404 without a word": (reply(404), GatewayError),
    "405 in HTML": (reply(405, b"<html>", kind="text/html"), GatewayError),
    "JSON of another": (answer({"message": "Forbidden"}, 403), GatewayError),
    "JSON of RFC 9457": (answer({"type": "about:blank", "title": "no", "status": 403}, 403), GatewayError),
    "a corrupt envelope": (reply(400, b"not gzip", {"Content-Encoding": "gzip"}), GatewayError),
    "an envelope cut short": (raw(head(400, length=500) + b'{"type":'), GatewayError),
    "401 cut short": (raw(head(401, length=500) + b'{"type":'), GatewayError),
    "an envelope as deep as the sea": (
        reply(400, b'{"details":[' * 450 + b"{}" + b"]}" * 450),
        GatewayError,
    ),
    "an envelope of 1 MB": (reply(400, b'{"message":"' + b"x" * 2**20 + b'"}'), GatewayError),
    "500 that says NOT_FOUND": (refusal(500, "NOT_FOUND"), NotFound),
}
REJECTED: dict[str, tuple[Behaviour, type[RequestError]]] = {
    "400": (refusal(400, "INVALID_ARGUMENT"), InvalidArgument),
    "out of range": (refusal(400, "OUT_OF_RANGE"), OutOfRange),
    "precondition": (refusal(412, "FAILED_PRECONDITION"), FailedPrecondition),
    "401": (refusal(401, "UNAUTHENTICATED"), Unauthenticated),
    "402": (refusal(402, "PAYMENT_REQUIRED"), ApiError),
    "406": (refusal(406), ApiError),
    "415": (refusal(415, "UNSUPPORTED_MEDIA_TYPE"), ApiError),
    "418": (refusal(418), ApiError),
    "423": (refusal(423), ApiError),
    "501": (refusal(501, "UNIMPLEMENTED"), Unimplemented),
    "an envelope without details": (answer({"type": "INVALID_ARGUMENT"}, 400), InvalidArgument),
    "an envelope with null details": (
        answer({"type": "INVALID_ARGUMENT", "code": 400, "message": "no", "details": None}, 400),
        InvalidArgument,
    ),
    "an envelope with odd details": (
        answer({"type": "INVALID_ARGUMENT", "code": 400, "message": "no", "details": ["text"]}, 400),
        InvalidArgument,
    ),
    "an envelope behind a byte order mark": (
        reply(400, b'\xef\xbb\xbf{"type":"INVALID_ARGUMENT"}'),
        InvalidArgument,
    ),
    "403": (refusal(403), PermissionDenied),
    "404": (refusal(404, "NOT_FOUND"), NotFound),
    "405": (refusal(405), ApiError),
    "409": (refusal(409, "ALREADY_EXISTS"), AlreadyExists),
    "exists with 400": (refusal(400, "ALREADY_EXISTS"), AlreadyExists),
    "409 without a type": (refusal(409), ApiError),
    "413": (reply(413, b"too much", kind="text/plain"), ContentTooLarge),
    "422": (refusal(422, "SOMETHING_NEW"), ApiError),
    "429": (refusal(429), ApiError),
    "429 in HTML": (reply(429, b"<html>", kind="text/html"), GatewayError),
    "425": (refusal(425), ApiError),
    "431": (refusal(431), ApiError),
    "307": (redirect(307, "/x"), RedirectRefused),
    "308": (redirect(308, "/x"), RedirectRefused),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_brings_no_answer_to_rely_on_is_unknown(name: str) -> None:
    behaviour, kind = UNKNOWN[name]
    async with Hostile([behaviour, persisted]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(kind) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1
        assert (await create(session)).done()


@pytest.mark.parametrize("name", REJECTED)
async def test_a_well_formed_no_is_rejected(name: str) -> None:
    behaviour, kind = REJECTED[name]
    async with Hostile([behaviour, persisted]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(kind) as caught:
            await create(session)
        assert type(caught.value) is kind
        assert caught.value.outcome is Outcome.REJECTED
        assert len(server.requests) == 1
        assert (await create(session)).done()


@pytest.mark.parametrize(
    "name",
    [
        "close",
        "reset",
        "bad status line",
        "empty",
        "503",
        "a length cut short",
        "another record",
        "HTML",
        "408",
    ],
)
@pytest.mark.parametrize("call", ["bulk", "partition", "get"])
async def test_every_call_maps_the_same(call: str, name: str) -> None:
    behaviour, kind = UNKNOWN[name]
    async with Hostile([behaviour]) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises((kind, ProtocolError)) as caught:  # noqa: PT012  one call of several
            match call:
                case "bulk":
                    await session.bulk(SOURCE, [write()])
                    if name == "another record":
                        raise ProtocolError("a bulk has no record to compare")
                case "partition":
                    await create_partition(session)
                    if name == "another record":
                        raise ProtocolError("its key is optional in an answer, and so nothing is to compare")
                case _:
                    await session.get_relationship(SOURCE, TYPE, ID)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "status"), [("bad status line", 400), ("bad chunk size", 400)])
async def test_what_aiohttp_calls_a_400_is_none(name: str, status: int) -> None:
    """Pinned: this is how the client library reports an answer that it cannot parse."""
    async with Hostile([UNKNOWN[name][0]]) as server, aiohttp.ClientSession() as client:
        with pytest.raises((aiohttp.ClientResponseError, aiohttp.ClientPayloadError)) as caught:
            await (await client.post(server.url, data=b"x")).read()
        assert getattr(caught.value, "status", status) == status


async def test_once_an_answer_was_lost_no_refusal_proves_anything() -> None:
    async with Hostile([close, refusal(400, "INVALID_ARGUMENT")]) as server, session_at(server) as session:
        with pytest.raises(InvalidArgument) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 2


@pytest.mark.parametrize("first", [refusal(429, headers={"Retry-After": "1"}), refusal(425)])
async def test_a_refusal_after_mere_refusals_is_rejected(first: Behaviour) -> None:
    async with Hostile([first, refusal(400, "INVALID_ARGUMENT")]) as server, session_at(server) as session:
        with pytest.raises(InvalidArgument) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.REJECTED


async def test_a_refused_connection_is_not_sent() -> None:
    with refusing_socket() as bound:
        async with Session(api_key="k", base_url=url_of(bound)) as session:
            with pytest.raises(ConnectionFailed) as caught:
                await create(session)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert caught.value.__cause__.__traceback__ is None
        assert f"127.0.0.1:{bound.getsockname()[1]}: Connection refused" in str(caught.value)
        assert caught.value.__context__ is None


async def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    async with Session(api_key="k", base_url="https://nowhere.invalid", retry=ONCE) as session:
        with pytest.raises(ConnectionFailed) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.NOT_SENT


async def test_plain_http_behind_https_is_not_sent_and_not_tried_again() -> None:
    async with Hostile(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        async with Session(api_key="k", base_url=f"https://127.0.0.1:{server.port}") as session:
            with pytest.raises(ConnectionFailed) as caught:
                await create(session)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert server.connections == 1


async def test_a_stalled_handshake_is_not_sent() -> None:
    loop = asyncio.get_running_loop()
    async with Hostile(mute=True) as server:
        url = f"https://127.0.0.1:{server.port}"
        async with Session(
            api_key="k", base_url=url, retry=ONCE, transport=TransportOptions(connect=3)
        ) as session:
            began = loop.time()
            with pytest.raises(RequestError) as caught:
                await create(session)
            assert caught.value.outcome is Outcome.NOT_SENT
            assert loop.time() - began < 31


async def test_a_certificate_that_nobody_signed_is_not_sent_and_not_tried_again() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SELF_SIGNED)
    async with Hostile(tls=tls) as server, session_at(server) as session:
        with pytest.raises(ConnectionFailed) as caught:
            await create(session)
        assert caught.value.outcome is Outcome.NOT_SENT
        assert not caught.value.transient
        assert server.requests == []


async def test_waiting_for_a_connection_is_not_sent() -> None:
    wire = TransportOptions(connections=1, attempt=5)
    async with (
        Hostile(otherwise=stall) as server,
        session_at(server, retry=ONCE, transport=TransportOptions(connections=1, attempt=50)) as session,
    ):
        first = asyncio.ensure_future(create(session))
        await asyncio.sleep(0.1)
        with pytest.raises(RequestTimeout) as caught:
            await create(session, "other", timeout=wire.attempt)
        assert caught.value.outcome is Outcome.NOT_SENT
        with pytest.raises(RequestTimeout) as blocked:
            await first
        assert blocked.value.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1
        server.otherwise = persisted
        assert (await create(session)).done()


@pytest.mark.parametrize(
    "behaviour",
    [
        stall,
        trickled(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 4000),
        trickled(head(200, length=10**6) + b" " * 4000, step=1, pause=0.2),
        chunked(b"{", end=b""),
        raw(head(200, length=10), keep=True),
    ],
)
async def test_a_deadline_bounds_the_whole_call(behaviour: Behaviour) -> None:
    loop = asyncio.get_running_loop()

    async def hold(peer: Peer, seen: Seen) -> None:
        await behaviour(peer, seen)
        await stall(peer, seen)

    async with Hostile(otherwise=hold) as server, session_at(server) as session:
        began = loop.time()
        with pytest.raises(RequestTimeout) as caught:
            await create(session, timeout=7)
        assert loop.time() - began == pytest.approx(7, abs=0.05)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert isinstance(caught.value, TimeoutError)


async def test_a_deadline_of_nothing_is_no_deadline_of_a_minute() -> None:
    loop = asyncio.get_running_loop()
    async with Hostile(otherwise=stall) as server, session_at(server) as session:
        began = loop.time()
        with pytest.raises(RequestTimeout):
            await create(session, timeout=0)
        assert loop.time() - began < 0.1


async def test_one_attempt_is_bounded_too() -> None:
    loop = asyncio.get_running_loop()
    async with (
        Hostile([stall, persisted]) as server,
        session_at(server, transport=TransportOptions(attempt=5)) as session,
    ):
        began = loop.time()
        assert (await create(session)).maybe_applied
        assert 5 <= loop.time() - began < 7
        assert len(server.requests) == 2


async def test_a_large_body_gets_the_time_that_it_needs() -> None:
    loop = asyncio.get_running_loop()
    wire = TransportOptions(attempt=10, slowest=1000)
    async with (
        Hostile([after(95, persisted), after(95, persisted)]) as server,
        session_at(server, transport=wire, timeout=20, retry=ONCE) as session,
    ):
        began = loop.time()
        assert (await create(session, data={"text": "x" * 100_000})).done()
        assert loop.time() - began > 90
        with pytest.raises(RequestTimeout):
            await create(session, data={"text": "x" * 100_000}, timeout=15)
        assert loop.time() - began < 115


async def test_a_peer_that_stops_reading_ends_at_the_deadline() -> None:
    loop = asyncio.get_running_loop()
    async with Hostile(mute=True) as server, session_at(server, retry=ONCE) as session:
        began = loop.time()
        with pytest.raises(RequestTimeout) as caught:
            await create(session, data={"text": "x" * 30_000_000}, timeout=600)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert loop.time() - began <= 600.1


@pytest.mark.parametrize("status", [401, 413])
@pytest.mark.parametrize("then", [b"", b"x"])
async def test_an_answer_while_the_body_is_still_going_out(status: int, then: bytes) -> None:
    async def early(peer: Peer, seen: Seen) -> None:
        await refusal(status)(peer, seen)
        if then:
            await asyncio.sleep(1)
            peer.reset()
        else:
            await stall(peer, seen)

    async with Hostile([early], before_body=True) as server, session_at(server, retry=ONCE) as session:
        with pytest.raises(RequestError) as caught:
            await create(session, data={"text": "x" * 30_000_000})
        assert getattr(caught.value, "status", status) == status
        assert caught.value.outcome in {Outcome.REJECTED, Outcome.UNKNOWN}
        assert isinstance(caught.value, ApiError)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs a list of open files")
@pytest.mark.parametrize("answered", [False, True])
async def test_a_peer_that_stops_reading_does_not_hold_a_connection_open(answered: bool) -> None:
    """A transport that outlives its loop warns."""

    async def early(peer: Peer, seen: Seen) -> None:
        await refusal(401)(peer, seen)
        await stall(peer, seen)

    async with Hostile([early], before_body=True, mute=not answered) as server:
        before = _open_files()
        async with session_at(server, retry=ONCE) as session:
            with pytest.raises(RequestError):
                await create(session, data={"text": "x" * 30_000_000})
        await asyncio.sleep(0)
        assert _open_files() == before + 1  # that of the server


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


# What is odd and fine


@pytest.mark.parametrize("status", [200, 201, 202, 299])
async def test_any_good_status_will_do(status: int) -> None:
    async def behave(peer: Peer, seen: Seen) -> None:
        await reply(status, whole(seen))(peer, seen)

    async with Hostile([behave]) as server, session_at(server) as session:
        assert (await create(session)).done()


@pytest.mark.parametrize(
    "build",
    [
        lambda body: b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + head(201, length=len(body)) + body,
        lambda body: b"HTTP/1.0 201 Created\r\nConnection: close\r\n\r\n" + body,
        lambda body: head(201) + body,
        lambda body: head(201, {"Content-Type": "text/html"}, length=len(body)) + body,
        lambda body: (
            head(201, {"Content-Encoding": "gzip"}, length=len(gzip.compress(body))) + gzip.compress(body)
        ),
        lambda body: head(201, {"Content-Encoding": "deflate", "Connection": "close"}) + zlib.compress(body),
        lambda body: (
            head(201, {"Transfer-Encoding": "chunked"})
            + b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            + b"0\r\n\r\n"
        ),
        lambda body: head(201, length=len(body) + 4) + b" \r\n\t" + body,
        lambda body: (
            head(201, {"Set-Cookie": "a=b; Path=/", "Alt-Svc": 'h3=":443"'}, length=len(body)) + body
        ),
    ],
)
async def test_unusual_and_fine(build: Any) -> None:
    async with Hostile([made_of(build), persisted]) as server, session_at(server, retry=ONCE) as session:
        made = await create(session, data={"text": "é"})
        assert (await made).data == {"text": "é"}
        assert (await create(session)).done()


async def test_byte_by_byte() -> None:
    async def behave(peer: Peer, seen: Seen) -> None:
        body = whole(seen)
        await trickled(head(201, length=len(body)) + body, pause=0.001)(peer, seen)

    async with Hostile([behave]) as server, session_at(server) as session:
        assert (await create(session)).done()


async def test_unknown_fields_and_an_old_id() -> None:
    odd = {"status": "ACCEPTED", "bulkId": "x", "surprise": [{"deep": None}]}
    async with Hostile([answer(odd, 202)]) as server, session_at(server) as session:
        bulk = await session.bulk(SOURCE, [write()])
        assert (str(bulk.id), bulk.kind) == ("x", "legacy")


async def test_the_task_id_wins_over_the_old_one() -> None:
    async with (
        Hostile([answer({"status": "ACCEPTED", "taskId": "bk_1", "bulkId": "bk_2"})]) as server,
        session_at(server) as session,
    ):
        assert str((await session.bulk(SOURCE, [write()])).id) == "bk_1"


async def test_accepted_with_a_record_is_not_persisted() -> None:
    async with (
        Hostile([answer({"status": "ACCEPTED", "taskId": "s_1", "relationship": record()})]) as server,
        session_at(server) as session,
    ):
        assert not (await create(session)).done()


# Size


@pytest.mark.parametrize(
    "bomb",
    [
        reply(200, gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}),
        reply(200, gzip.compress(gzip.compress(b" " * 50_000_000)), {"Content-Encoding": "gzip, gzip"}),
        reply(200, gzip.compress(b" " * 1_000_000) * 50, {"Content-Encoding": "gzip"}),
        reply(200, zlib.compress(b" " * 50_000_000), {"Content-Encoding": "deflate"}),
        endless(head(200, {"Transfer-Encoding": "chunked"}), b"10000\r\n%s\r\n" % (b" " * 65536)),
        endless(head(200), b" " * 65536),
        endless(head(200, length=10**9), b" " * 65536),
        endless(head(200, length=100), b" " * 65536),
        endless(head(200, {"Content-Encoding": "gzip"}), gzip.compress(b" " * 65536)),
        reply(400, gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}),
    ],
)
async def test_an_answer_is_bounded_after_inflation(bomb: Behaviour) -> None:
    async with (
        Hostile([bomb, persisted]) as server,
        session_at(server, retry=ONCE, transport=TransportOptions(largest_answer=2_000_000)) as session,
    ):
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        try:
            with pytest.raises(RequestError) as caught:
                await create(session)
            grown = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
        assert isinstance(caught.value, ProtocolError | ApiError)
        assert grown < 12_000_000
        assert (await create(session)).done()


# Connections


@asynccontextmanager
async def idle_then_dropped(script: list[Behaviour]) -> AsyncIterator[tuple[Hostile, Session]]:
    """A session whose one idle connection the server drops at the very moment of the next request."""

    async def answer_and_drop_at_the_next(peer: Peer, seen: Seen) -> None:
        await persisted(peer, seen)

    async with (
        Hostile([answer_and_drop_at_the_next, *script]) as server,
        session_at(server, retry=ONCE) as session,
    ):
        await create(session, "warm-up")
        yield server, session


@pytest.mark.parametrize("drop", [close, reset])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_nothing_is_sent_again_behind_our_back(method: str, drop: Behaviour) -> None:
    """The client library would repeat GET and PUT once by itself when a kept connection is dropped."""
    async with idle_then_dropped([drop, drop]) as (server, session):
        with pytest.raises(ConnectionFailed) as caught:  # noqa: PT012  one call of several
            match method:
                case "POST":
                    await create(session)
                case "PUT":
                    await create_partition(session)
                case _:
                    await session.get_relationship(SOURCE, TYPE, ID)
        assert caught.value.outcome is Outcome.UNKNOWN
        assert server.requests[0].connection == server.requests[1].connection
        assert len(server.requests) == 2


async def test_the_switch_of_the_client_library_is_still_there() -> None:
    async with aiohttp.ClientSession() as client:
        assert client._retry_connection is True
    async with Hostile() as server, session_at(server) as session:
        assert session._engine.open().transport._client._retry_connection is False


async def test_connections_are_kept_after_refusals() -> None:
    async with Hostile([refusal(404), refusal(409, "ALREADY_EXISTS"), refusal(422), persisted]) as server:
        async with session_at(server) as session:
            for _ in range(3):
                with pytest.raises(ApiError):
                    await create(session)
            await create(session)
        assert server.connections == 1


@pytest.mark.parametrize("late", [False, True])
async def test_what_follows_an_answer_is_not_the_next_answer(late: bool) -> None:
    stale = head(201, length=2) + b"{}"

    async def answer_and_more(peer: Peer, seen: Seen) -> None:
        body = whole(seen)
        first = head(201, length=len(body)) + body
        if late:
            await peer.send(first)
            await asyncio.sleep(0.5)
            await peer.send(stale)
        else:
            await peer.send(first + stale)
        peer.keep = True

    async with Hostile([answer_and_more], otherwise=persisted) as server, session_at(server) as session:
        assert (await (await create(session, "a"))).from_.id == "a"
        await asyncio.sleep(1)
        assert (await (await create(session, "b"))).from_.id == "b"
        assert (await (await create(session, "c"))).from_.id == "c"


async def test_a_cancelled_call_leaves_no_answer_for_another() -> None:
    script = by_target({"GET": [after(1, answer(record()))], "POST": [persisted]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        for number in range(20):
            read = asyncio.ensure_future(session.get_relationship(SOURCE, TYPE, f"x{number}.y"))
            await asyncio.sleep(0.9)
            read.cancel()
            await asyncio.gather(read, return_exceptions=True)
            assert (await (await create(session, f"p{number}"))).from_.id == f"p{number}"


async def test_connections_do_not_pile_up() -> None:
    async def http10(peer: Peer, seen: Seen) -> None:
        await peer.send(b"HTTP/1.0 201 Created\r\nConnection: close\r\n\r\n" + whole(seen))

    async with Hostile(otherwise=http10) as server, session_at(server) as session:
        for number in range(30):
            await create(session, f"p{number}")
        assert server.connections == 30
        assert not session._engine.open().transport._client.connector._acquired  # type: ignore[union-attr]


# Surroundings


async def test_cookies_are_never_sent_back() -> None:
    async def biscuit(peer: Peer, seen: Seen) -> None:
        await reply(201, whole(seen), {"Set-Cookie": "session=evil; Path=/"})(peer, seen)

    async with Hostile(otherwise=biscuit) as server, session_at(server) as session:
        await create(session, "a")
        await create(session, "b")
        assert [request.header("Cookie") for request in server.requests] == [None, None]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
async def test_proxies_of_the_environment_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with Hostile() as proxy, Hostile([persisted]) as server:
        monkeypatch.setenv(name, proxy.url)
        async with session_at(server) as session:
            await create(session)
        assert proxy.connections == 0


async def test_netrc_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with Hostile([persisted]) as server, session_at(server) as session:
        await create(session)
        assert server.requests[0].header("Authorization") is None


async def test_a_borrowed_session_lends_its_connections_and_no_more() -> None:
    started: list[str] = []
    trace = aiohttp.TraceConfig()

    async def note(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        started.append(params.method)

    trace.on_request_start.append(note)
    borrowed = aiohttp.ClientSession(
        headers={"X-Theirs": "1", "Authorization": "Bearer theirs"},
        cookies={"theirs": "1"},
        trace_configs=[trace],
        connector=aiohttp.TCPConnector(limit=1),
    )
    async with borrowed, Hostile(otherwise=after(1, persisted)) as server:
        async with session_at(server, http_session=borrowed) as session:
            await asyncio.gather(create(session, "a"), create(session, "b"))
            assert server.most_in_flight == 1
            assert server.connections == 1
            for request in server.requests:
                assert (
                    request.header("X-Theirs")
                    is request.header("Authorization")
                    is request.header("Cookie")
                    is None
                )
                assert request.header("X-Clinia-API-Key")
        assert started == ["POST", "POST"]
        assert not borrowed.closed
        async with borrowed.post(server.url + "/x/y", data=server.requests[0].body) as response:
            assert response.status == 201
        assert server.requests[-1].header("X-Clinia-API-Key") is None
        assert server.connections == 1


async def test_a_borrowed_session_that_is_closed_is_refused() -> None:
    borrowed = aiohttp.ClientSession()
    await borrowed.close()
    session = Session(api_key="k", base_url="http://127.0.0.1:1", http_session=borrowed)
    with pytest.raises(ConfigError):
        await create(session)
    await session.aclose()


async def test_what_goes_out() -> None:
    script = [persisted, refusal(400), answer({"status": "PENDING"})]
    async with (
        Hostile(script) as server,
        Session(api_key="the-key", base_url=server.url + "/prefix/") as session,
    ):
        await create(session, "a b/é%", data={"x": [1, 2.5, None, "é"]})
        with pytest.raises(CliniaError):
            await create_partition(session, stage=True)
        await session.get_task(SOURCE, "purge:a%b", with_receipts=True)
    first, second, third = server.requests
    assert (first.method, first.target) == ("POST", "/prefix/sources/ehr/v1/relationships/practises-at")
    assert first.header("X-Clinia-API-Key") == "the-key"
    assert first.header("Content-Type") == first.header("Accept") == "application/json"
    assert first.header("Content-Length") == str(len(first.body))
    assert first.header("User-Agent") == f"clinia-async/{clinia_async.__version__}"
    assert first.json() == {
        "from": {"id": "a b/é%", "type": "practitioner"},
        "to": {"id": "org-9", "type": "organization"},
        "data": {"x": [1, 2.5, None, "é"]},
    }
    assert (second.method, second.target) == ("PUT", "/prefix/catalog/v1/partitions/clinics?stage=true")
    assert (third.method, third.target) == (
        "GET",
        "/prefix/sources/ehr/v1/tasks/purge%3Aa%25b?withReceipts=true",
    )
    assert third.body == b""


async def test_an_id_reaches_the_server_unchanged() -> None:
    from urllib.parse import unquote

    ids = [
        "a/../b",
        "a%2e%2e",
        "a?b#c",
        "é名\u00a0",
        "sys:val:use",
        "a b",
        "..a",
        "a..",
        "-",
        "~",
        "a&b=c",
        "'\"<>|\\",
    ]
    async with Hostile(otherwise=refusal(404, "NOT_FOUND")) as server, session_at(server) as session:
        for identifier in ids:
            with pytest.raises(NotFound):
                await session.get_relationship(SOURCE, TYPE, identifier)
    prefix = f"/sources/{SOURCE}/v1/relationships/{TYPE}/"
    assert [unquote(request.target.removeprefix(prefix)) for request in server.requests] == ids
    assert all(request.target.count("/") == prefix.count("/") for request in server.requests)
