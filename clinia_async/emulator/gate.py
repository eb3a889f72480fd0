"""The way of every request: counted, let in or not, struck by a fault or served, and told of."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from attrs import field, frozen

from clinia_async.emulator.access import Door, refusal

from .errors import ApiError
from .exchange import Exchange, Listener
from .faults import Faults
from .inspection import INSPECTION

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
UNKNOWN_ROUTE = "unknown"
"""What a request is counted under if no route takes it."""


@frozen(kw_only=True)
class Gate:
    door: Door
    faults: Faults
    listeners: Sequence[Listener] = field(repr=False)
    requests: "Counter[str]" = field(repr=False)

    async def serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.name or UNKNOWN_ROUTE
        if route == INSPECTION:
            return await self._inspected(request, handler)
        self.requests[route] += 1
        try:
            self.door.check(request)
        except ApiError as error:
            return await self._told(route, request, refusal(error))
        if (fault := self.faults.strike(route)) is None:
            response = await _served(request, handler)
            return await self._told(route, request, response) if self.listeners else response
        served = await _served(request, handler) if fault.executed else web.Response()
        played = await fault.play(request, served)
        return await self._told(route, request, played) if fault.answers else played

    async def _inspected(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self.door.check(request)
        except ApiError as error:
            return refusal(error)
        return await handler(request)

    async def _told(
        self, route: str, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        """Listeners hear of an answer when its headers are final, right before it is sent."""
        if isinstance(response, web.Response):
            await response.prepare(request)
            exchange = Exchange.of(route, request, response)
            for listener in self.listeners:
                listener(exchange)
        return response


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
