"""Single creates that somebody sees: an observer, the log, OpenTelemetry."""

import logging

import clinia_async as clinia
from benchmarks.ways.single import Create
from benchmarks.ways.together import cost
from clinia_async.calls import Call
from clinia_async.telemetry import Event
from clinia_async.transport.sender import Delivery, Sender


async def bare(url: str, count: int, in_flight: int) -> dict[str, float]:
    """As it would be if nothing could be seen: no request asks whether anybody sees it."""

    async def send(
        self: Sender,
        call: Call[object],
        deadline: float,
        *,
        slowest: int | None = None,
        maybe_applied: bool = False,
    ) -> Delivery[object]:
        request = call.request()
        if slowest is not None and request.body is not None:
            deadline += len(request.body) / slowest
        return await self._send(call, request, deadline, maybe_applied=maybe_applied)

    Sender.send = send  # type: ignore[assignment]
    async with clinia.Session(base_url=url, api_key="k") as session:
        return await cost(Create(session), count, in_flight)


async def observed(url: str, count: int, in_flight: int) -> dict[str, float]:
    seen = 0

    def see(event: Event) -> None:
        nonlocal seen
        seen += 1

    async with clinia.Session(base_url=url, api_key="k", observers=[see]) as session:
        found = await cost(Create(session), count, in_flight)
    assert seen >= count
    return found


async def logged(url: str, count: int, in_flight: int, level: str) -> dict[str, float]:
    """To a handler that formats each record and writes it nowhere."""
    handler = logging.StreamHandler(_Nowhere())
    root = logging.getLogger("clinia_async")
    root.addHandler(handler)
    root.setLevel(level)
    async with clinia.Session(base_url=url, api_key="k") as session:
        return await cost(Create(session), count, in_flight)


async def traced(url: str, count: int, in_flight: int) -> dict[str, float]:
    from opentelemetry import metrics, trace  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    trace.set_tracer_provider(TracerProvider())
    metrics.set_meter_provider(MeterProvider())
    async with clinia.Session(base_url=url, api_key="k", open_telemetry=True) as session:
        return await cost(Create(session), count, in_flight)


class _Nowhere:
    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass
