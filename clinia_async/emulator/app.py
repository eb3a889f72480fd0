"""The way of every request: counted, let in or not, answered by a fault or served, and recorded."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

from aiohttp import web
from attrs import field, frozen
from orjson import dumps

from clinia_async.emulator.access import AccessPolicy, read_body
from clinia_async.emulator.chaos import Faults
from clinia_async.emulator.dialect import ERROR, SHAPES, Dialect, go
from clinia_async.emulator.errors import ApiError
from clinia_async.emulator.exchange import Answer, Exchange, Listener, Received, Reply, Request
from clinia_async.emulator.faults import Attempt, Change
from clinia_async.emulator.inspection import Page
from clinia_async.emulator.routes import Router, Target
from clinia_async.emulator.server import LOGGER, Response, refusal
from clinia_async.emulator.settings import Settings


@frozen(kw_only=True)
class App:
    access: AccessPolicy
    router: Router
    settings: Settings
    dialect: Dialect
    faults: Faults
    listeners: Sequence[Listener] = field(repr=False)
    requests: "Counter[str]" = field(repr=False)
    received: list[Received] | None = field(repr=False)
    """Where requests are recorded, if they are."""

    own_pages: Mapping[str, Page] = field(repr=False)
    """By path: no fault applies to them, and they are neither counted nor recorded."""

    _late: set[asyncio.TimerHandle] = field(init=False, factory=set, repr=False)
    """Executions that are yet to come."""

    async def serve(self, http: web.BaseRequest) -> web.StreamResponse:
        if (page := self.own_pages.get(http.rel_url.raw_path)) is not None and http.method == "GET":
            return Response(self._own(page, http), http)
        request, target = self.router.match(http)
        self.requests[request.route] += 1
        reply = await self._reply(request, target)
        if self.received is not None:
            self.received.append(Received.of(request, reply))
        response = Response(reply, http)
        if self.listeners and reply is not None and reply.complete:
            return self._heard(Exchange.of(request, reply, response.sent), response, http)
        return response

    def cancel_late_executions(self) -> None:
        for timer in self._late:
            timer.cancel()
        self._late.clear()

    def _heard(self, exchange: Exchange, response: Response, http: web.BaseRequest) -> Response:
        try:
            for listener in self.listeners:
                listener(exchange)
        except Exception:  # noqa: BLE001  a listener is a test's own code
            LOGGER.exception("a listener failed")
            return Response(None, http)
        return response

    def _own(self, page: Page, http: web.BaseRequest) -> Reply:
        try:
            return page(http)
        except ApiError as error:
            return refusal(error)

    async def _reply(self, request: Request, target: Target | ApiError) -> Reply | None:
        try:
            self.access.check(request.http)
            if isinstance(target, ApiError):
                raise target
        except ApiError as error:
            return self._refused(error)
        if target.limit:
            await self._read(request, getattr(self.settings, target.limit))
        if (chosen := self.faults.choose(request)) is None:
            return self._served(request, target)
        fault, random = chosen
        request.fault = type(fault).__name__
        return fault.play(self._attempt(request, target, random))

    def _attempt(self, request: Request, target: Target, random: Random) -> Attempt:
        return Attempt(
            request=request,
            random=random,
            execute=lambda again, change: self._served(again, target, change),
            execute_later=lambda again, seconds: self._later(again, target, seconds),
        )

    def _later(self, request: Request, target: Target, seconds: float) -> None:
        def execute() -> None:
            self._late.discard(timer)
            self._served(request, target)

        timer = asyncio.get_running_loop().call_later(seconds, execute)
        self._late.add(timer)

    async def _read(self, request: Request, limit: int) -> None:
        try:
            request.body = await read_body(request.http, limit, self.settings.body_timeout)
        except ApiError as error:
            request.unread = error

    def _served(self, request: Request, target: Target, change: Change | None = None) -> Reply:
        try:
            answer = target.handler(request)
        except ApiError as error:
            return self._refused(error)
        if change is not None:
            answer = answer._replace(document=change(answer.document))
        return self._encoded(answer, request.route)

    def _refused(self, error: ApiError) -> Reply:
        if self.dialect == "go":
            return Reply(status=error.code, body=dumps(go(error.envelope(), ERROR)))
        return refusal(error)

    def _encoded(self, answer: Answer, route: str) -> Reply:
        if answer.document is None:
            return Reply(status=answer.status, content_type=None)
        document = go(answer.document, SHAPES[route]) if self.dialect == "go" else answer.document
        return Reply(status=answer.status, body=dumps(document))
