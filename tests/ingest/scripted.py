"""A service that answers a job as a test says."""

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from clinia_async import CreateRelationship, Session, UpsertRelationship
from tests.ingest.running import Ran, ran

Answer = tuple[int, object]
Handler = Callable[[web.Request, bytes], Answer | None]


async def against(handler: Handler, items: Sequence[object], **options: object) -> Ran:
    """A job against a service that answers as `handler` says; None drops the connection."""

    async def answer(request: web.Request) -> web.Response:
        found = handler(request, await request.read())
        if found is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        status, body = found
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with Session(base_url=url, api_key="k") as session:
            return await ran(session, items, **options)  # type: ignore[arg-type]
    finally:
        await runner.cleanup()


def error(type_: str, status: int) -> Answer:
    return status, {"code": status, "type": type_, "message": "no", "details": None}


def receipt(write: CreateRelationship | UpsertRelationship, status: str, **more: object) -> dict[str, object]:
    about = {"targetType": "RELATIONSHIP", "type": write.type, "id": write.id}
    return {"action": str(write.action), "status": status, **about, **more}


ACCEPTED_BULK: Answer = (202, {"taskId": "bk_1", "status": "ACCEPTED", "bulkId": "bk_1"})


def task(status: str, receipts: Sequence[Mapping[str, object]] | None = None) -> Answer:
    found = {} if receipts is None else {"receipts": list(receipts)}
    return 200, {"taskId": "bk_1", "status": status, **found}
