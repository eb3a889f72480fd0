"""A web service whose client hangs up in the middle of a write: the write is not lost, and nothing leaks.

Starlette and FastAPI cancel what a request is doing through a scope of anyio, which cancels again in every
turn of the loop until its block is left. So these tests run on a plain loop, and wait for events, not times.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field

pytest.importorskip("fastapi", reason="the tests of the core are installed without a web framework")

from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from clinia_async import ChunkLimits, Ingestion, Session, Task
from tests.asgi import App, AsgiServer
from tests.factories import ID, SOURCE, create, receipt, record, session_at, write
from tests.hostile import Behaviour, Hostile, Peer, Seen, accepted, answer, persisted, task

Work = Callable[[Session], Awaitable[object]]


@define(eq=False)
class Service:
    """A web service over a registry, both on loopback. The registry answers a write once it is `released`."""

    work: Work
    answer_to_write: Behaviour
    meets: str = "POST"
    """The requests that are held up until the client has hung up."""
    waits_for_cancel: bool = True
    arrived: asyncio.Event = field(factory=asyncio.Event)
    released: asyncio.Event = field(factory=asyncio.Event)
    cancelled: asyncio.Event = field(factory=asyncio.Event)
    status: str = "PENDING"
    ids: list[str] = field(factory=list)
    registry: Hostile = field(init=False)
    session: Session = field(init=False)

    async def registry_answers(self, peer: Peer, seen: Seen) -> None:
        if self.meets in f"{seen.method} {seen.target}":
            self.arrived.set()
            await self.released.wait()
        if seen.method == "POST":
            await self.answer_to_write(peer, seen)
        elif "/tasks/" in seen.target:
            id_ = seen.target.split("/tasks/")[1].split("?")[0]
            await task(self.status, id_, receipts=[receipt(self.status, each) for each in self.ids or [ID]])(
                peer, seen
            )
        else:
            await answer(record())(peer, seen)

    async def run_work(self) -> object:
        try:
            return await self.work(self.session)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        async with self.session:
            yield


Check = Callable[[Service], Awaitable[None]]


async def streamed(service: Service) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"begun\n"
        await service.run_work()
        yield b"done\n"

    return StreamingResponse(body())


async def raced(service: Service, request: StarletteRequest) -> Response:
    """Race the work against the disconnect, as services do whose responses are not streamed."""
    async with anyio.create_task_group() as group:

        async def listen() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(listen)
        await service.run_work()
        group.cancel_scope.cancel()
    return JSONResponse({"done": service.cancelled.is_set()})


async def again(service: Service) -> Response:
    service.released.set()
    service.answer_to_write = persisted
    made: Task[Any] = await create(service.session, "afterwards")
    return JSONResponse({"id": (await made).id})


def starlette_app(service: Service) -> App:
    async def stream(_: StarletteRequest) -> Response:
        return await streamed(service)

    async def race(request: StarletteRequest) -> Response:
        return await raced(service, request)

    async def once_more(_: StarletteRequest) -> Response:
        return await again(service)

    routes = [Route("/stream", stream), Route("/race", race), Route("/again", once_more)]
    return Starlette(routes=routes, lifespan=service.lifespan)


def fastapi_app(service: Service) -> App:
    app = FastAPI(lifespan=service.lifespan)

    @app.middleware("http")
    async def passes_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    @app.get("/stream")
    async def stream() -> Any:
        return await streamed(service)

    @app.get("/race")
    async def race(request: Request) -> Any:
        return await raced(service, request)

    @app.get("/again")
    async def once_more() -> Any:
        return await again(service)

    return app


APPS = {"starlette": starlette_app, "fastapi": fastapi_app}


async def hang_up(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "reset":
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
    await asyncio.sleep(0)


async def get(server: AsgiServer, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return reader, writer


async def until(condition: Callable[[], Any]) -> None:
    while not condition():  # noqa: ASYNC110  there is no event for this
        await asyncio.sleep(0.005)


async def make_and_wait(session: Session) -> object:
    return await session.submit(write()).result()


async def bulk(session: Session) -> object:
    return await session.bulk(SOURCE, [write()])


async def ensure(session: Session) -> object:
    sent = write()
    return await session.ensure_relationship(SOURCE, sent.type, from_=sent.from_, to=sent.to)


async def play(
    service: Service, app: str, path: str, how: str, check: Callable[[Service], Awaitable[None]]
) -> None:
    """Hang up when the registry has the write, let it answer when the request is cancelled, and check."""
    server = AsgiServer(APPS[app](service))
    async with asyncio.timeout(60), server:
        reader, writer = await get(server, path)
        if path == "/stream":
            assert (await reader.readuntil(b"begun\n")).startswith(b"HTTP/1.1 200")
        await service.arrived.wait()
        await hang_up(writer, how)
        await server.hung_up.wait()
        if service.waits_for_cancel:
            await service.cancelled.wait()
        service.released.set()
        await service.cancelled.wait()
        await check(service)
        await until(lambda: not server.tasks)
        reader, writer = await get(server, "/again")
        assert b'"afterwards.org-9"' in await reader.read()
        writer.close()
    assert [error for error in server.errors if not isinstance(error, BaseExceptionGroup)] == []
    await asyncio.sleep(0)
    left = {each.get_name() for each in asyncio.all_tasks()} - {"a test"}
    assert not [name for name in left if name.startswith("clinia")], left


def run(
    work: Work,
    answer_to_write: Behaviour,
    check: Check,
    *where: str,
    meets: str = "POST",
    waits_for_cancel: bool = True,
    **options: Any,
) -> None:
    async def main() -> None:
        service = Service(work, answer_to_write, meets, waits_for_cancel)
        service.registry = Hostile(otherwise=service.registry_answers)
        async with service.registry:
            service.session = session_at(service.registry, **options)
            await play(service, *where, check=check)

    asyncio.run(main())


WRITES: dict[str, tuple[Work, Behaviour]] = {
    "persisted": (create, persisted),
    "accepted": (create, accepted("s_7")),
    "bulk": (bulk, accepted("bk_7")),
}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("path", ["/stream", "/race"])
@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_client_hangs_up_is_in_doubt_with_its_task(
    name: str, app: str, path: str, how: str
) -> None:
    async def check(service: Service) -> None:
        (entry,) = service.session.in_doubt
        await until(lambda: entry.task)
        service.status = "SUCCESS"
        assert entry.task is not None
        await entry.task
        assert entry.error is None
        assert service.session.take_in_doubt() == [entry]
        assert service.registry.count("POST") == 1

    run(*WRITES[name], check, app, path, how)


@pytest.mark.parametrize("wait", [make_and_wait, ensure])
@pytest.mark.parametrize("app", APPS)
def test_a_task_that_only_the_request_had_is_in_doubt(wait: Work, app: str) -> None:
    async def check(service: Service) -> None:
        (entry,) = service.session.in_doubt
        assert entry.task is not None
        assert str(entry.task.id) == "s_7"
        service.status = "SUCCESS"
        assert (await entry.task).id == ID  # type: ignore[attr-defined]
        assert service.registry.count("POST") == 1

    run(wait, accepted("s_7"), check, app, "/stream", "close", meets="/tasks/")


@pytest.mark.parametrize("app", APPS)
def test_writes_that_were_coalesced_are_all_in_doubt(app: str) -> None:
    async def together(session: Session) -> object:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(create, session, f"p{number}")
        return None

    async def check(service: Service) -> None:
        service.ids = [f"p{number}.org-9" for number in range(3)]
        service.status = "SUCCESS"
        entries = service.session.in_doubt
        assert len(entries) == 3
        await until(lambda: all(entry.task for entry in entries))
        for entry in entries:
            assert entry.task is not None
            await entry.task
        assert service.registry.count("POST") == 1

    run(together, accepted("bk_7"), check, app, "/stream", "close", coalesce=True)


@pytest.mark.parametrize("via", ["single", "bulk"])
@pytest.mark.parametrize("app", APPS)
def test_a_job_has_ended_and_said_what_became_of_every_record(app: str, via: str) -> None:
    report: Any = None

    async def load(session: Session) -> object:
        nonlocal report
        writes = [write(f"p{number}") for number in range(6)]
        job = Ingestion(session, SOURCE, writes, via=via, chunk=ChunkLimits(operations=2), workers=1)
        report = job.report
        return await job.run()

    async def check(service: Service) -> None:
        await until(lambda: report.completed == report.read)
        assert report.read > 0
        assert report.by_disposition["unknown"] + report.by_disposition["unsent"] == report.read

    # a job that is cancelled ends what is in flight before its block is left
    run(load, accepted("bk_7"), check, app, "/stream", "close", waits_for_cancel=False)
