"""Rows 1 to 30: names, connections, TLS, and the bytes of requests and answers on their way."""

import asyncio
import socket
import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinia_async import (
    ChunkLimits,
    ConnectionFailed,
    CreateRelationship,
    Disposition,
    Outcome,
    RequestError,
    RequestTimeout,
    RetryPolicy,
    Session,
    TransportOptions,
)
from clinia_async.emulator import DroppedRequest, Emulator
from tests.factories import KEY, ONCE, SOURCE, refusing_socket, url_of
from tests.hostile import (
    Hostile,
    Peer,
    Seen,
    accepted,
    after,
    answer,
    by_target,
    close,
    head,
    persisted,
    raw,
    refusal,
    reply,
    reset,
    stall,
    task,
    trickled,
)
from tests.ingest.running import ran, session_for, stored_data, writes
from tests.matrix.stage import CALLS, ID, PERSON, Stage, bulk, create, get, not_here, poll, put_partition, row
from tests.matrix.stage import relationship as record

CERTIFICATES = Path(__file__).parent / "certificates"
NOT_SENT, REJECTED, UNKNOWN = Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN
LARGE = {"text": "x" * 20_000_000}


def tls(name: str) -> ssl.SSLContext:
    """Return what a server needs. A loop in debug mode complains of each handshake that a client ends."""
    asyncio.get_running_loop().set_debug(False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


def trust(stage: Stage, name: str) -> None:
    stage.monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / f"{name}.pem"))


def names(stage: Stage, *found: Any) -> list[str]:
    """Answer look-ups of names: with addresses, or with an error; return the names that were asked for."""
    asked: list[str] = []
    plain = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host in {"127.0.0.1", "::1", b"127.0.0.1"}:
            return plain(host, port, *args, **kwargs)
        asked.append(host)
        if isinstance(found[0], Exception):
            raise found[0]
        return [
            (
                family,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, *((0, 0) if family == socket.AF_INET6 else ())),
            )
            for family, address in found
        ]

    stage.monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def session(url: str, **options: Any) -> Session:
    return Session(api_key=KEY, base_url=url, **options)


@row(1, "DNS: no such name; try again")
async def unknown_name(stage: Stage) -> None:
    for code, most in ((socket.EAI_NONAME, 3), (socket.EAI_AGAIN, 10)):
        asked = names(stage, socket.gaierror(code, "words of the system"))
        async with session("https://registry.example") as one:
            for call in CALLS.values():
                asked.clear()
                await stage.fails(call(one), ConnectionFailed, NOT_SENT)
                assert 1 <= len(asked) <= most
        asked.clear()
        async with session("https://registry.example") as one:
            await stage.fails(create(one), ConnectionFailed, NOT_SENT)
            if code == socket.EAI_AGAIN:
                assert len(asked) > 1, "what may pass is tried again"


@row(2, "DNS answers 127.0.0.1 for a public host")
async def rebinding(stage: Stage) -> None:
    names(stage, (socket.AF_INET, "127.0.0.1"))
    trust(stage, "loopback")
    async with Hostile(tls=tls("loopback")) as server:
        async with session(f"https://registry.example:{server.port}") as one:
            await stage.fails(create(one), ConnectionFailed, NOT_SENT)
        assert server.requests == []


@row(3, "IPv6 is a black hole, IPv4 is good")
async def one_family_is_dead(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    names(stage, (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"))
    connect = type(loop).sock_connect

    async def maybe(self: Any, sock: socket.socket, address: Any) -> None:
        if sock.family == socket.AF_INET6:
            await loop.create_future()
        await connect(self, sock, address)

    stage.monkeypatch.setattr(type(loop), "sock_connect", maybe)
    async with Hostile([persisted]) as server, session(f"http://localhost:{server.port}") as one:
        began = loop.time()
        assert (await create(one)).done()
        assert loop.time() - began < TransportOptions().connect


@row(4, "the connection is refused")
async def refused(stage: Stage) -> None:
    with refusing_socket() as bound:
        async with session(url_of(bound)) as one:
            for call in CALLS.values():
                await stage.fails(call(one), ConnectionFailed, NOT_SENT)


@contextmanager
def black_hole() -> Iterator[str]:
    """A port whose backlog is full: connections are neither accepted nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        held = [socket.socket() for _ in range(4)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        try:
            yield url_of(full)
        finally:
            for each in held:
                each.close()


@row(5, "connecting ends in a black hole, the deadline of the call comes first")
async def never_connected(stage: Stage) -> None:
    with black_hole() as url:
        for options in ({"timeout": 3.0}, {"transport": TransportOptions(connect=2.0)}):
            async with session(url, retry=ONCE, **options) as one:
                for call in CALLS.values():
                    await stage.fails(call(one), RequestError, NOT_SENT)


@row(6, "the pool of connections is exhausted")
async def no_connection_is_free(stage: Stage) -> None:
    transport = TransportOptions(connections=1, attempt=50)
    async with stage.against(after(20, persisted), otherwise=persisted, transport=transport) as (one, server):
        first = asyncio.ensure_future(create(one))
        await asyncio.sleep(0.1)
        await stage.fails(create(one, "other", timeout=5), RequestTimeout, NOT_SENT)
        waiting = asyncio.ensure_future(create(one, "gone"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert len(server.requests) == 1
        assert (await first).done()


@row(7, "TLS: expired, of another host, signed by itself, too old")
async def no_certificate_to_trust(stage: Stage) -> None:
    old = tls("loopback")
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    served = {
        "expired": tls("expired"),
        "another_host": tls("another_host"),
        "old": old,
        "unsigned": tls("loopback"),
    }
    for name, context in served.items():
        if name != "unsigned":
            trust(stage, "loopback" if name == "old" else name)
        else:
            stage.monkeypatch.delenv("SSL_CERT_FILE")
        async with Hostile(tls=context) as server, session(server.url) as one:
            await stage.fails(create(one), ConnectionFailed, NOT_SENT)
            assert (server.requests, server.connections <= 1) == ([], True), name


@row(8, "the TLS handshake stalls")
async def no_handshake(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    async with Hostile(mute=True) as server:
        transport = TransportOptions(connect=3)
        async with session(f"https://127.0.0.1:{server.port}", retry=ONCE, transport=transport) as one:
            for call in CALLS.values():
                began = loop.time()
                await stage.fails(call(one), RequestError, NOT_SENT)
                assert loop.time() - began < 31


@row(9, "plain HTTP behind an https URL")
async def no_tls(stage: Stage) -> None:
    async with Hostile(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        async with session(f"https://127.0.0.1:{server.port}") as one:
            await stage.fails(create(one), ConnectionFailed, NOT_SENT)
        assert server.connections == 1


@row(10, "TLS is cut during the upload of a body")
async def cut_upload(stage: Stage) -> None:
    trust(stage, "loopback")

    async def cut(peer: Peer, seen: Seen) -> None:
        await peer.reader.readexactly(100_000)
        peer.reset()

    async with stage.against(server=Hostile([cut], before_body=True, tls=tls("loopback"))) as (one, server):
        await stage.fails(create(one, data=LARGE), RequestError)
        assert len(server.requests) == 1


@row(11, "reset after the request, before the answer: create")
async def reset_of_a_create(stage: Stage) -> None:
    script = by_target({"POST": [reset, refusal(409, "ALREADY_EXISTS")], "GET": [answer(record())]})
    async with stage.against(otherwise=script, retry=RetryPolicy()) as (one, server):
        made = await create(one)
        assert (made.done(), made.reconciled) == (True, True)
        assert [seen.method for seen in server.requests] == ["POST", "POST", "GET"]
        assert server.requests[0].body == server.requests[1].body


@row(12, "reset after the request: poll, get")
async def reset_of_a_read(stage: Stage) -> None:
    async with stage.against(reset, task("PENDING"), reset, answer(record()), retry=RetryPolicy()) as (
        one,
        server,
    ):
        assert (await poll(one)).status == "PENDING"
        assert (await get(one)).id == ID
        assert len(server.requests) == 4


async def _idle_then_dropped(stage: Stage, call: Any, count: int) -> None:
    for drop in (close, reset):
        async with stage.against(persisted, drop, drop) as (one, server):
            await create(one, "warm-up")
            await stage.fails(call(one), ConnectionFailed)
            assert server.requests[0].connection == server.requests[1].connection
            assert len(server.requests) == 1 + count


@row(13, "an idle connection ends at the moment of the next create")
async def idle_create(stage: Stage) -> None:
    await _idle_then_dropped(stage, create, 1)


@row(14, "an idle connection ends at the moment of the next PUT")
async def idle_put(stage: Stage) -> None:
    await _idle_then_dropped(stage, put_partition, 1)


@row(15, "a half-open peer: silence")
async def silence(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    for call in CALLS.values():
        async with stage.against(stall, timeout=7.0) as (one, _):
            began = loop.time()
            await stage.fails(call(one), RequestTimeout)
            assert abs(loop.time() - began - 7) <= 0.05


@row(16, "the head of an answer at one byte a second")
async def slow_head(stage: Stage) -> None:
    slow = trickled(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 4000)
    await stage.fails_at_all("CPBTG", slow, RequestTimeout, timeout=20.0)


@row(17, "the body of an answer at one byte every 200 ms")
async def slow_body(stage: Stage) -> None:
    slow = trickled(head(200, length=10**6) + b" " * 4000, pause=0.2)
    await stage.fails_at_all("TG", slow, RequestTimeout, transport=TransportOptions(attempt=20))


@row(18, "the peer stops reading during an upload")
async def stalled_upload(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    async with stage.against(stall, server=Hostile([stall], before_body=True), timeout=300.0) as (one, _):
        began = loop.time()
        await stage.fails(create(one, data=LARGE), RequestTimeout)
        assert loop.time() - began < 700, "its bytes get the time that they need, and no more"


async def _early(stage: Stage, status: int, *, reset_after: bool, outcomes: set[Outcome]) -> None:
    async def early(peer: Peer, seen: Seen) -> None:
        await refusal(status)(peer, seen)
        await (asyncio.sleep(0) if reset_after else stall(peer, seen))
        peer.reset()

    async with stage.against(server=Hostile([early], before_body=True)) as (one, _):
        try:
            await create(one, data=LARGE)
        except RequestError as error:
            stage.silent(error)
            assert error.outcome in outcomes
            assert error.outcome is UNKNOWN or getattr(error, "status", status) == status
        else:
            raise AssertionError


@row(19, "an early 401 or 413 while the body is on its way")
async def early_refusal(stage: Stage) -> None:
    for status in (401, 413):
        await _early(stage, status, reset_after=False, outcomes={REJECTED})


@row(20, "an early 413, then a reset")
async def early_refusal_and_reset(stage: Stage) -> None:
    await _early(stage, 413, reset_after=True, outcomes={REJECTED, UNKNOWN})


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


async def _good(stage: Stage, build: Any, *, count: int = 1, **options: Any) -> None:
    """A create, a poll and a get that are answered in this way all do."""
    import json

    answers = {
        "C": {"status": "PERSISTED", "taskId": "s_1", "relationship": record()},
        "B": {"status": "ACCEPTED", "taskId": "bk_1"},
        "T": {"status": "PENDING", "taskId": "s_1"},
        "G": record(),
    }
    for letter, document in answers.items():
        for _ in range(count):
            async with stage.against(build(json.dumps(document).encode()), **options) as (one, server):
                await CALLS[letter](one)
                assert len(server.requests) == 1


@row(21, "50 times 100 Continue, then the answer")
async def continued(stage: Stage) -> None:
    await _good(
        stage, lambda body: raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + head(200, length=len(body)) + body)
    )


@row(22, "the server ignores `Expect: 100-continue`")
async def never_expects(stage: Stage) -> None:
    async with stage.against(accepted("bk_1")) as (one, server):
        await bulk(one)
        assert server.requests[0].header("Expect") is None, "so there is nothing to ignore"


@row(23, "one byte a segment")
async def sliced(stage: Stage) -> None:
    await _good(stage, lambda body: trickled(head(200, length=len(body)) + body, pause=0.001))


@row(24, "16 KB a second")
async def narrow(stage: Stage) -> None:
    async def slowly(peer: Peer, seen: Seen) -> None:
        left = int(seen.header("Content-Length") or 0)
        while left:
            left -= len(await peer.reader.read(min(left, 1600)))
            await asyncio.sleep(0.1)
        await accepted("bk_1")(peer, seen)

    data = {"text": "x" * 160_000}
    async with stage.against(server=Hostile([slowly], before_body=True)) as (one, _):
        writes_ = [CreateRelationship(SOURCE, "t", *_ends(), data)]
        assert str((await one.bulk(SOURCE, writes_)).id) == "bk_1"


def _ends() -> tuple[Any, Any]:
    from clinia_async import Ref

    return Ref(PERSON, "p"), Ref("b", "o")


@row(25, "five seconds until an answer comes")
async def late(stage: Stage) -> None:
    await _good(stage, lambda body: after(5, reply(200, body)))


@row(26, "a proxy of the environment")
async def no_proxy(stage: Stage) -> None:
    with refusing_socket() as bound:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            stage.monkeypatch.setenv(name, url_of(bound))
        stage.monkeypatch.delenv("NO_PROXY", raising=False)
        async with stage.against(persisted) as (one, _):
            await create(one)


@row(27, "an answer and then another one that nobody asked for")
async def one_too_many(stage: Stage) -> None:
    import json

    stale = json.dumps({"status": "PERSISTED", "taskId": "s_2", "relationship": record()}).encode()
    for pause in (None, 0.5):

        async def twice(peer: Peer, seen: Seen, pause: float | None = pause) -> None:
            from tests.hostile import persisted_document

            body = json.dumps(
                {"status": "PERSISTED", "taskId": "s_1", "relationship": persisted_document(seen)}
            ).encode()
            await peer.send(head(201, length=len(body)) + body)
            if pause is not None:
                await asyncio.sleep(pause)
            await peer.send(head(200, length=len(stale)) + stale)
            peer.keep = True

        async with stage.against(twice, refusal(404, "NOT_FOUND")) as (one, server):
            assert (await (await create(one, "first"))).from_.id == "first"
            await asyncio.sleep(1)
            error = await stage.fails(
                one.delete_relationship(SOURCE, "practises-at", ID), RequestError, REJECTED
            )
            assert error.status == 404, "the answer to this request, and no other"
            assert len(server.requests) == 2


@row(28, "the answer to a cancelled request on a connection that is used again")
async def cancelled_and_used_again(stage: Stage) -> None:
    script = by_target({"GET": [after(1, answer(record()))], "POST": [persisted]})
    async with stage.against(otherwise=script) as (one, _):
        for number in range(500):
            read = asyncio.ensure_future(one.get_relationship(SOURCE, "practises-at", f"x{number}.y"))
            await asyncio.sleep(0.9)
            read.cancel()
            await asyncio.wait([read])
            assert (await (await create(one, f"p{number}"))).from_.id == f"p{number}"


@row(29, "the network is down for 3 s every 10 s, for ten minutes")
async def flapping(stage: Stage) -> None:
    async def slowly() -> Any:
        for each in writes(300):
            yield each
            await asyncio.sleep(2)

    async def flap(emulator: Emulator) -> None:
        while True:
            await asyncio.sleep(7)
            for route in ("bulk_relationships", "get_task", "get_relationship"):
                emulator.faults.add(DroppedRequest(route=route))
            await asyncio.sleep(3)
            emulator.faults.clear()

    async with Emulator() as emulator, session_for(emulator) as one:
        flapping = asyncio.ensure_future(flap(emulator))
        found = await ran(one, slowly(), via="bulk", chunk=ChunkLimits(operations=5))
        flapping.cancel()
        await asyncio.wait([flapping])
        assert found.error is None
        assert found.reported == {Disposition.PERSISTED: 300}
        assert stored_data(emulator) == {each.id: each.data for each in writes(300)}


@row(30, "HTTP/1.0 that closes each time")
async def http_1_0(stage: Stage) -> None:
    before = open_files()
    await _good(stage, lambda body: raw(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n" + body), count=10)
    await asyncio.sleep(0.1)
    assert open_files() <= before


not_here(
    26, "TLS inside TLS of a proxy", "asyncio cannot serve it on one loop with the client; aiohttp tests it"
)
