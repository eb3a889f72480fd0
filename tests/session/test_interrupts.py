"""Whatever the program raises in its own functions, no wait is without an end, and a loop ends once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from clinia_async import Outcome, Polling, RequestError, Session, Task, TaskPollError
from clinia_async.emulator import Accepted, Constant, Emulator, Persisted
from clinia_async.telemetry import Event
from tests.factories import create, session_at
from tests.patience import PATIENCE


class Abort(BaseException):
    """Neither an `Exception` nor a cancel, as `pytest.fail` raises it."""


Raise = Callable[[], None]
MODES = {"at once": Persisted(), "queued": Accepted(Constant(0.05))}


def _credentials(raise_: Raise, _: list[Any], key: str) -> dict[str, Any]:
    def credentials() -> dict[str, str]:
        raise_()
        return {"X-Clinia-API-Key": key}

    return {"api_key": None, "credentials": credentials}


def _async_credentials(raise_: Raise, _: list[Any], key: str) -> dict[str, Any]:
    async def credentials() -> dict[str, str]:
        await asyncio.sleep(0)
        raise_()
        return {"X-Clinia-API-Key": key}

    return {"api_key": None, "credentials": credentials}


def _trace(raise_: Raise, clients: list[Any], _: str) -> dict[str, Any]:
    async def ended(*_: object) -> None:
        raise_()

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    clients.append(aiohttp.ClientSession(trace_configs=[trace]))
    return {"http_session": clients[0]}


def _middleware(raise_: Raise, clients: list[Any], _: str) -> dict[str, Any]:
    async def middleware(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
        answer: aiohttp.ClientResponse = await handler(request)
        raise_()
        return answer

    clients.append(aiohttp.ClientSession(middlewares=[middleware]))
    return {"http_session": clients[0]}


def _pace(raise_: Raise, _: list[Any], __: str) -> dict[str, Any]:
    def pace(*_: object) -> float:
        task = asyncio.current_task()
        if task is not None and task.get_name() == "clinia-poll":  # and not that of the one who waits
            raise_()
        return 0.01

    return {"polling": Polling(pace=pace)}


def _observer(name: str) -> Callable[[Raise, list[Any], str], dict[str, Any]]:
    def options(raise_: Raise, _: list[Any], __: str) -> dict[str, Any]:
        def observe(event: Event) -> None:
            if type(event).__name__ == name:
                raise_()

        return {"observers": [observe]}

    return options


PLACES = {
    "credentials": _credentials,
    "async credentials": _async_credentials,
    "trace": _trace,
    "middleware": _middleware,
    "pace": _pace,
    **{name: _observer(name) for name in ("RequestEnded", "TaskAccepted", "TaskPolled", "TaskEnded")},
}
IGNORED = {"RequestEnded", "TaskAccepted", "TaskPolled", "TaskEnded"}
"""What observers raise is logged, and changes nothing."""


@asynccontextmanager
async def session_that_raises(
    kind: type[BaseException], place: str, mode: str, *, coalesce: bool
) -> AsyncIterator[tuple[Session, list[None]]]:
    """A session in which a function of the program raises `kind`, once, at `place`."""
    raised: list[None] = []
    clients: list[Any] = []

    def raise_() -> None:
        if not raised:
            raised.append(None)
            raise kind("CANARY")

    async with Emulator(default=MODES[mode]) as emulator:
        options = {"api_key": emulator.key, **PLACES[place](raise_, clients, emulator.key)}
        try:
            async with Session(base_url=emulator.url, coalesce=coalesce, **options) as session:
                yield session, raised
        finally:
            for client in clients:
                await client.close()


async def write_many(session: Session, count: int = 3) -> list[Any]:
    """Write some records together; return their tasks, or what came instead."""
    return await asyncio.gather(
        *(create(session, from_=f"prac-{number}") for number in range(count)), return_exceptions=True
    )


async def results_of(tasks: list[Any]) -> list[Any]:
    waits = [each.result() for each in tasks if isinstance(each, Task)]
    return [each for each in tasks if not isinstance(each, Task)] + await asyncio.gather(
        *waits, return_exceptions=True
    )


@pytest.mark.parametrize("coalesce", [False, True], ids=["each", "coalesced"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", PLACES)
async def test_what_is_neither_an_exception_nor_a_cancel_reaches_those_who_wait(
    place: str, mode: str, coalesce: bool
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(None)  # that it is told of a fault of a function is right
    async with (
        asyncio.timeout(PATIENCE),
        session_that_raises(Abort, place, mode, coalesce=coalesce) as (session, raised),
    ):
        results = await results_of(await write_many(session))
        failures = [each for each in results if isinstance(each, BaseException)]
        assert all(isinstance(each, Abort | TaskPollError) for each in failures)
        assert not failures or place not in IGNORED
        assert failures or not raised or place in {*IGNORED, "pace"}, "who waited longer may poll again"
        raised.append(None)
        await (await create(session, from_="prac-9"))


class _Lives:
    """How far a program came that was interrupted."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.left = False

    async def live(self, kind: type[BaseException], place: str, mode: str, *, coalesce: bool) -> None:
        async with session_that_raises(kind, place, mode, coalesce=coalesce) as (session, raised):
            self.results = await results_of(await write_many(session, 3 if coalesce else 1))
            raised.append(None)  # where it was not called so far, it raises no more
            await (await create(session, from_="prac-9"))
        self.left = True


INTERRUPTS = [KeyboardInterrupt, SystemExit]


@pytest.mark.parametrize("coalesce", [False, True], ids=["each", "coalesced"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", INTERRUPTS)
def test_what_ends_the_loop_lets_the_program_end_in_order(
    kind: type[BaseException], place: str, coalesce: bool
) -> None:
    """It is raised once: a second time would end the loop that `asyncio.run` cancels everything with."""
    ended: list[None] = []

    async def run() -> None:
        try:
            await _Lives().live(kind, place, "queued", coalesce=coalesce)
        finally:
            await asyncio.sleep(0)
            ended.append(None)

    with pytest.raises(kind):
        asyncio.run(run())
    assert ended


@pytest.mark.parametrize("coalesce", [False, True], ids=["each", "coalesced"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", INTERRUPTS)
def test_a_loop_that_goes_on_after_it_ends_every_wait_with_what_is_known(
    kind: type[BaseException], place: str, mode: str, coalesce: bool
) -> None:
    """As in a notebook: who waited is told that the outcome is unknown, and the session is of use."""
    lives = _Lives()
    loop = asyncio.new_event_loop()
    try:
        work = loop.create_task(lives.live(kind, place, mode, coalesce=coalesce))
        try:
            loop.run_until_complete(work)
        except kind:
            loop.run_until_complete(asyncio.wait_for(work, PATIENCE))
        failures = [each for each in lives.results if isinstance(each, BaseException)]
        assert lives.left
        assert len(lives.results) == (3 if coalesce else 1)
        assert all(isinstance(each, RequestError | TaskPollError) for each in failures)
        assert {each.outcome for each in failures if isinstance(each, RequestError)} <= {Outcome.UNKNOWN}
    finally:
        loop.close()


async def test_handles_that_stop_coming_with_such_an_error_are_no_end_without_one() -> None:
    async def handles(session: Session) -> AsyncIterator[Task[Any]]:
        yield await create(session)
        raise Abort

    async with Emulator() as emulator, session_at(emulator) as session:
        completed = session.as_completed(handles(session))
        assert isinstance(await anext(completed), Task)
        with pytest.raises(Abort):
            await anext(completed)


@pytest.mark.parametrize("logger", ["clinia_async", "clinia_async.requests", "clinia_async.tasks"])
async def test_a_filter_of_the_log_that_fails_changes_nothing(
    logger: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError("CANARY")

    caplog.set_level(logging.DEBUG, logger)
    logging.getLogger(logger).addFilter(refuse)
    try:
        async with Emulator(default=MODES["queued"]) as emulator, session_at(emulator) as session:
            await (await create(session))
    finally:
        logging.getLogger(logger).removeFilter(refuse)
    assert "CANARY" not in caplog.text
