"""Attempts that somebody watches: each is an event, and a span that goes along with the request."""

import asyncio

from clinia_async import telemetry
from clinia_async.calls import Request
from clinia_async.errors import ApiError, RequestError
from clinia_async.telemetry import Telemetry
from clinia_async.transport import Transport
from clinia_async.transport.responses import Response


class ObservedTransport:
    """Makes attempts as `Transport` does, and reports them."""

    def __init__(self, transport: Transport, telemetry: Telemetry) -> None:
        self._transport = transport
        self._telemetry = telemetry

    async def attempt(self, request: Request, deadline: float) -> Response:
        """Make one attempt. Raises `RequestError`."""
        resends = request.resends
        with self._telemetry.span(
            f"{request.method} {request.route}",
            http__request__method=request.method,
            url__template=request.route,
            server__address=self._transport.host_of(request),
            http__request__resend_count=resends or None,
        ) as span:
            if span is not None:
                request.headers = {**(request.headers or {}), **span.headers()}
            started = asyncio.get_running_loop().time()
            try:
                response = await self._transport.attempt(request, deadline)
            except RequestError as error:
                if span is not None:
                    span.note(
                        http__response__status_code=_status_of(error), clinia__request__id=error.request_id
                    )
                self._emit(request, started, error)
                raise
            if span is not None:
                span.note(
                    http__response__status_code=response.status, clinia__request__id=response.request_id
                )
            self._emit(request, started, response)
            return response

    def _emit(self, request: Request, started: float, end: Response | RequestError) -> None:
        error = end if isinstance(end, RequestError) else None
        self._telemetry.emit(
            telemetry.RequestEnded(
                method=request.method,
                route=request.route,
                attempt=request.resends + 1,
                seconds=asyncio.get_running_loop().time() - started,
                status=end.status if isinstance(end, Response) else _status_of(end),
                error=None if error is None else type(error).__name__,
                outcome=None if error is None else error.outcome,
                request_id=end.request_id,
            )
        )


def emit_throttled(report: Telemetry, request: Request, failure: RequestError) -> None:
    """Report that the service asked for fewer requests, with 429 or 503."""
    status = _status_of(failure)
    report.emit(
        telemetry.Throttled(
            method=request.method,
            route=request.route,
            status=status or 0,
            retry_after=failure.retry_after,
            request_id=failure.request_id,
        )
    )


def emit_retry(report: Telemetry, request: Request, failure: RequestError, pause: float) -> None:
    """Report that a request is sent again after `pause` seconds."""
    report.emit(
        telemetry.RetryScheduled(
            method=request.method,
            route=request.route,
            attempt=request.resends + 1,
            error=type(failure).__name__,
            pause=pause,
            request_id=failure.request_id,
        )
    )


def _status_of(error: RequestError) -> int | None:
    return error.status if isinstance(error, ApiError) else None
