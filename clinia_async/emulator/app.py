"""The way of every request: counted, let in or not, struck by a fault or served, and recorded."""

from collections import Counter
from collections.abc import Sequence

from aiohttp import web
from attrs import field, frozen
from orjson import dumps

from clinia_async.emulator.access import AccessPolicy, read_body
from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Answer, Exchange, Listener, Reply, Request
from clinia_async.emulator.faults import Attempt, Faults
from clinia_async.emulator.routes import Router, Target
from clinia_async.emulator.server import LOGGER, Response, refusal
from clinia_async.emulator.settings import Settings

UNCOUNTED = frozenset({"inspection"})
"""Routes of the emulator's own: no fault applies to them, and they are neither counted nor recorded."""


@frozen(kw_only=True)
class App:
    access: AccessPolicy
    router: Router
    settings: Settings
    faults: Faults
    listeners: Sequence[Listener] = field(repr=False)
    requests: "Counter[str]" = field(repr=False)

    async def serve(self, http: web.BaseRequest) -> web.StreamResponse:
        request, target = self.router.match(http)
        if request.route in UNCOUNTED:
            return Response(await self._reply(request, target), http)
        self.requests[request.route] += 1
        reply = await self._reply(request, target)
        response = Response(reply, http)
        if self.listeners and reply is not None and reply.complete:
            exchange = Exchange.of(request, reply, response.sent)
            try:
                for listener in self.listeners:
                    listener(exchange)
            except Exception:  # noqa: BLE001  a listener is a test's own code
                LOGGER.exception("a listener failed")
                return Response(None, http)
        return response

    async def _reply(self, request: Request, target: Target | ApiError) -> Reply | None:
        try:
            self.access.check(request.http)
            if isinstance(target, ApiError):
                return refusal(target)
        except ApiError as error:
            return refusal(error)
        if target.limit:
            await self._read(request, getattr(self.settings, target.limit))
        if (fault := self.faults.choose(request)) is None:
            return _served(request, target)
        return fault.play(Attempt(lambda: _served(request, target)))

    async def _read(self, request: Request, limit: int) -> None:
        try:
            request.body = await read_body(request.http, limit, self.settings.body_timeout)
        except ApiError as error:
            request.unread = error


def _served(request: Request, target: Target) -> Reply:
    try:
        return encoded(target.handler(request))
    except ApiError as error:
        return refusal(error)


def encoded(answer: Answer) -> Reply:
    if answer.document is None:
        return Reply(status=answer.status, content_type=None)
    return Reply(status=answer.status, body=dumps(answer.document))
