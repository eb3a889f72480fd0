"""Routes: from HTTP to the registry and back."""

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from aiohttp import hdrs, web
from attrs import field, frozen

from . import operations
from .door import Door, answer, read_json, refusal
from .errors import ApiError, invalid
from .faults import Faults
from .latency import Latency, Mode, Persisted
from .registry import Registry
from .settings import Settings
from .shapes import key, relationship_id, task_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    name: str
    """Also the name of its handler in `Api`."""
    method: str
    path: str


ROUTES = (
    # A path without a placeholder comes before the one whose placeholder would swallow it.
    Route("bulk_relationships", "POST", "/sources/{source}/v1/relationships/bulk"),
    Route("create_relationship", "POST", "/sources/{source}/v1/relationships/{type}"),
    Route("get_relationship", "GET", "/sources/{source}/v1/relationships/{type}/{id}"),
    Route("get_task", "GET", "/sources/{source}/v1/tasks/{id}"),
    Route("put_partition", "PUT", "/catalog/v1/partitions/{partition}"),
    Route("get_partition", "GET", "/catalog/v1/partitions/{partition}"),
)
ROUTE_NAMES = tuple(route.name for route in ROUTES)
UNKNOWN_ROUTE = "unknown"
"""What a request is counted under if no route takes it."""


@frozen(kw_only=True)
class Api:
    registry: Registry
    settings: Settings
    random: Random
    mode: Callable[[str], Mode]
    """How writes to a relationship type are done just now."""
    bulk: Callable[[], Latency]

    async def create_relationship(self, request: web.Request) -> web.Response:
        source, type_ = _key(request, "source"), _key(request, "type")
        body = await read_json(request, self.settings.body_limit)
        operation = operations.creation(type_, body, self.registry.clock.wall)
        mode = self.mode(type_)
        if isinstance(mode, Persisted):
            id_, relationship = self.registry.create(source, operation)
            return _persisted(id_, {"relationship": relationship.document()})
        return _accepted(self.registry.accept(source, operation, latency=mode.latency.draw(self.random)))

    async def bulk_relationships(self, request: web.Request) -> web.Response:
        source = _key(request, "source")
        body = await read_json(request, self.settings.bulk_limit)
        work = operations.bulk(body, self.registry.clock.wall)
        id_ = self.registry.accept_bulk(source, work, latency=self.bulk().draw(self.random))
        return _accepted(id_, {"bulkId": id_})

    async def get_relationship(self, request: web.Request) -> web.Response:
        source, type_ = _key(request, "source"), _key(request, "type")
        id_ = relationship_id(request.match_info["id"])
        if "includes" in request.query:
            raise ApiError("UNIMPLEMENTED", "the emulator holds no resources to include")
        return answer(self.registry.relationship(source, type_, id_).document())

    async def get_task(self, request: web.Request) -> web.Response:
        source, id_ = _key(request, "source"), task_id(request.match_info["id"])
        with_receipts = _flag(request, "withReceipts")
        return answer(self.registry.task(source, id_, with_receipts=with_receipts))

    async def put_partition(self, request: web.Request) -> web.Response:
        name, stage = _key(request, "partition"), _flag(request, "stage")
        body = await read_json(request, self.settings.body_limit)
        partition, new = self.registry.put_partition(name, body, stage=stage)
        return answer(partition, 201 if new else 200)

    async def get_partition(self, request: web.Request) -> web.Response:
        return answer(self.registry.partition(_key(request, "partition")))


@frozen(kw_only=True)
class Gate:
    """The way of every request: counted, let in or not, struck by a fault or served."""

    door: Door
    faults: Faults
    requests: "Counter[str]" = field(repr=False)

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.name or UNKNOWN_ROUTE
        self.requests[route] += 1
        try:
            self.door.check(request)
        except ApiError as error:
            return refusal(error)
        if (fault := self.faults.strike(route)) is None:
            return await _served(request, handler)
        served = await _served(request, handler) if fault.executed else web.Response()
        return await fault.play(request, served)


def build(api: Api, gate: Gate) -> web.Application:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await gate.serve(request, handler)

    app = web.Application(middlewares=[middleware])
    for route in ROUTES:
        app.router.add_route(route.method, route.path, getattr(api, route.name), name=route.name)
    app.on_response_prepare.append(_headers)
    return app


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    response.headers["X-Content-Type-Options"] = "nosniff"


async def _served(request: web.Request, handler: Handler) -> web.Response:
    try:
        response = await handler(request)
    except ApiError as error:
        return refusal(error)
    except web.HTTPMethodNotAllowed:
        return refusal(ApiError("UNIMPLEMENTED", "this path does not know the method", code=405))
    except web.HTTPNotFound:
        return refusal(ApiError("NOT_FOUND", "there is no such path"))
    assert isinstance(response, web.Response)
    return response


def _persisted(id_: str, record: dict[str, object]) -> web.Response:
    return answer({"taskId": id_, "status": "PERSISTED", **record}, 201)


def _accepted(id_: str, more: dict[str, object] | None = None) -> web.Response:
    return answer({"taskId": id_, "status": "ACCEPTED", **(more or {})}, 202)


def _key(request: web.Request, part: str) -> str:
    return key(request.match_info[part], f"the path's {part}")


def _flag(request: web.Request, name: str) -> bool:
    match request.query.getall(name, ["false"]):
        case ["true"]:
            return True
        case ["false"]:
            return False
        case _:
            raise invalid(f"{name} must be true or false, once")
