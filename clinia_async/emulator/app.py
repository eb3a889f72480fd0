"""The application: every request goes through the gate to the handler of its route."""

from aiohttp import hdrs, web

from .gate import Gate, Handler
from .inspection import INSPECTION, PATH, Inspection
from .routes import ROUTE_NAMES, Api, add_routes

__all__ = ["ROUTE_NAMES", "build"]


def build(api: Api, gate: Gate, inspection: Inspection | None) -> web.Application:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await gate.serve(request, handler)

    app = web.Application(middlewares=[middleware])
    add_routes(app, api)
    if inspection is not None:
        app.router.add_get(PATH, inspection.show, name=INSPECTION, allow_head=False)
    app.on_response_prepare.append(_headers)
    return app


async def _headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
    response.headers["X-Content-Type-Options"] = "nosniff"
