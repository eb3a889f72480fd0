"""The adaptive limit on a loop: in turn, on the loop's clock, and through every kind of cancellation."""

import asyncio
import itertools
from collections.abc import Awaitable
from typing import Any

import pytest

from clinia_async import (
    ApiError,
    ConcurrencyLimits,
    ErrorInfo,
    Outcome,
    PermissionDenied,
    RequestError,
    RequestTimeout,
    RetryPolicy,
    Session,
    TaskPollError,
    Unauthenticated,
)
from clinia_async.calls import Host, Request
from clinia_async.emulator import Emulator, TooManyRequests, Unavailable
from clinia_async.transport.adaptive_limit import AdaptiveLimit
from clinia_async.transport.limiter import Limiter
from tests.factories import ONCE, SOURCE, create, session_at
from tests.hostile import Hostile, accepted, after, answer, by_target, persisted, refusal, reset, stall, task

NARROW = ConcurrencyLimits(start=1, most=1)


def request_of(size: int = 0) -> Request:
    return Request("POST", Host.REGISTRY, "/x", "/x", body=b"x" * size)


class Service:
    """Stands where the transport stands, so that each turn of the loop is in the hands of the test."""

    def __init__(self) -> None:
        self.open: list[tuple[int, asyncio.Future[bytes]]] = []
        self.deadlines: list[float] = []

    async def attempt(self, request: Request, deadline: float) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        entry = (len(request.body or b""), future)
        self.open.append(entry)
        self.deadlines.append(deadline)
        try:
            return await future
        finally:
            self.open.remove(entry)

    @property
    def sizes(self) -> list[int]:
        return [size for size, _ in self.open]

    async def answer(self, error: Exception | None = None) -> None:
        future = self.open[0][1]
        future.set_result(b"") if error is None else future.set_exception(error)
        await turns()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def said(status: int, retry_after: float | None = None, kind: type[ApiError] = ApiError) -> ApiError:
    info = ErrorInfo()
    return kind("x", status=status, info=info, outcome=Outcome.REJECTED, retry_after=retry_after)


def adaptive(limits: ConcurrencyLimits) -> Limiter:
    limiter = Limiter(connections=100)
    limiter.limit(limits)
    return limiter


def limit_of(limiter: Limiter) -> AdaptiveLimit:
    assert limiter.adaptive is not None
    return limiter.adaptive


def sending(limiter: Limiter, service: Service, size: int) -> "asyncio.Task[bytes]":
    deadline = asyncio.get_running_loop().time() + 60
    return asyncio.ensure_future(limiter.send(service.attempt, request_of(size), deadline))


async def test_first_come_first_served() -> None:
    limiter, service = adaptive(NARROW), Service()
    tasks = [sending(limiter, service, size) for size in range(1, 8)]
    await turns()
    for size in range(1, 8):
        assert service.sizes == [size]
        await service.answer()
    assert all(task.done() for task in tasks)
    assert limit_of(limiter).peak_in_flight == 1


async def test_no_request_overtakes_a_large_one_that_waits() -> None:
    limiter, service = adaptive(ConcurrencyLimits(bytes=100)), Service()
    tasks = [sending(limiter, service, size) for size in (60, 90, 1)]
    await turns()
    assert service.sizes == [60]
    await service.answer()
    assert service.sizes == [90, 1]
    await service.answer()
    await service.answer()
    await asyncio.gather(*tasks)
    assert limit_of(limiter).peak_bytes == 91


async def test_the_wait_for_the_adaptive_limit_moves_the_deadline() -> None:
    limiter, service = adaptive(NARROW), Service()
    tasks = [sending(limiter, service, size) for size in (1, 2)]
    await asyncio.sleep(7)
    await service.answer()
    assert service.deadlines[1] == service.deadlines[0] + 7
    error = RequestError("x")
    await service.answer(error)
    assert error.waited == 7
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("which", range(5))
async def test_a_cancelled_waiter_gives_its_place_up(which: int) -> None:
    limiter, service = adaptive(ConcurrencyLimits(start=1, most=1, bytes=100)), Service()
    tasks = [sending(limiter, service, size) for size in (10, 20, 101, 30, 40)]
    await turns()
    tasks[which].cancel()
    await turns()
    for _ in range(5 if which == 0 else 4):
        if service.open:
            await service.answer()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in done] == [n == which for n in range(5)]
    assert (limit_of(limiter).in_flight, limit_of(limiter).bytes_in_flight) == (0, 0)


async def test_a_cancel_between_permit_and_attempt_releases_the_permit() -> None:
    limiter, service = adaptive(NARROW), Service()
    first, second, third = (sending(limiter, service, size) for size in (1, 2, 3))
    await turns()
    service.open[0][1].set_result(b"")
    await first
    assert limit_of(limiter).in_flight == 1, "the second has entered and has not run yet"
    second.cancel()
    await turns()
    assert second.cancelled()
    assert service.sizes == [3]
    await service.answer()
    await third
    assert limit_of(limiter).in_flight == 0


@pytest.mark.parametrize("at", range(40))
async def test_a_cancel_at_any_turn_of_the_loop_loses_no_permit(at: int) -> None:
    limiter, service = adaptive(ConcurrencyLimits(start=2, most=2, rate=100.0)), Service()
    tasks = [sending(limiter, service, size) for size in range(6)]
    victim = tasks[at % 6]
    for turn in range(60):
        if turn == at:
            victim.cancel()
        if turn % 3 == 2 and service.open and not service.open[0][1].done():
            service.open[0][1].set_result(b"")
        await (asyncio.sleep(0.01) if turn % 5 == 0 else asyncio.sleep(0))
    assert all(task.done() for task in tasks), "nobody is forgotten"
    assert (limit_of(limiter).in_flight, limit_of(limiter).bytes_in_flight) == (0, 0)
    assert limiter._timer is None


async def test_no_timer_is_left_after_the_last_waiter_is_cancelled() -> None:
    limiter, service = adaptive(ConcurrencyLimits(rate=0.01)), Service()
    first, second = sending(limiter, service, 1), sending(limiter, service, 2)
    await turns()
    await service.answer()
    await first
    timer = limiter._timer
    assert timer is not None
    second.cancel()
    await turns()
    assert timer.cancelled()
    assert limiter._timer is None


async def test_a_refused_key_fails_every_waiter_with_an_error_of_its_own() -> None:
    limiter, service = adaptive(NARROW), Service()
    tasks = [sending(limiter, service, size) for size in range(4)]
    await turns()
    tasks[3].cancel()
    refused = said(401, kind=Unauthenticated)
    await service.answer(refused)
    late = sending(limiter, service, 9)
    await turns()
    errors = await asyncio.gather(tasks[0], tasks[1], tasks[2], late, return_exceptions=True)
    assert errors[0] is refused
    assert refused.outcome is Outcome.REJECTED
    assert [type(error) for error in errors] == [Unauthenticated] * 4
    assert [error.outcome for error in errors[1:]] == [Outcome.NOT_SENT] * 3  # type: ignore[union-attr]
    assert len({id(error) for error in errors}) == 4
    assert service.deadlines == service.deadlines[:1], "one request, and none after it"


async def test_later_answers_do_not_undo_a_refused_key() -> None:
    limiter, service = adaptive(ConcurrencyLimits(start=3)), Service()
    tasks = [sending(limiter, service, size) for size in range(3)]
    await turns()
    await service.answer(said(403, kind=PermissionDenied))
    await service.answer()
    await service.answer(said(401, kind=Unauthenticated))
    with pytest.raises(PermissionDenied):
        await sending(limiter, service, 5)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not service.open


@pytest.mark.parametrize(
    ("error", "throttles"),
    [
        (said(429), 1),
        (said(503), 1),
        (said(504), 1),
        (RequestTimeout("x"), 1),
        (said(500), 0),
        (said(502), 0),
        (said(500, retry_after=3.0), 1),
        (RequestError("x"), 0),
        (said(404), 0),
    ],
)
async def test_which_errors_count_as_throttled(error: RequestError, throttles: int) -> None:
    limiter, service = adaptive(ConcurrencyLimits(start=10)), Service()
    first = sending(limiter, service, 1)
    await turns()
    await service.answer(error)
    with pytest.raises(type(error)):
        await first
    assert limit_of(limiter).throttles == throttles
    assert (limit_of(limiter).limit < 10) is bool(throttles)


async def test_a_rejected_request_raises_the_limit_as_a_good_answer_does() -> None:
    limiter, service = adaptive(ConcurrencyLimits()), Service()
    tasks = [sending(limiter, service, 1) for _ in range(4)]
    await turns()
    await service.answer(said(409))
    assert limit_of(limiter).limit == 5
    while service.open:
        await service.answer()
    await asyncio.gather(*tasks, return_exceptions=True)


# Through the wire


def limited(session: Session, limits: ConcurrencyLimits | None = None) -> Limiter:
    session._engine.limit(limits or ConcurrencyLimits())
    return session._engine.open().sender.limiter


async def crowd(session: Session, count: int, **more: Any) -> list[Any]:
    made = (create(session, f"p{number}", **more) for number in range(count))
    return await asyncio.gather(*made, return_exceptions=True)


async def test_the_adaptive_limit_bounds_the_requests_in_flight() -> None:
    async with Hostile(otherwise=after(0.05, persisted)) as server, session_at(server) as session:
        limiter = limited(session, ConcurrencyLimits(start=2, most=3))
        made = await crowd(session, 30)
        assert not [error for error in made if isinstance(error, Exception)]
        assert server.most_in_flight == limit_of(limiter).peak_in_flight == 3


async def test_polls_are_under_the_adaptive_limit_too() -> None:
    looks = by_target({"/tasks/": [after(0.05, answer({"status": "SUCCESS"}))]}, after(0.05, persisted))
    async with Hostile(otherwise=looks) as server, session_at(server) as session:
        limited(session, NARROW)
        tasks = [session.task(f"s_{number}", source=SOURCE) for number in range(10)]
        await asyncio.gather(session.wait(tasks), crowd(session, 10))
        assert server.most_in_flight == 1
        assert len(server.requests) == 20


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_pauses_every_request_under_an_adaptive_limit(status: int) -> None:
    """Longer than the deadline of a call and more often than its budget could pay for: the limit waits."""
    fault = {429: TooManyRequests, 503: Unavailable}[status]
    async with Emulator() as emulator, session_at(emulator, timeout=20.0) as session:
        times: list[float] = []
        Emulator.listeners.append(lambda _: times.append(asyncio.get_running_loop().time()))
        try:
            emulator.faults.add(fault(route="create_relationship", times=4, retry_after=30))
            limiter = limited(session, ConcurrencyLimits(start=1))
            made = await crowd(session, 40)
        finally:
            Emulator.listeners.pop()
        assert not [error for error in made if isinstance(error, Exception)]
        first = times[:5]
        assert all(30 <= later - sooner <= 37 for sooner, later in itertools.pairwise(first))
        assert limit_of(limiter).throttles == 4
        assert len(times) == 44, "no send in vain beside one for each time the limit reopened"


async def test_after_a_retry_after_no_further_request_is_throttled() -> None:
    script = by_target({"POST": [refusal(429, headers={"Retry-After": "10"})]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        limited(session, ConcurrencyLimits(start=4))
        began = asyncio.get_running_loop().time()
        sends = asyncio.ensure_future(crowd(session, 40))
        await asyncio.sleep(65)
        periods = [int((seen.at - began + 0.5) / 10) for seen in server.requests]
        assert periods.count(0) == 4
        assert max(periods.count(period) for period in range(1, 7)) == 1
        server.otherwise = persisted
        await sends


async def test_throttled_retries_under_an_adaptive_limit_need_no_budget() -> None:
    async with Hostile([refusal(503)] * 60, otherwise=persisted) as server, session_at(server) as session:
        limiter = limited(session)
        policy_free = await crowd(session, 30, timeout=1000)
        assert not [error for error in policy_free if isinstance(error, Exception)]
        assert limit_of(limiter).throttles == 60
        budget = session._engine.open().sender._budget
        assert budget.tokens == budget.burst


async def test_other_retries_under_an_adaptive_limit_need_budget() -> None:
    async with Hostile(otherwise=refusal(500)) as server, session_at(server) as session:
        limited(session)
        for _ in range(50):
            with pytest.raises(ApiError):
                await create(session)
        assert len(server.requests) == 60


async def test_attempts_are_counted_under_an_adaptive_limit() -> None:
    retry = RetryPolicy(attempts=3)
    async with Hostile(otherwise=refusal(429)) as server, session_at(server, retry=retry) as session:
        limited(session)
        with pytest.raises(ApiError):
            await create(session)
        assert len(server.requests) == 3


@pytest.mark.parametrize("status", [401, 403])
async def test_after_a_refused_key_nothing_more_is_sent(status: int) -> None:
    script = by_target({"POST": [after(0.05, persisted)] * 20 + [after(0.05, refusal(status))]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        limiter = limited(session, ConcurrencyLimits(most=8))
        made = await crowd(session, 200)
        refused = [error for error in made if isinstance(error, ApiError)]
        assert len(refused) == 180
        assert len(server.requests) - 20 <= 8 + 1
        outcomes = [error.outcome for error in refused]
        assert outcomes.count(Outcome.REJECTED) == len(server.requests) - 20
        assert outcomes.count(Outcome.NOT_SENT) == 180 - (len(server.requests) - 20)
        assert limit_of(limiter).is_key_refused
        sent = len(server.requests)
        with pytest.raises(TaskPollError) as caught:
            await session.task("s_1", source=SOURCE).wait()
        assert caught.value.status == status
        assert len(server.requests) == sent, "polls too"


async def test_a_key_refused_in_the_emulator() -> None:
    async with Emulator() as emulator:
        async with Session(api_key="wrong", base_url=emulator.url) as session:
            limited(session)
            made = await crowd(session, 50)
        assert [type(error) for error in made] == [Unauthenticated] * 50
        assert emulator.requests["create_relationship"] <= 5


async def test_an_adaptive_limit_is_shared_and_ends_with_its_last_user() -> None:
    async with Hostile(otherwise=after(0.05, persisted)) as server, session_at(server) as session:
        engine = session._engine
        first = engine.limit(ConcurrencyLimits(most=4))
        assert engine.limit(ConcurrencyLimits(most=9)) is first
        engine.unlimit()
        assert engine.open().sender.limiter.adaptive is first
        waiting = asyncio.ensure_future(crowd(session, 20))
        await asyncio.sleep(0.01)
        assert server.most_in_flight == 4
        engine.unlimit()
        assert engine.open().sender.limiter.adaptive is None
        assert not [error for error in await waiting if isinstance(error, Exception)]
        assert server.most_in_flight == 20, "requests that waited for the limit go when it ends"
        assert first.in_flight == 0
        assert engine.limit(ConcurrencyLimits()) is not first


async def test_a_new_adaptive_limit_forgets_a_refused_key() -> None:
    async with Hostile([refusal(401)], otherwise=persisted) as server, session_at(server) as session:
        limited(session)
        with pytest.raises(Unauthenticated):
            await create(session)
        session._engine.unlimit()
        limited(session)
        assert (await create(session)).done()
        assert len(server.requests) == 2


async def test_a_close_fails_requests_that_wait_for_the_limit() -> None:
    async with Hostile(otherwise=stall) as server:
        async with session_at(server, close_grace=1.0) as session:
            limited(session, NARROW)
            sends = asyncio.ensure_future(crowd(session, 5))
            await asyncio.sleep(0.5)
        made = await sends
        session._engine.unlimit()
    assert all(isinstance(error, Exception) for error in made)
    assert len(server.requests) == 1


async def test_cancelled_callers_do_not_block_the_limit() -> None:
    script = by_target({"GET": [after(1.0, answer({"status": "SUCCESS", "taskId": "s_1"}))]})
    async with Hostile(otherwise=script) as server, session_at(server) as session:
        limiter = limited(session, NARROW)
        reads: list[Awaitable[Any]] = [
            asyncio.ensure_future(session.get_task(SOURCE, "s_1")) for _ in range(6)
        ]
        await asyncio.sleep(0.5)
        for read in (reads[0], reads[2], reads[5]):
            read.cancel()  # type: ignore[attr-defined]
        made = await asyncio.gather(*reads, return_exceptions=True)
        cancelled = [isinstance(result, asyncio.CancelledError) for result in made]
        assert cancelled == [True, False, True, False, False, True]
        assert limit_of(limiter).in_flight == 0
        assert len(server.requests) == 4


async def test_a_lost_answer_is_reconciled_under_an_adaptive_limit() -> None:
    async with Hostile([reset, refusal(409, "ALREADY_EXISTS")]) as server, session_at(server) as session:
        limited(session, NARROW)
        server.then(answer({"id": "prac-1.org-9", "type": "practises-at", **_ENDS, "data": {}}))
        made = await create(session)
        assert made.reconciled
        assert len(server.requests) == 3


_ENDS = {"from": {"id": "prac-1", "type": "practitioner"}, "to": {"id": "org-9", "type": "organization"}}


async def test_a_poll_waits_for_a_retry_after_with_its_deadline_moved() -> None:
    looks = [refusal(503, headers={"Retry-After": "100"}), after(3.0, task("SUCCESS"))]
    script = by_target({"/tasks/": looks}, accepted())
    async with Hostile(otherwise=script) as server, session_at(server, timeout=5.0, retry=ONCE) as session:
        limited(session)
        snapshot = await session.task("s_1", source=SOURCE).wait()
        assert snapshot.status == "SUCCESS"
        assert len(server.requests) == 2
